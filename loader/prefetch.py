"""The loader's one place for concurrency: jobs run ahead in threads, results come in order."""

import atexit
import itertools
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

THREAD_NAME_PREFIX = "melstream-loader"

Result = TypeVar("Result")
Report = TypeVar("Report")

_running: set[Callable[[], None]] = set()
"""What ends each pass that is under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Generic[Result, Report]):
    """A result, and the tasks that have to run before it is whole."""

    result: Callable[[], Result]
    """Returns it; called once they have run."""
    tasks: tuple[Callable[[], Report], ...]


def run_ahead(
    jobs: Iterable[Job[Result, Report]],
    *,
    num_threads: int,
    num_ahead: int,
    on_end: Callable[[], None] = lambda: None,
    on_ask: Callable[[int], None] = lambda _: None,
) -> Generator[tuple[Result, list[Report]], None, None]:
    """Yield each job's result and its tasks' reports, in the order of the jobs.

    While the caller has one result, the tasks of up to `num_ahead` jobs behind it run in
    `num_threads` threads. Jobs are drawn from `jobs` by the caller's own thread, when it asks
    for a result.

    `on_ask` is told, each time that a result is asked for, how many in a row are whole already.

    An exception of a task is raised where its job's result would have been yielded; of several
    in one job, that of the first task. Whichever way the generator ends (exhausted, an exception,
    `close()`, garbage collection, or with the interpreter) its queue is emptied, `on_end` is
    called, maybe twice, which frees what tasks wait for, and its threads end after the task that
    each is at. Nobody waits for them: garbage collection may run in one of the threads themselves.
    """
    pool = ThreadPoolExecutor(num_threads, thread_name_prefix=THREAD_NAME_PREFIX)
    waiting: deque[tuple[Callable[[], Result], list[Future[Report]]]] = deque()

    def end() -> None:
        pool.shutdown(wait=False, cancel_futures=True)
        on_end()

    _running.add(end)
    try:
        for job in jobs:
            waiting.append((job.result, [pool.submit(task) for task in job.tasks]))
            if len(waiting) > num_ahead:
                on_ask(_num_ready(waiting))
                yield _wait_for(*waiting.popleft())
        while waiting:
            on_ask(_num_ready(waiting))
            yield _wait_for(*waiting.popleft())
    finally:
        _running.discard(end)
        end()


def _end_all() -> None:
    for end in tuple(_running):
        end()


# An interpreter that ends joins the pools' threads, before it calls what `atexit` knows. They may
# wait for a store that doesn't answer, so that passes are ended first: this is called before the
# hook by which `concurrent.futures` joins them. Python has no public way to be called there; where
# it has this one no more, such an end waits until the requests are given up.
getattr(threading, "_register_atexit", atexit.register)(_end_all)


def _num_ready(
    waiting: Iterable[tuple[Callable[[], Result], list[Future[Report]]]],
) -> int:
    return sum(
        1
        for _ in itertools.takewhile(lambda made: all(future.done() for future in made[1]), waiting)
    )


def _wait_for(
    result: Callable[[], Result], futures: list[Future[Report]]
) -> tuple[Result, list[Report]]:
    reports = [future.result() for future in futures]
    return result(), reports

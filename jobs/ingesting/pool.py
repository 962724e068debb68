"""Tries in worker processes; what comes of them is given in the order in which it was asked for."""

import collections
import contextlib
import itertools
import logging
import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from typing import TypeAlias

from jobs.compiling import show_compiling
from jobs.ingesting.making import ClipMaker, Job, Tried, open_maker
from jobs.ingesting.quiet_libraries import quiet_c_libraries
from jobs.ingesting.recipe import Recipe
from shardwriter.errors import MelstreamError
from shardwriter.heap import keep_freed_memory

logger = logging.getLogger(__name__)

Try: TypeAlias = Callable[[Iterable[Job | None]], Iterator[tuple[Job, Tried]]]
"""Makes tries and yields what came of each, in order. It takes jobs as there is room for them; None
among them: yield what is under way before taking the next."""
_InFlight: TypeAlias = collections.deque[tuple[list[Job], Future[list[Tried]]]]

_MAX_GROUP_CLIPS = 16
"""Of one's own files, that are made together: `encode_clips` says why."""
_MIN_GROUPS_PER_WORKER = 8
"""So that no worker is left alone with the last clips for long."""
_GROUPS_IN_FLIGHT_PER_WORKER = 2
"""Few: when a source blocks us, what is in flight is asked for all the same."""
_PRELOADED = ("jobs.ingesting.preload", "jobs.cli")
"""The second since every worker imports what the command's process began with."""


@contextlib.contextmanager
def open_pool(recipe: Recipe, *, num_workers: int, num_clips: int) -> Iterator[Try]:
    """Start workers; 0: the tries are made in this process.

    Args:
        recipe: How samples are made.
        num_workers: Processes beside this one.
        num_clips: How many are to be tried, about.
    """
    num_groups = max(num_workers * _MIN_GROUPS_PER_WORKER, 1)
    size = 1 if recipe.is_network else min(max(num_clips // num_groups, 1), _MAX_GROUP_CLIPS)
    if num_workers == 0:
        with open_maker(recipe) as maker:
            yield lambda jobs: _try_here(maker, jobs, size=size)
        return
    keep_freed_memory()  # what workers send is large, too
    context = _start_server(recipe)
    limit = recipe.max_fetches_at_once
    gate = context.BoundedSemaphore(limit) if limit else None
    with ProcessPoolExecutor(
        num_workers,
        mp_context=context,
        initializer=_open_worker,
        initargs=(recipe, dict(os.environ), gate),
    ) as pool:
        num_in_flight = num_workers * _GROUPS_IN_FLIGHT_PER_WORKER
        yield lambda jobs: _try_in_order(pool, jobs, size=size, num_in_flight=num_in_flight)


def _start_server(recipe: Recipe) -> BaseContext:
    """Return how workers are started: forked from a process that has loaded what they need.

    Not from this one: it may hold threads (torch, pyarrow) that a fork would break. That process
    begins to load now, and ends with this one. Elsewhere than on Linux, where a fork may break
    system libraries too, and where no socket can be made, each worker loads all by itself, which
    takes 1.4 s of CPU time.
    """
    if sys.platform == "linux":
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([*_PRELOADED, type(recipe.fetcher).__module__])
        try:
            with _interrupts_held_back():
                forkserver.ensure_running()
        except OSError as err:  # the name of a temporary folder may be too long for a socket
            logger.info("workers load all by themselves reason=%s", err)
        else:
            return context
    return multiprocessing.get_context("spawn")


def _in_groups(jobs: Iterable[Job | None], size: int) -> Iterator[list[Job]]:
    """Yield lists of so many jobs, fewer before a None and at the end; an empty list for a None."""
    group: list[Job] = []
    for job in jobs:
        if job is not None:
            group.append(job)
        if group and (job is None or len(group) == size):
            yield group
            group = []
        if job is None:
            yield []
    if group:
        yield group


def _try_here(
    maker: ClipMaker, jobs: Iterable[Job | None], *, size: int
) -> Iterator[tuple[Job, Tried]]:
    for group in _in_groups(jobs, size):
        num_made = 0
        while num_made < len(group):
            for tried in maker.make(group[num_made:]):
                yield group[num_made], tried
                num_made += 1


def _try_in_order(
    pool: ProcessPoolExecutor, jobs: Iterable[Job | None], *, size: int, num_in_flight: int
) -> Iterator[tuple[Job, Tried]]:
    in_flight: _InFlight = collections.deque()
    try:
        for group in itertools.chain(_in_groups(jobs, size), [[]]):
            if group:
                in_flight.append((group, _submit(pool, group)))
            # What is done is given at once: between two requests to a polite source there is time.
            while in_flight and (
                in_flight[0][1].done() or len(in_flight) > (num_in_flight if group else 0)
            ):
                yield from _oldest(pool, in_flight)
    except BrokenProcessPool as err:
        raise MelstreamError(
            "a worker process died while it cleaned a clip (out of memory, or a crash in a "
            "decoder); run again with --workers 0 to see at which clip"
        ) from err
    finally:
        for _, future in in_flight:
            future.cancel()


def _oldest(pool: ProcessPoolExecutor, in_flight: _InFlight) -> Iterator[tuple[Job, Tried]]:
    """Yield what came of the first group; what its worker had no room for is its first again."""
    group, future = in_flight.popleft()
    made = future.result()
    left = group[len(made) :]
    if left:
        in_flight.appendleft((left, _submit(pool, left)))
    yield from zip(group, made, strict=False)


def _submit(pool: ProcessPoolExecutor, group: list[Job]) -> Future[list[Tried]]:
    with _interrupts_held_back():
        try:
            return pool.submit(_make_in_worker, group)
        except (EOFError, ConnectionError) as err:  # the server that would fork it is not there
            raise BrokenProcessPool from err


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let Ctrl-C wait: the workers that `submit` starts inherit that, and never see it.

    An interrupt in the middle of a worker's talk with its queue would leave both sides waiting.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


_maker: ClipMaker | None = None
"""Set once in each worker process: what it needs can't travel with every clip."""


def _open_worker(
    recipe: Recipe,
    environment: Mapping[str, str],
    gate: contextlib.AbstractContextManager[object] | None = None,
) -> None:
    os.environ.clear()  # the server may have been started with another environment
    os.environ.update(environment)
    quiet_c_libraries()
    # Ctrl-C reaches every process of the terminal; the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    show_compiling(is_worker=True)  # where it was spawned, not forked
    global _maker
    resources = contextlib.ExitStack()
    _maker = resources.enter_context(open_maker(recipe, gate))
    # Closes the source and publishes the log when the pool is closed; a process of the
    # multiprocessing module does not run what `atexit` holds.
    multiprocessing.util.Finalize(None, resources.close, exitpriority=10)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this worker when its parent is gone; one that was killed can't tell its workers."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make_in_worker(group: list[Job]) -> list[Tried]:
    if _maker is None:
        raise RuntimeError("the worker process was not initialised")
    return list(_maker.make(group))

import gc
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from loader.prefetch import Job, run_ahead
from tests.loader.builders import alive_threads_after_waiting


def numbered_jobs(num: int, drawn: list[int]) -> Iterator[Job[int, int]]:
    for number in range(num):
        drawn.append(number)
        yield Job(result=partial(int, number), tasks=(partial(int, number), partial(int, -number)))


def test_results_come_in_order_with_their_reports() -> None:
    got = list(run_ahead(numbered_jobs(20, []), num_threads=4, num_ahead=3))
    assert got == [(number, [number, -number]) for number in range(20)]


def test_a_result_is_asked_for_when_its_tasks_have_run() -> None:
    done: list[int] = []
    jobs = [Job(result=lambda: tuple(done), tasks=(partial(done.append, n),)) for n in range(3)]
    results = [result for result, _ in run_ahead(jobs, num_threads=1, num_ahead=0)]
    assert results == [(0,), (0, 1), (0, 1, 2)]


def test_slow_job_is_not_overtaken() -> None:
    is_second_done = threading.Event()
    jobs = [
        Job(result=lambda: "first", tasks=(lambda: is_second_done.wait(20),)),
        Job(result=lambda: "second", tasks=(lambda: is_second_done.set() or True,)),
    ]
    got = list(run_ahead(jobs, num_threads=2, num_ahead=1))
    assert got == [("first", [True]), ("second", [True])]


def test_at_most_num_ahead_jobs_are_begun_beyond_the_one_in_hand() -> None:
    drawn: list[int] = []
    results = run_ahead(numbered_jobs(20, drawn), num_threads=2, num_ahead=3)
    for number in range(10):
        assert next(results)[0] == number
        assert len(drawn) == number + 4
    results.close()


def test_fewer_jobs_than_num_ahead_are_all_delivered() -> None:
    assert len(list(run_ahead(numbered_jobs(2, []), num_threads=2, num_ahead=9))) == 2
    assert list(run_ahead(numbered_jobs(0, []), num_threads=2, num_ahead=9)) == []


def test_exception_surfaces_at_its_job_and_ends_the_threads() -> None:
    def fail() -> int:
        raise ZeroDivisionError("job 2")

    jobs = [
        *numbered_jobs(2, []),
        Job(result=lambda: 2, tasks=(lambda: 0, fail, lambda: 0)),
        *numbered_jobs(2, []),
    ]
    results = run_ahead(jobs, num_threads=2, num_ahead=4)
    assert [next(results)[0], next(results)[0]] == [0, 1]
    with pytest.raises(ZeroDivisionError, match="job 2"):
        next(results)
    assert list(results) == []
    assert alive_threads_after_waiting() == []


def test_exception_in_planning_a_job_ends_the_threads() -> None:
    def jobs() -> Iterator[Job[int, int]]:
        yield from numbered_jobs(2, [])
        raise ZeroDivisionError("plan")

    with pytest.raises(ZeroDivisionError, match="plan"):
        list(run_ahead(jobs(), num_threads=2, num_ahead=1))
    assert alive_threads_after_waiting() == []


def test_closing_throws_queued_tasks_away() -> None:
    num_run = 0
    is_first_taken = threading.Event()

    def count() -> None:
        nonlocal num_run
        is_first_taken.wait(20)
        num_run += 1

    jobs = [
        Job(result=lambda: 0, tasks=()),
        *(Job(result=lambda: 1, tasks=(count,)) for _ in range(50)),
    ]
    results = run_ahead(jobs, num_threads=1, num_ahead=50)
    next(results)
    results.close()
    is_first_taken.set()
    assert alive_threads_after_waiting() == []
    assert num_run <= 1


def test_garbage_in_a_cycle_ends_the_threads() -> None:
    holder: dict[str, object] = {}
    results = run_ahead(numbered_jobs(20, []), num_threads=2, num_ahead=3)
    next(results)
    holder["results"], holder["self"] = results, holder
    del results, holder
    gc.collect()
    assert alive_threads_after_waiting() == []

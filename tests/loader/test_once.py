import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from loader.once import Once


def test_many_threads_get_one_value_that_was_made_once() -> None:
    num_made = 0
    gate = threading.Barrier(8, timeout=20)

    def make() -> object:
        nonlocal num_made
        num_made += 1
        return object()

    once = Once(make)

    def ask() -> object:
        gate.wait()
        return once()

    with ThreadPoolExecutor(8) as pool:
        values = [future.result() for future in [pool.submit(ask) for _ in range(8)]]
    assert len(set(values)) == 1
    assert num_made == 1


def test_a_failure_is_raised_and_the_next_call_tries_again() -> None:
    outcomes = iter([ZeroDivisionError("no"), None])

    def make() -> str:
        if error := next(outcomes):
            raise error
        return "made"

    once = Once(make)
    with pytest.raises(ZeroDivisionError, match="no"):
        once()
    assert [once(), once()] == ["made", "made"]

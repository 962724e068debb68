import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.congestion import CongestionWindow
from loader.connections import Connections
from shardwriter.errors import ThrottledError, TransientStorageError


def test_throttling_halves_and_success_grows_by_one_a_round() -> None:
    window = CongestionWindow(limit=32.0, max_limit=32)
    window = window.after_throttling(window.generation)
    assert window.limit == 16
    for _ in range(17):
        window = window.after_success()
    assert 16.9 < window.limit < 17.1


def test_many_throttled_answers_of_one_moment_count_once() -> None:
    window = CongestionWindow(limit=32.0, max_limit=32)
    for _ in range(32):
        window = window.after_throttling(0)
    assert window.limit == 16
    assert window.after_throttling(1).limit == 8


@given(st.lists(st.booleans(), max_size=300), st.integers(1, 64))
def test_the_limit_stays_between_one_and_its_bound(outcomes: list[bool], max_limit: int) -> None:
    window = CongestionWindow(limit=float(max_limit), max_limit=max_limit)
    for is_good in outcomes:
        before = window.limit
        window = window.after_success() if is_good else window.after_throttling(window.generation)
        assert 1 <= window.limit <= max_limit
        assert (window.limit >= before) if is_good else (window.limit <= before)


def test_no_more_requests_at_a_time_than_the_window_allows() -> None:
    connections = Connections(8)
    lock = threading.Lock()
    num_busy = most = 0

    def use(number: int) -> None:
        nonlocal num_busy, most
        with connections.request():
            with lock:
                num_busy += 1
                most = max(most, num_busy)
            threading.Event().wait(0.001)
            with lock:
                num_busy -= 1

    with pytest.raises(ThrottledError), connections.request():
        raise ThrottledError("slow down")
    assert connections.limit == 4
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(use, range(12)))
    assert 1 <= most <= 7
    assert connections.limit > 4


def test_other_failures_change_nothing_and_give_their_place_back() -> None:
    connections = Connections(1)
    for _ in range(3):
        with pytest.raises(TransientStorageError), connections.request():
            raise TransientStorageError("reset")
    with connections.request():
        assert connections.limit == 1

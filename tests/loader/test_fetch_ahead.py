import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from loader.fetch_ahead import FetchAhead, Planned
from tests.loader.builders import alive_threads_after_waiting


def planned(count: int, *, num_bytes: int = 10, num_readers: int = 1) -> list[Planned[int]]:
    return [Planned(n, num_bytes=num_bytes, num_readers=num_readers) for n in range(count)]


class Source:
    """Gives the bytes of a number, and notes who asks when."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def fetch(self, number: int) -> bytes:
        self.asked.append(number)
        self.may_answer.wait(20)
        return bytes([number])


def wait_until(ahead: FetchAhead[int], *, num_queued: int) -> None:
    for _ in range(2000):
        if ahead.num_queued == num_queued:
            return
        threading.Event().wait(0.005)
    raise AssertionError(f"{ahead.num_queued} are queued, not {num_queued}")


def test_bytes_come_whatever_the_order_of_reading() -> None:
    ahead = FetchAhead(Source().fetch, num_threads=3, max_bytes=30)
    items = planned(50)
    ahead.plan(items)
    # Backwards: the room is full of what is read last, which must not be waited for.
    assert [ahead.take(item) for item in reversed(items)] == [bytes([n]) for n in range(49, -1, -1)]
    assert ahead.num_bytes_held == 0
    ahead.close()
    assert alive_threads_after_waiting() == []


def test_no_more_is_held_than_there_is_room_for() -> None:
    source = Source()
    ahead = FetchAhead(source.fetch, num_threads=8, max_bytes=35)
    items = planned(10)
    ahead.plan(items)
    wait_until(ahead, num_queued=7)
    assert ahead.num_bytes_held == 30
    for number, item in enumerate(items):
        assert ahead.take(item) == bytes([number])
        assert ahead.num_bytes_held <= 30
    assert sorted(source.asked) == list(range(10))
    ahead.close()


def test_a_request_over_the_bound_is_made_alone() -> None:
    ahead = FetchAhead(Source().fetch, num_threads=2, max_bytes=5)
    items = planned(4)
    ahead.plan(items)
    assert [ahead.take(item) for item in items] == [bytes([n]) for n in range(4)]
    ahead.close()


def test_bytes_with_several_readers_are_fetched_once_and_held_for_the_last() -> None:
    source = Source()
    ahead = FetchAhead(source.fetch, num_threads=1, max_bytes=100)
    (item,) = items = planned(1, num_readers=3)
    ahead.plan(items)
    for held in (10, 10, 0):
        assert ahead.take(item) == b"\0"
        assert ahead.num_bytes_held == held
    assert source.asked == [0]
    ahead.close()


def test_many_threads_read_what_many_fetch() -> None:
    ahead = FetchAhead(Source().fetch, num_threads=8, max_bytes=70)
    items = planned(256)
    ahead.plan(items)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ahead.take, items)) == [bytes([n]) for n in range(256)]
    assert (ahead.num_bytes_held, ahead.num_queued) == (0, 0)
    ahead.close()
    assert alive_threads_after_waiting() == []


def test_an_error_is_raised_to_its_readers_and_the_rest_goes_on() -> None:
    def fetch(number: int) -> bytes:
        if number == 1:
            raise ZeroDivisionError("number 1")
        return bytes([number])

    ahead = FetchAhead(fetch, num_threads=1, max_bytes=100)
    items = planned(3)
    ahead.plan(items)
    assert ahead.take(items[0]) == b"\0"
    with pytest.raises(ZeroDivisionError):
        ahead.take(items[1])
    assert ahead.take(items[2]) == b"\2"
    ahead.close()


def test_closing_frees_who_waits_though_a_request_hangs() -> None:
    source = Source()
    source.may_answer.clear()
    ahead = FetchAhead(source.fetch, num_threads=1, max_bytes=10)
    items = planned(2)
    ahead.plan(items)
    with ThreadPoolExecutor(2) as pool:
        wait_until(ahead, num_queued=1)
        waiting = pool.submit(ahead.take, items[0])
        ahead.close()
        with pytest.raises(CancelledError):
            waiting.result(20)
        with pytest.raises(CancelledError):
            ahead.take(items[1])
    source.may_answer.set()
    assert alive_threads_after_waiting() == []
    assert source.asked == [0]


def test_closing_frees_a_reader_whose_own_request_hangs() -> None:
    source = Source()
    source.may_answer.clear()
    ahead = FetchAhead(source.fetch, num_threads=1, max_bytes=10)
    items = planned(2)
    ahead.plan(items)
    wait_until(ahead, num_queued=1)
    with ThreadPoolExecutor(1) as pool:
        # No thread has begun with it, and there is no room.
        reader = pool.submit(ahead.take, items[1])
        for _ in range(2000):
            if sorted(source.asked) == [0, 1]:
                break
            threading.Event().wait(0.005)
        ahead.close()
        with pytest.raises(CancelledError):
            reader.result(10)
    source.may_answer.set()
    assert alive_threads_after_waiting() == []

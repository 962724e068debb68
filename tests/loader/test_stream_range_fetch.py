"""Ranges over a network in which things go wrong: whole, or an error with all figures."""

from collections.abc import Callable
from typing import Any

import pytest

from loader.connections import Connections
from loader.range_fetch import RangeFetcher
from loader.ranges import ByteRange
from loader.reader_stats import Counters
from shardwriter.errors import (
    ReplacedError,
    StorageError,
    ThrottledError,
    TransientStorageError,
)
from shardwriter.storage import Part

DATA = bytes(range(250)) * 4
Answer = Callable[[int, int], Part]


class ScriptedStore:
    """Answers each request as the script says, then as it should."""

    url = "s3://bucket/prefix"

    def __init__(self, *script: Answer) -> None:
        self.script = list(script)
        self.asked: list[tuple[int, int, str | None]] = []

    def read_part(
        self, name: str, *, start: int, stop: int, version: str | None, max_seconds: float
    ) -> Part:
        self.asked.append((start, stop, version))
        answer = self.script.pop(0) if self.script else whole
        return answer(start, stop)


def whole(start: int, stop: int) -> Part:
    return Part(data=DATA[start:stop], version='"1"', stop=min(stop, len(DATA)))


def cut(num_bytes: int, *, version: str = '"1"') -> Answer:
    def answer(start: int, stop: int) -> Part:
        data = DATA[start : min(start + num_bytes, stop)]
        return Part(data=data, version=version, stop=stop, interruption=OSError("reset"))

    return answer


def failing(error: Exception) -> Answer:
    def answer(start: int, stop: int) -> Part:
        raise error

    return answer


def make_fetcher(**changes: Any) -> tuple[RangeFetcher, Connections, Counters, list[float]]:
    connections, counters, pauses = Connections(8), Counters(), []
    settings = {"max_seconds": 1e9, "pause": pauses.append} | changes
    return RangeFetcher(connections, counters, **settings), connections, counters, pauses


def test_it_goes_on_at_the_byte_where_the_connection_was_lost() -> None:
    store = ScriptedStore(cut(100), cut(0), cut(37))
    fetcher, _, counters, pauses = make_fetcher()
    assert fetcher.fetch(store, "a", ByteRange(50, 950)) == DATA[50:950]  # type: ignore[arg-type]
    assert store.asked == [(50, 950, None), *[(150, 950, '"1"')] * 2, (187, 950, '"1"')]
    stats = counters.snapshot()
    assert (stats.num_requests, stats.num_retries, stats.num_bytes_fetched) == (4, 3, 900)
    assert len(pauses) == 3


def test_pauses_are_random_and_grow() -> None:
    store = ScriptedStore(*[failing(TransientStorageError("x"))] * 200)
    fetcher, _, _, pauses = make_fetcher()
    fetcher.fetch(store, "a", ByteRange(0, 5))  # type: ignore[arg-type]
    assert all(pause <= 0.1 * 2**place for place, pause in enumerate(pauses))
    assert 3 < max(pauses) <= 10
    assert len(set(pauses)) == 200


def test_throttling_halves_the_connections_and_passes() -> None:
    store = ScriptedStore(*[failing(ThrottledError("SlowDown"))] * 2)
    fetcher, connections, counters, _ = make_fetcher()
    assert fetcher.fetch(store, "a", ByteRange(0, 5)) == DATA[:5]  # type: ignore[arg-type]
    assert connections.limit == 2
    assert counters.snapshot().num_throttled == 2


def test_when_the_time_is_up_the_error_has_all_figures() -> None:
    store = ScriptedStore(cut(10), *[failing(TransientStorageError("the store answered 500"))] * 9)
    fetcher, _, _, _ = make_fetcher(max_seconds=-1.0)
    with pytest.raises(
        TransientStorageError,
        match=r"^s3://bucket/prefix/a: expected 900 bytes from byte 50, got 10 within -1 s and 1 "
        r"attempts; at last: OSError: reset\..*raise fetch_timeout_seconds",
    ):
        fetcher.fetch(store, "a", ByteRange(50, 950))  # type: ignore[arg-type]


def test_what_cannot_pass_is_raised_at_once() -> None:
    store = ScriptedStore(failing(StorageError("s3://bucket/prefix/a is not there")))
    fetcher, _, _, _ = make_fetcher()
    with pytest.raises(StorageError, match="is not there"):
        fetcher.fetch(store, "a", ByteRange(0, 5))  # type: ignore[arg-type]
    assert len(store.asked) == 1


def test_an_object_that_changes_between_two_ranges_is_an_error() -> None:
    store = ScriptedStore(whole, cut(5, version='"2"'))
    fetcher, _, _, _ = make_fetcher()
    fetcher.fetch(store, "a", ByteRange(0, 5))  # type: ignore[arg-type]
    with pytest.raises(ReplacedError, match="prefix/a was replaced while it was read"):
        fetcher.fetch(store, "a", ByteRange(5, 10))  # type: ignore[arg-type]
    # The version it began with is asked for, so that a good store refuses by itself.
    assert store.asked[1] == (5, 10, '"1"')


def test_an_object_that_ends_early_gives_fewer_bytes() -> None:
    fetcher, _, _, _ = make_fetcher()
    store = ScriptedStore()
    assert fetcher.fetch(store, "a", ByteRange(990, 1010)) == DATA[990:]  # type: ignore[arg-type]

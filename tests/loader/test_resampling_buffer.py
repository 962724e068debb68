"""Clips kept between their copies: within the budget, as well as can be, and never other bytes."""

import threading
from functools import cache, partial

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loader.resampling_buffer import NEVER, ResamplingBuffer, next_uses
from tests.shardwriter.properties import bounded


def data_of(row: int) -> bytes:
    return f"clip {row}".encode()


class Reads:
    def __init__(self) -> None:
        self.rows: list[int] = []

    def __call__(self, row: int) -> bytes:
        self.rows.append(row)
        return data_of(row)


def play(
    rows: list[int], sizes: list[int], max_bytes: int, batch_size: int
) -> tuple[ResamplingBuffer, Reads]:
    """Run a sequence through a buffer, batch by batch."""
    reads = Reads()
    buffer = ResamplingBuffer(max_bytes=max_bytes)
    all_rows = np.array(rows, dtype=np.int64)
    following = next_uses(all_rows)
    is_repeat = np.isin(np.arange(len(rows)), following)
    num_bytes = np.array(sizes, dtype=np.int64)[all_rows]
    for at in range(0, len(rows), batch_size):
        cut = slice(at, at + batch_size)
        sources = buffer.plan(all_rows[cut], num_bytes[cut], following[cut], is_repeat[cut])
        for row, source in zip(rows[cut], sources, strict=True):
            assert buffer.take(source, partial(reads, row)) == data_of(row)
        assert buffer.stats().num_bytes_held <= max_bytes
    return buffer, reads


def best_hits(rows: tuple[int, ...], num_slots: int) -> int:
    """Most hits that any choice of what to keep gives, by trying all: clips of one byte each."""

    @cache
    def hits_from(place: int, kept: frozenset[int]) -> int:
        if place == len(rows):
            return 0
        row = rows[place]
        gain = int(row in kept)
        others = kept - {row}
        choices = [others, others | {row}]
        choices += [(others - {out}) | {row} for out in others]
        return gain + max(
            hits_from(place + 1, choice) for choice in choices if len(choice) <= num_slots
        )

    return hits_from(0, frozenset())


@bounded()
@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_next_uses_are_what_a_loop_finds(rows: list[int]) -> None:
    expected = [
        next((later for later in range(at + 1, len(rows)) if rows[later] == row), NEVER)
        for at, row in enumerate(rows)
    ]
    assert next_uses(np.array(rows, dtype=np.int64)).tolist() == expected


@bounded()
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=80),
    st.lists(st.integers(1, 30), min_size=10, max_size=10),
    st.integers(0, 60),
    st.integers(1, 7),
)
def test_reads_hits_and_bytes_add_up(
    rows: list[int], sizes: list[int], max_bytes: int, batch_size: int
) -> None:
    buffer, reads = play(rows, sizes, max_bytes, batch_size)
    stats = buffer.stats()
    assert stats.num_hits + stats.num_rereads == len(rows) - len(set(rows))
    assert len(reads.rows) == len(set(rows)) + stats.num_rereads
    assert stats.max_bytes_held <= max_bytes
    assert stats.num_bytes_held == 0  # nothing has another use


@bounded(max_examples=60)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.integers(0, 3))
def test_no_other_choice_has_more_hits(rows: list[int], num_slots: int) -> None:
    buffer, _ = play(rows, [1] * 5, num_slots, 1)
    assert buffer.stats().num_hits == best_hits(tuple(rows), num_slots)


def test_without_a_budget_every_copy_is_read_and_with_enough_none() -> None:
    rows = [0, 1, 2, 0, 1, 2, 0]
    assert len(play(rows, [5] * 3, 0, 2)[1].rows) == 7
    assert len(play(rows, [5] * 3, 15, 2)[1].rows) == 3


def test_clip_whose_first_use_is_not_read_yet_is_read_a_second_time() -> None:
    reads = Reads()
    buffer = ResamplingBuffer(max_bytes=100)
    rows, sizes = np.array([7]), np.array([10])
    first = buffer.plan(rows, sizes, np.array([1]), np.array([False]))[0]
    second = buffer.plan(rows, sizes, np.array([NEVER]), np.array([True]))[0]
    assert buffer.take(second, partial(reads, 7)) == data_of(7)
    assert buffer.take(first, partial(reads, 7)) == data_of(7)
    assert reads.rows == [7, 7]


def test_new_iteration_forgets_what_the_one_before_kept() -> None:
    buffer = ResamplingBuffer(max_bytes=100)
    buffer.plan(np.array([1]), np.array([10]), np.array([5]), np.array([False]))
    assert buffer.stats().num_bytes_held == 10
    buffer.begin()
    assert buffer.stats().num_bytes_held == 0
    source = buffer.plan(np.array([1]), np.array([10]), np.array([NEVER]), np.array([False]))[0]
    assert source.before is None


def test_threads_may_read_in_any_order() -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 30, size=600)
    buffer = ResamplingBuffer(max_bytes=120)
    sources = buffer.plan(rows, np.full(600, 10), next_uses(rows), np.zeros(600, dtype=bool))
    wrong: list[int] = []

    def read_some(places: np.ndarray) -> None:
        wrong.extend(
            at
            for at in places.tolist()
            if buffer.take(sources[at], partial(data_of, rows[at])) != data_of(rows[at])
        )

    threads = [
        threading.Thread(target=read_some, args=(part,))
        for part in np.array_split(rng.permutation(600), 4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong

"""Copies laid apart: even, and repaired where they are not."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loader.spread import put_apart, spread_copies, too_close
from tests.shardwriter.properties import bounded


def naive_too_close(things: list[int], distance: int) -> list[int]:
    return [
        place
        for place in range(len(things))
        if things[place] in things[max(0, place - distance + 1) : place]
    ]


@bounded()
@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.integers(1, 9))
def test_too_close_is_what_a_loop_finds(things: list[int], distance: int) -> None:
    assert too_close(np.array(things), distance).tolist() == naive_too_close(things, distance)


@bounded()
@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.integers(1, 9))
def test_putting_apart_permutes_and_never_makes_it_worse(things: list[int], distance: int) -> None:
    permutation = put_apart(np.array(things), distance)
    assert sorted(permutation.tolist()) == list(range(len(things)))
    before = len(naive_too_close(things, distance))
    after = len(naive_too_close(np.array(things)[permutation].tolist(), distance))
    assert after <= before


@bounded()
@given(st.lists(st.integers(0, 200), min_size=1, max_size=60, unique=True), st.integers(1, 9))
def test_what_is_apart_stays_in_place(things: list[int], distance: int) -> None:
    assert put_apart(np.array(things), distance).tolist() == list(range(len(things)))


@bounded()
@given(st.lists(st.integers(1, 12), min_size=2, max_size=60), st.integers(1, 50))
def test_copies_are_spread_where_the_numbers_allow(counts: list[int], min_spread: int) -> None:
    turns = (np.arange(len(counts), dtype=np.int64) << 32) // len(counts)
    spread = spread_copies(np.array(counts), turns, min_spread=min_spread)
    pairs = set(zip(spread.things_M.tolist(), spread.copies_M.tolist(), strict=True))
    assert pairs == {(t, copy) for t, count in enumerate(counts) for copy in range(count)}
    reached = min(min_spread, len(pairs) // (2 * max(counts)))
    assert len(too_close(spread.things_M, reached)) == 0


def test_repair_takes_up_only_the_stretch_that_needs_it() -> None:
    things = np.arange(1000)
    things[500:503] = 500
    permutation = put_apart(things, 20)
    moved = np.flatnonzero(permutation != np.arange(1000))
    assert len(too_close(things[permutation], 20)) == 0
    assert (moved.min(), moved.max()) == (501, 540)


def test_two_things_of_equal_number_alternate() -> None:
    turns = np.array([0, 1 << 31])
    assert spread_copies(np.array([5, 5]), turns, min_spread=2).things_M.tolist() == [0, 1] * 5

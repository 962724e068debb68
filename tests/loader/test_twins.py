"""Twins are shared out among ranks, and all else stays with the rank of its stretch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.twins import ranks_of_units
from tests.shardwriter.properties import bounded


@st.composite
def steps(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    num_ranks, num_units, num_steps = (draw(st.integers(1, most)) for most in (5, 6, 4))
    identities = st.lists(
        st.integers(-3, draw(st.integers(0, 20))),
        min_size=num_ranks * num_units,
        max_size=num_ranks * num_units,
    )
    return np.array([draw(identities) for _ in range(num_steps)]), num_ranks


@bounded()
@given(steps())
def test_each_rank_gets_as_many_units_and_no_more_twins_than_its_share(
    made: tuple[np.ndarray, int],
) -> None:
    identity_TU, num_ranks = made
    rank_TU = ranks_of_units(identity_TU, num_ranks)
    for identity_U, rank_U in zip(identity_TU, rank_TU, strict=True):
        counts_R = np.bincount(rank_U, minlength=num_ranks)
        assert counts_R.tolist() == [len(identity_U) // num_ranks] * num_ranks
        for identity in set(identity_U.tolist()):
            is_twin_U = identity_U == identity
            share = -(-is_twin_U.sum() // num_ranks)
            assert np.bincount(rank_U[is_twin_U]).max() <= share


def test_without_twins_neighbours_stay_together() -> None:
    rank_TU = ranks_of_units(np.array([[5, 1, 4, 0, 2, 3], [9, 9, 9, 9, 9, 9]]), 3)
    assert rank_TU[0].tolist() == [0, 0, 1, 1, 2, 2]
    assert np.bincount(rank_TU[1]).tolist() == [2, 2, 2]


def test_only_the_twins_and_what_makes_room_for_them_change_the_rank() -> None:
    identity_U = np.array([0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    rank_U = ranks_of_units(identity_U[np.newaxis], 3)[0]
    assert sorted(rank_U[:2].tolist()) == [0, 1]
    assert rank_U[2:].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]


@pytest.mark.parametrize("num_ranks", [1, 2, 4])
def test_no_steps_give_no_ranks(num_ranks: int) -> None:
    assert ranks_of_units(np.empty((0, 8), dtype=np.int64), num_ranks).shape == (0, 8)

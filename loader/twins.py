"""Which rank gets what of a step, so that no batch holds more twins than it must. Pure.

Units are what is dealt: samples, or several that belong together. Those of one identity are twins.

Axes: T steps, U units of a step on all ranks, R ranks, X units of all these steps.
"""

import numpy as np
from numpy.typing import NDArray


def ranks_of_units(identity_TU: NDArray[np.int64], num_ranks: int) -> NDArray[np.int64]:
    """Return the rank of each unit: equally many for each, and twins shared out evenly.

    Each rank takes its stretch of neighbours, in the order given. Twins of which a rank would so
    get more than its share (c of them are at most c / `num_ranks` for each, rounded up) are dealt
    to the ranks in turn, and stretches of the others fill the ranks up. Where that brings together
    others, all of the step are dealt in turn, twins one after the other.
    """
    in_turn_TU = np.zeros(identity_TU.shape, dtype=np.bool_)
    rank_TU = _dealt(identity_TU, in_turn_TU, num_ranks)
    in_turn_TU = _is_above_share(identity_TU, rank_TU, num_ranks)
    rank_TU = _dealt(identity_TU, in_turn_TU, num_ranks)
    in_turn_TU[_is_above_share(identity_TU, rank_TU, num_ranks).any(axis=1)] = True
    return _dealt(identity_TU, in_turn_TU, num_ranks)


def _dealt(
    identity_TU: NDArray[np.int64], in_turn_TU: NDArray[np.bool_], num_ranks: int
) -> NDArray[np.int64]:
    """Return the rank of each unit: of some in turn, of the others stretch by stretch."""
    num_steps, num_units = identity_TU.shape
    # Those that are dealt in turn come first, twins one after the other; then the others, in order.
    key_TU = np.where(in_turn_TU, identity_TU, np.iinfo(np.int64).max)
    order_TU = np.argsort(key_TU, axis=1, kind="stable")
    num_in_turn_T = in_turn_TU.sum(axis=1)[:, np.newaxis]
    place_U = np.arange(num_units)
    taken_TR = (num_in_turn_T + num_ranks - 1 - np.arange(num_ranks)) // num_ranks
    full_TR = np.cumsum(num_units // num_ranks - taken_TR, axis=1)
    # One row of numbers, in which a search finds all steps' ranks at once.
    step_T = np.arange(num_steps)[:, np.newaxis]
    other_TU = np.maximum(place_U - num_in_turn_T, 0) + step_T * num_units
    stretch_TU = np.searchsorted((full_TR + step_T * num_units).ravel(), other_TU, side="right")
    rank_TU = np.empty_like(identity_TU)
    by_order_TU = np.where(
        place_U < num_in_turn_T, place_U % num_ranks, stretch_TU - step_T * num_ranks
    )
    np.put_along_axis(rank_TU, order_TU, by_order_TU, axis=1)
    return rank_TU


def _is_above_share(
    identity_TU: NDArray[np.int64], rank_TU: NDArray[np.int64], num_ranks: int
) -> NDArray[np.bool_]:
    """Return which units have twins of which some rank gets more than its share."""
    order_TU = np.lexsort((rank_TU, identity_TU), axis=1)
    of_step_X = np.repeat(np.arange(len(identity_TU)), identity_TU.shape[1])
    identity_X = np.take_along_axis(identity_TU, order_TU, axis=1).ravel()
    rank_X = np.take_along_axis(rank_TU, order_TU, axis=1).ravel()
    is_first_X = (np.diff(identity_X, prepend=identity_X[:1]) != 0) | (
        np.diff(of_step_X, prepend=-1) != 0
    )
    is_first_of_rank_X = is_first_X | (np.diff(rank_X, prepend=-1) != 0)
    twins_X, twins_of_rank_X = np.cumsum(is_first_X) - 1, np.cumsum(is_first_of_rank_X) - 1
    share_X = -(-np.bincount(twins_X)[twins_X] // num_ranks)
    is_above_X = np.bincount(twins_of_rank_X)[twins_of_rank_X] > share_X
    has_above_X = np.bincount(twins_X, weights=is_above_X)[twins_X] > 0
    is_above_TU = np.empty(identity_TU.shape, dtype=np.bool_)
    np.put_along_axis(is_above_TU, order_TU, has_above_X.reshape(identity_TU.shape), axis=1)
    return is_above_TU

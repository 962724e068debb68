"""Batches of P groups with U clips each, as metric learning of speakers takes them. Pure.

Each group's clips are permuted and cut into visits of U; an epoch is all visits of all groups, in
an order that keeps the visits of one group far apart. A batch takes `batch_size / U` visits.

The shards are read window after window, as without groups: a group's clips are permuted within the
windows of `open_shards` shards, and a visit's turn is in the window of its middle clip. Where a
group has fewer than U clips in a window, its visits take them from as many as it takes. Streams
have equally many visits, so that in each step every rank gets those of its own.

Axes: N rows of the index, G groups, V visits, U clips of a visit, R visits of a group in a window,
L visits of a stream.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from loader.dataset import DatasetIndex
from loader.plan import EpochOrder, OrderPolicy, order_of_units, shard_windows, sorted_by
from loader.randomness import OrderStream, order_bits
from loader.spread import put_apart
from loader.targets import class_target_of
from shardwriter.errors import ConfigError

GroupBy = Literal["group", "label", "target"]
Rest = Literal["cycle", "drop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupBatches:
    """Batches hold `clips_per_group` clips of each of their groups."""

    clips_per_group: int
    """U; the loader's `batch_size` is P times it."""
    by: GroupBy = "group"
    """`group` is the index's column, e.g. a speaker or recording; `label` takes clips of the same
    label, of which each then has exactly one; `target` those of the same class of `target`."""
    target: str | None = None
    """Name of a class target."""
    rest: Rest = "cycle"
    """What becomes of the clips of a group that don't fill a visit: `cycle` fills it up with the
    clips of the group's visit before, or where a group has fewer than U with these again and again
    (each repeat is cut elsewhere); `drop` leaves them out, and with them groups with fewer than U.
    Which clips these are differs from epoch to epoch."""

    def __post_init__(self) -> None:
        is_int = isinstance(self.clips_per_group, int)
        if not is_int or isinstance(self.clips_per_group, bool) or self.clips_per_group < 1:
            raise ValueError(
                f"clips_per_group must be a whole number of at least 1, "
                f"got {self.clips_per_group!r}"
            )
        for name, choices in (("by", get_args(GroupBy)), ("rest", get_args(Rest))):
            value = getattr(self, name)
            if value not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
        if (self.by == "target") != (self.target is not None):
            raise ValueError(
                f"by={self.by!r} and target={self.target!r}: the name of a target belongs to "
                "by='target', and only there"
            )

    def num_visits_G(self, size_G: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the visits that groups of some sizes make in an epoch."""
        if self.rest == "cycle":
            return -(-size_G // self.clips_per_group)
        return size_G // self.clips_per_group


def groups_of(index: DatasetIndex, by: GroupBy, target: str | None = None) -> NDArray[np.int64]:
    """Return the group of each row, from 0.

    Raises:
        ConfigError: a clip is in no group, or has several labels where these are the groups, or
            there is no such target.
    """
    if by == "target":
        group_N = class_target_of(index.targets, target or "").values_N.astype(np.int64)
        is_bad_N, what = group_N < 0, f"no {target}"
    elif by == "group":
        group_N = index.group_N.astype(np.int64)
        is_bad_N, what = group_N < 0, "no group"
    else:
        is_bad_N, what = np.diff(index.label_starts) != 1, "not exactly one label"
        group_N = index.label_ids.astype(np.int64)
    if is_bad_N.any():
        row = int(np.argmax(is_bad_N))
        raise ConfigError(
            f"batches by {by}: {is_bad_N.sum()} of {len(index)} samples have {what}, the first is "
            f"{index.where(row)}; choose other samples, or load without group batches"
        )
    return group_N


def num_group_draws(group_N: NDArray[np.int64], batches: GroupBatches) -> int:
    """Return the samples of an epoch, the same for every epoch."""
    return int(batches.num_visits_G(np.bincount(group_N)).sum()) * batches.clips_per_group


def group_order(
    group_N: NDArray[np.int64],
    shard_N: NDArray[np.int32],
    batches: GroupBatches,
    *,
    policy: OrderPolicy,
    seed: int,
    epoch: int,
) -> EpochOrder:
    """Return the global order of an epoch of group batches.

    Args:
        group_N: The group of each row.
        shard_N: The shard of each row.
        batches: How visits are made.
        policy: How shards, clips and groups are mixed.
        seed: Seed of the run.
        epoch: Number of the epoch.
    """
    unit = batches.clips_per_group
    window_N = shard_windows(shard_N, policy=policy, seed=seed, epoch=epoch)
    clips_N = _by_group(group_N, window_N, policy.shuffle, seed=seed, epoch=epoch)
    size_G = np.bincount(group_N)
    visits = _visits(size_G, batches)
    middle_V = clips_N[(np.cumsum(size_G) - size_G)[visits.group_V] + visits.middle_slot_V]
    window_V = window_N[middle_V]
    turn_V = _turns(visits.group_V, window_V, policy.shuffle, seed=seed, epoch=epoch)
    # By window first: of turns alone, those at a window's edge would be in its neighbour's stream.
    stream_V = np.empty(len(turn_V), dtype=np.int64)
    stream_V[np.lexsort((turn_V, window_V))] = (
        np.arange(len(turn_V)) * policy.num_streams // len(turn_V)
    )
    order_V = _in_order(visits.group_V, stream_V, turn_V, min_spread=-(-policy.min_spread // unit))
    group_V = visits.group_V[order_V]
    slot_VU, copy_VU = _slots(visits.number_V[order_V], size_G[group_V], unit)
    first_VU = (np.cumsum(size_G) - size_G)[group_V][:, np.newaxis]
    return order_of_units(
        clips_N[first_VU + slot_VU].ravel(),
        copy_VU.ravel(),
        np.repeat(group_V, unit),
        np.repeat(stream_V[order_V], unit),
        unit=unit,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Visits:
    """The visits of all groups, group after group."""

    group_V: NDArray[np.int64]
    number_V: NDArray[np.int64]
    """Which of its group's visits each is, from 0."""
    middle_slot_V: NDArray[np.int64]
    """Which of its group's clips is the middle one of those that it has for the first time."""


def _visits(size_G: NDArray[np.int64], batches: GroupBatches) -> _Visits:
    visits_G = batches.num_visits_G(size_G)
    group_V = np.repeat(np.arange(len(size_G), dtype=np.int64), visits_G)
    number_V = np.arange(len(group_V)) - (np.cumsum(visits_G) - visits_G)[group_V]
    first_V = number_V * batches.clips_per_group
    stop_V = np.minimum(first_V + batches.clips_per_group, size_G[group_V])
    return _Visits(group_V=group_V, number_V=number_V, middle_slot_V=(first_V + stop_V - 1) // 2)


def _by_group(
    group_N: NDArray[np.int64], window_N: NDArray[np.int64], shuffle: bool, *, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Return all rows, group after group, each window after window, permuted within one.

    Half of the groups begin with the last window: a group's visit that is not full is in the window
    that it ends with, and the first windows should have as many of these as the last.
    """
    num_windows = int(window_N.max()) + 1
    bits_N = np.zeros(len(group_N), dtype=np.uint64)
    if shuffle:
        bits_N = order_bits(len(group_N), seed=seed, epoch=epoch, stream=OrderStream.SAMPLES)
        bits_G = order_bits(
            int(group_N.max()) + 1, seed=seed, epoch=epoch, stream=OrderStream.DIRECTIONS
        )
        is_turned_N = (bits_G >> np.uint64(63)).astype(np.bool_)[group_N]
        window_N = np.where(is_turned_N, num_windows - 1 - window_N, window_N)
    return sorted_by(group_N * num_windows + window_N, bits_N)


def _turns(
    group_V: NDArray[np.int64], window_V: NDArray[np.int64], shuffle: bool, *, seed: int, epoch: int
) -> NDArray[np.float64]:
    """Return when each visit's turn is, in windows: in its own, which begins at its number.

    The visits of a group share its windows out evenly, each at the same place of its part but for
    a quarter of the part to either side. So they keep half of the even distance, and yet meet
    other groups each time.
    """
    num_groups = int(group_V.max()) + 1
    if shuffle:
        place_G = _unit(order_bits(num_groups, seed=seed, epoch=epoch, stream=OrderStream.GROUPS))
        bits_V = order_bits(len(group_V), seed=seed, epoch=epoch, stream=OrderStream.VISITS)
        shift_V = _unit(bits_V) / 2 - 0.25
    else:
        place_G, shift_V = np.arange(num_groups) / num_groups, np.zeros(len(group_V))
    # Within a group windows ascend or descend, so that its visits to a window are a run.
    is_first_V = (np.diff(group_V, prepend=-1) != 0) | (np.diff(window_V, prepend=-1) != 0)
    first_R = np.flatnonzero(is_first_V)
    run_V = np.cumsum(is_first_V) - 1
    count_R = np.diff(first_R, append=len(group_V))
    number_V = np.arange(len(group_V)) - first_R[run_V]
    turns_V: NDArray[np.float64] = (
        window_V + (number_V + place_G[group_V] + shift_V) / count_R[run_V]
    )
    return turns_V


def _in_order(
    group_V: NDArray[np.int64],
    stream_V: NDArray[np.int64],
    turn_V: NDArray[np.float64],
    *,
    min_spread: int,
) -> NDArray[np.int64]:
    """Return the visits in the order of their turns; streams advance side by side."""
    by_turn_V = np.argsort(turn_V, kind="stable")
    lanes = []
    for stream in np.unique(stream_V):
        lane_V = by_turn_V[stream_V[by_turn_V] == stream]
        group_L = group_V[lane_V]
        wanted = math.ceil(min_spread * len(lane_V) / len(group_V)) + 1
        distance = min(wanted, max(1, len(lane_V) // (2 * int(np.bincount(group_L).max()))))
        lanes.append(lane_V[put_apart(group_L, distance)])
    place_V = np.concatenate([(np.arange(len(lane)) + 0.5) / len(lane) for lane in lanes])
    return np.concatenate(lanes)[np.argsort(place_V, kind="stable")]


def _slots(
    number_V: NDArray[np.int64], size_V: NDArray[np.int64], unit: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which of its group's clips each of a visit's is, and which copy of that clip."""
    first_VU = np.repeat(number_V * unit, unit).reshape(-1, unit)
    size_VU = np.repeat(size_V, unit).reshape(-1, unit)
    slot_VU = first_VU + np.arange(unit)
    past_VU = slot_VU - size_VU
    has_before_VU = first_VU > 0
    repeated_VU = np.where(has_before_VU, first_VU - 1 - past_VU, slot_VU % size_VU)
    copy_VU = np.where(has_before_VU, past_VU >= 0, slot_VU // size_VU)
    return np.where(past_VU < 0, slot_VU, repeated_VU), copy_VU.astype(np.int64)


def _unit(bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return numbers in [0, 1)."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53

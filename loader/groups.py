"""Batches of P groups with U clips each, as metric learning of speakers takes them. Pure.

Each group's clips are permuted and cut into visits of U; an epoch is all visits of all groups, in
an order that keeps the visits of one group far apart. A batch takes `batch_size / U` visits.

Axes: N rows of the index, G groups, V visits, U clips of a visit.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from loader.dataset import DatasetIndex
from loader.plan import EpochOrder, order_of_units
from loader.randomness import OrderStream, order_bits
from loader.spread import spread_copies
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
    group's clips from the first on, also again and again where a group has fewer than U (each
    repeat is cut elsewhere); `drop` leaves them out, and with them groups with fewer than U. Which
    clips these are differs from epoch to epoch."""

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
    batches: GroupBatches,
    *,
    shuffle: bool,
    min_spread: int,
    seed: int,
    epoch: int,
) -> EpochOrder:
    """Return the global order of an epoch of group batches.

    Args:
        group_N: The group of each row.
        batches: How visits are made.
        shuffle: Whether clips are permuted within groups, and groups among each other.
        min_spread: Samples from a visit to the next of the same group, where the numbers allow.
        seed: Seed of the run.
        epoch: Number of the epoch.
    """
    unit = batches.clips_per_group
    size_G = np.bincount(group_N)
    visits_G = batches.num_visits_G(size_G)
    clip_bits_N, group_bits_G = _bits(len(group_N), len(size_G), shuffle, seed=seed, epoch=epoch)
    clips_N = np.lexsort((clip_bits_N, group_N))  # group after group, permuted within
    groups = np.argsort(group_bits_G, kind="stable")
    groups = groups[visits_G[groups] > 0]
    turn = (np.arange(len(groups), dtype=np.int64) << 32) // max(len(groups), 1)
    spread = spread_copies(visits_G[groups], turn, min_spread=-(-min_spread // unit))
    group_V = groups[spread.things_M]
    slot_VU = spread.copies_M[:, np.newaxis].astype(np.int64) * unit + np.arange(unit)
    size_VU = np.repeat(size_G[group_V], unit).reshape(slot_VU.shape)
    first_VU = (np.cumsum(size_G) - size_G)[group_V][:, np.newaxis]
    return order_of_units(
        clips_N[first_VU + slot_VU % size_VU].ravel(),
        (slot_VU // size_VU).ravel(),
        np.repeat(group_V, unit),
        unit=unit,
    )


def _bits(
    num_clips: int, num_groups: int, shuffle: bool, *, seed: int, epoch: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    if not shuffle:
        return np.arange(num_clips, dtype=np.uint64), np.arange(num_groups, dtype=np.uint64)
    return (
        order_bits(num_clips, seed=seed, epoch=epoch, stream=OrderStream.SAMPLES),
        order_bits(num_groups, seed=seed, epoch=epoch, stream=OrderStream.GROUPS),
    )

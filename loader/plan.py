"""Which sample comes when: the global order of an epoch. Pure arithmetic over the index.

The order doesn't know how many ranks there are; `loader.stripe` deals it to them. It is made of
visits to shards. The shards of each dataset are permuted and cut into `num_streams` streams; those
of a stream are cut into groups of at most `open_shards`, whose samples are permuted among each
other, and one group follows the other. Streams take turns, sample by sample, and within a stream
the datasets advance side by side, each with its share of every stretch of the epoch.

So a reader touches `open_shards` shards of each dataset and stream at a time, each shard once an
epoch, and a batch holds samples of many. Clips that come several times in an epoch have their first
copy in the visit to their shard, and the others at equal distances around the epoch.

Axes: N rows of the index, M places of the order, D distinct rows in it, V visits to shards.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loader.draws import draw_copies
from loader.randomness import OrderStream, order_bits
from loader.spread import Spread, spread_copies


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPolicy:
    """What decides the global order, besides seed, epoch, dataset and expected copies."""

    shuffle: bool
    open_shards: int
    """Shards that are mixed with each other; has no effect without `shuffle`."""
    num_streams: int = 1
    min_spread: int = 1
    """Places from a copy of a clip to the next, where the numbers allow."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EpochOrder:
    """The samples of one epoch, in the global order."""

    rows_M: NDArray[np.int32]
    copies_M: NDArray[np.int32]
    """Which of the epoch's copies of its row each is, from 0; 0 is the one of the shard's visit."""
    streams_M: NDArray[np.int32]
    identities_M: NDArray[np.int32]
    """What should not come twice in a batch: rows, or groups of them."""
    num_streams: int
    has_twins: bool
    """Whether any identity comes twice."""
    has_repeats: bool
    """Whether any row comes twice."""
    unit: int = 1
    """So many samples in a row belong into one batch."""

    def __len__(self) -> int:
        return len(self.rows_M)


def epoch_order(
    shard_N: NDArray[np.int32],
    *,
    policy: OrderPolicy,
    seed: int,
    epoch: int,
    dataset_of_shard: NDArray[np.int32] | None = None,
    expected_N: NDArray[np.float64] | None = None,
) -> EpochOrder:
    """Return the global order of an epoch.

    Args:
        shard_N: Number of the shard that holds each row.
        policy: How samples are mixed.
        seed: Seed of the run, 0..2**64-1.
        epoch: Number of the epoch, 0..2**64-1.
        dataset_of_shard: Number of the dataset of each shard; `None`: all are of one.
        expected_N: Copies of each row, on average over epochs; `None`: each row once.

    Returns:
        The same for the same arguments on any machine.
    """
    if dataset_of_shard is None:
        dataset_of_shard = np.zeros(int(shard_N.max()) + 1, dtype=np.int32)
    bits_N = (
        order_bits(len(shard_N), seed=seed, epoch=epoch, stream=OrderStream.SAMPLES)
        if policy.shuffle
        else np.zeros(len(shard_N), dtype=np.uint64)
    )
    rank_by_shard = _shard_ranks(shard_N, dataset_of_shard, policy, seed=seed, epoch=epoch)
    sequence_N = sorted_by(rank_by_shard[shard_N], bits_N)
    if expected_N is None:
        copies_N = np.ones(len(shard_N), dtype=np.int64)
    else:
        copies_N = draw_copies(expected_N, sequence_N, seed=seed, epoch=epoch)
        sequence_N = sequence_N[copies_N[sequence_N] > 0]
    shard_D = shard_N[sequence_N]
    dataset_D = dataset_of_shard[shard_D]
    stream_D = _streams(copies_N[sequence_N], dataset_D, policy.num_streams)
    if policy.shuffle:
        group_D = _groups(dataset_D, stream_D, shard_D, open_shards=policy.open_shards)
        mixed_D = sorted_by(group_D, bits_N[sequence_N])
        # Groups ascend along the sequence: datasets and streams stay where they are.
        sequence_N = sequence_N[mixed_D]
    return _interleaved(sequence_N, copies_N[sequence_N], dataset_D, stream_D, policy)


def shard_windows(
    shard_N: NDArray[np.int32], *, policy: OrderPolicy, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Return the window of `open_shards` shards that each row is in, numbered in their order.

    The shards are cut into streams, and these into windows, as in `epoch_order`, but with the
    shards of all datasets in one row.
    """
    one_dataset = np.zeros(int(shard_N.max()) + 1, dtype=np.int32)
    rank_by_shard = _shard_ranks(shard_N, one_dataset, policy, seed=seed, epoch=epoch)
    sequence_N = np.argsort(rank_by_shard[shard_N], kind="stable")
    shard_D = shard_N[sequence_N]
    dataset_D = one_dataset[shard_D]
    stream_D = _streams(np.ones(len(shard_N), dtype=np.int64), dataset_D, policy.num_streams)
    window_N = np.empty(len(shard_N), dtype=np.int64)
    window_N[sequence_N] = _groups(dataset_D, stream_D, shard_D, open_shards=policy.open_shards)
    return window_N


def order_of_units(
    rows_M: NDArray[np.int64],
    copies_M: NDArray[np.int64],
    identities_M: NDArray[np.int64],
    streams_M: NDArray[np.int64],
    *,
    unit: int,
) -> EpochOrder:
    """Return an order that is dealt `unit` samples at a time."""
    return EpochOrder(
        rows_M=rows_M.astype(np.int32),
        copies_M=copies_M.astype(np.int32),
        streams_M=streams_M.astype(np.int32),
        identities_M=identities_M.astype(np.int32),
        num_streams=len(np.unique(streams_M)),
        has_twins=True,
        has_repeats=bool(copies_M.any()),
        unit=unit,
    )


def _shard_ranks(
    shard_N: NDArray[np.int32],
    dataset_of_shard: NDArray[np.int32],
    policy: OrderPolicy,
    *,
    seed: int,
    epoch: int,
) -> NDArray[np.int64]:
    """Return each shard's place: dataset after dataset, permuted within; absent shards have 0."""
    shards = np.flatnonzero(np.bincount(shard_N))
    if policy.shuffle:
        keys = order_bits(len(shards), seed=seed, epoch=epoch, stream=OrderStream.SHARDS)
    else:
        keys = np.arange(len(shards), dtype=np.uint64)
    ranks = np.zeros(len(dataset_of_shard), dtype=np.int64)
    ranks[shards[np.lexsort((keys, dataset_of_shard[shards]))]] = np.arange(len(shards))
    return ranks


def _streams(
    copies_D: NDArray[np.int64], dataset_D: NDArray[np.int32], num_streams: int
) -> NDArray[np.int64]:
    """Cut each dataset, in its order of shards, into streams with equally many copies."""
    if num_streams == 1:
        return np.zeros(len(copies_D), dtype=np.int64)
    before_D = np.cumsum(copies_D) - copies_D
    totals = np.bincount(dataset_D, weights=copies_D).astype(np.int64)
    starts = np.cumsum(totals) - totals
    return (before_D - starts[dataset_D]) * num_streams // totals[dataset_D]


def _groups(
    dataset_D: NDArray[np.int32],
    stream_D: NDArray[np.int64],
    shard_D: NDArray[np.int32],
    *,
    open_shards: int,
) -> NDArray[np.int64]:
    """Return which group of shards each row is mixed in; groups of a stream hold equally many.

    Args:
        dataset_D: Along the sequence, ascending.
        stream_D: Along the sequence, ascending within a dataset.
        shard_D: Along the sequence, each shard's rows in one stretch.
        open_shards: Shards in a group, at most.
    """
    lane_D = dataset_D * (int(stream_D.max()) + 1) + stream_D
    is_new_lane_D = np.diff(lane_D, prepend=-1) != 0
    is_new_visit_D = is_new_lane_D | (np.diff(shard_D, prepend=-1) != 0)
    lane_V = np.cumsum(is_new_lane_D[is_new_visit_D]) - 1
    visits_per_lane = np.bincount(lane_V)
    place_V = np.arange(len(lane_V)) - (np.cumsum(visits_per_lane) - visits_per_lane)[lane_V]
    groups_per_lane = -(-visits_per_lane // open_shards)
    group_V = place_V * groups_per_lane[lane_V] // visits_per_lane[lane_V]
    group_V += (np.cumsum(groups_per_lane) - groups_per_lane)[lane_V]
    groups_D: NDArray[np.int64] = group_V[np.cumsum(is_new_visit_D) - 1]
    return groups_D


def _interleaved(
    rows_D: NDArray[np.int64],
    copies_D: NDArray[np.int64],
    dataset_D: NDArray[np.int32],
    stream_D: NDArray[np.int64],
    policy: OrderPolicy,
) -> EpochOrder:
    """Spread copies within each stream's part of a dataset, and let the parts take turns."""
    streams = np.unique(stream_D)  # a clip of many copies can leave a stream without any
    by_stream = []
    for stream in streams:
        place_D = np.flatnonzero(stream_D == stream)
        lanes = [place_D[dataset_D[place_D] == d] for d in np.unique(dataset_D[place_D])]
        by_stream.append(
            _in_turns([_spread_lane(lane, copies_D, policy.min_spread) for lane in lanes])
        )
    spread = _in_turns(by_stream)
    rows_M = rows_D[spread.things_M].astype(np.int32)
    return EpochOrder(
        rows_M=rows_M,
        copies_M=spread.copies_M,
        streams_M=stream_D[spread.things_M].astype(np.int32),
        identities_M=rows_M,
        num_streams=len(streams),
        has_twins=len(rows_M) > len(rows_D),
        has_repeats=len(rows_M) > len(rows_D),
    )


def _spread_lane(lane_D: NDArray[np.int64], copies_D: NDArray[np.int64], min_spread: int) -> Spread:
    """Return the order of some of the rows, each at its place or, with copies, around it.

    So many places of the lane are `min_spread` of the whole order; the rest comes in between.
    """
    count = copies_D[lane_D]
    share = count.sum() / copies_D.sum()
    turn = ((2 * np.arange(len(lane_D), dtype=np.int64) + 1) << 31) // len(lane_D)
    spread = spread_copies(count, turn, min_spread=math.ceil(min_spread * share) + 1)
    return Spread(things_M=lane_D[spread.things_M], copies_M=spread.copies_M)


def _in_turns(parts: Sequence[Spread]) -> Spread:
    """Merge orders so that each advances evenly, by its own length, from the beginning to the end.

    Of any stretch from the beginning each part has what is due to it, off by at most half the
    number of parts.
    """
    if len(parts) == 1:
        return parts[0]
    lengths = [len(part.things_M) for part in parts]
    turn_M = np.concatenate([(np.arange(length) + 0.5) / length for length in lengths])
    order_M = np.argsort(turn_M, kind="stable")
    return Spread(
        things_M=np.concatenate([part.things_M for part in parts])[order_M],
        copies_M=np.concatenate([part.copies_M for part in parts])[order_M],
    )


def sorted_by(major_N: NDArray[np.int64], bits_N: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the order by one number, then by random bits, then by place.

    Major number in the high bits, randomness below: one sort of numbers takes a quarter of
    lexsort's time. Where two rows' remaining bits agree, which is rare, the index decides.
    """
    num_bits = (int(major_N.max()) + 1).bit_length()
    keys_N = major_N.astype(np.uint64) << np.uint64(64 - num_bits)
    keys_N |= bits_N >> np.uint64(num_bits)
    return np.argsort(keys_N, kind="stable")

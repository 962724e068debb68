"""Which sample comes when, and on which rank. Pure arithmetic over the index.

One epoch has one global order that doesn't know how many ranks there are. A step takes the next
`num_ranks * batch_size` samples of it and deals them to the ranks in blocks::

    order   | cursor ...                                                  | end
    step 0  | rank 0: B samples | rank 1: B samples | ... | rank W-1: B samples |
    step 1  | rank 0: ...

So all ranks have equally many steps, known beforehand, and a run that is resumed with another
world or batch size goes on at the cursor with exactly the samples that are left.

Axes: N samples of the selection, B rows of a batch.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loader.config import Tail
from loader.randomness import OrderStream, order_bits


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPolicy:
    """What decides the global order, besides seed, epoch and dataset."""

    shuffle: bool
    open_shards: int
    """Shards that are mixed with each other; has no effect without `shuffle`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """The samples of one rank in one step."""

    rows_B: NDArray[np.int64]
    """Rows of the dataset index."""
    is_padding_B: NDArray[np.bool_]
    """Rows that repeat a sample only to fill the batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stripe:
    """How one rank cuts its batches out of the global order."""

    rank: int
    num_ranks: int
    batch_size: int
    tail: Tail

    @property
    def samples_per_step(self) -> int:
        """Samples that one step takes from the order, on all ranks together."""
        return self.num_ranks * self.batch_size

    def num_steps(self, num_remaining: int) -> int:
        """Return the steps that `num_remaining` samples give: the same number on every rank."""
        if self.tail == "drop":
            return num_remaining // self.samples_per_step
        return -(-num_remaining // self.samples_per_step)

    def cursor_after(self, cursor: int, num_steps: int, *, num_total: int) -> int:
        """Return how many samples of the order are used up `num_steps` steps after `cursor`."""
        return min(cursor + num_steps * self.samples_per_step, num_total)

    def step(self, order_N: NDArray[np.int64], *, cursor: int, step: int) -> StepPlan:
        """Return this rank's rows in step `step` (from 0) of an iteration begun at `cursor`.

        Past the order's end the rows begin again at its start, as often as it takes; with the
        tail `pad` these rows are marked, with `cycle` they are samples like any other.
        """
        first = cursor + step * self.samples_per_step + self.rank * self.batch_size
        positions_B = first + np.arange(self.batch_size, dtype=np.int64)
        is_past_end_B = positions_B >= len(order_N)
        return StepPlan(
            rows_B=order_N[positions_B % len(order_N)],
            is_padding_B=is_past_end_B if self.tail == "pad" else np.zeros_like(is_past_end_B),
        )


def epoch_order(
    shard_N: NDArray[np.int32], *, policy: OrderPolicy, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Return the global order of an epoch: each row of the selection once.

    Without shuffling it is the order of the index. With it, the shards are permuted and cut
    into groups of at most `open_shards`, of equal size but for one shard; a group's samples are
    permuted among each other, and one group follows the other. So a reader touches
    `open_shards` shards at a time, each once an epoch, and a batch holds samples of many.

    Args:
        shard_N: Number of the shard that holds each row.
        policy: How samples are mixed.
        seed: Seed of the run, 0..2**64-1.
        epoch: Number of the epoch, 0..2**64-1.

    Returns:
        A permutation of 0..N-1, the same for the same arguments on any machine.
    """
    if not policy.shuffle:
        return np.arange(len(shard_N), dtype=np.int64)
    shards = np.flatnonzero(np.bincount(shard_N))
    shard_keys = order_bits(len(shards), seed=seed, epoch=epoch, stream=OrderStream.SHARDS)
    num_groups = -(-len(shards) // policy.open_shards)
    group_by_shard = np.zeros(shards[-1] + 1, dtype=np.uint64)
    group_by_shard[shards[np.argsort(shard_keys, kind="stable")]] = (
        np.arange(len(shards)) * num_groups // len(shards)
    )
    # Group in the high bits, randomness below: one sort of numbers takes a quarter of lexsort's
    # time. Where two samples' remaining bits agree, which is rare, the index decides.
    sample_keys_N = order_bits(len(shard_N), seed=seed, epoch=epoch, stream=OrderStream.SAMPLES)
    num_group_bits = num_groups.bit_length()
    sort_keys_N = group_by_shard[shard_N] << np.uint64(64 - num_group_bits)
    sort_keys_N |= sample_keys_N >> np.uint64(num_group_bits)
    return np.argsort(sort_keys_N, kind="stable")

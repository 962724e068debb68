"""How the global order of an epoch is dealt to ranks. Pure arithmetic.

A step takes the next `num_ranks * batch_size` samples of the order, whatever the world is, and
deals them to the ranks::

    order   | cursor ...                                                       | end
    step 0  | W * B samples: B for rank 0, B for rank 1, ..., B for rank W - 1 |
    step 1  | ...

So all ranks have equally many steps, known beforehand, and a run that is resumed with another
world or batch size goes on at the cursor with exactly the samples that are left.

Within a step, a rank gets the samples of neighbouring streams (see `loader.plan`), so that it keeps
to its own shards. Only clips of which a rank would so get two copies, and as many others in their
place, go to other ranks, see `loader.twins`.

Axes: M places of the order, S steps, Q samples of a step on all ranks, B rows of a batch.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loader.config import Tail
from loader.plan import EpochOrder
from loader.twins import ranks_of_units


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """The samples of one rank in one step."""

    rows_B: NDArray[np.int64]
    """Rows of the dataset index."""
    copies_B: NDArray[np.int64]
    """Which of the epoch's copies of its clip each is, from 0."""
    is_padding_B: NDArray[np.bool_]
    """Rows that repeat a sample only to fill the batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stripe:
    """How one rank cuts its batches out of the global order."""

    rank: int
    num_ranks: int
    batch_size: int
    """A multiple of the order's `unit`."""
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

    def deal(
        self, order: EpochOrder, *, cursor: int, ranks: range | None = None
    ) -> NDArray[np.int64]:
        """Return the places of the order that this rank gets in each step from `cursor` on.

        Places ascend within a step. Past the order's end it begins again at its start, as often
        as it takes; `step` tells these places by their numbers.

        Args:
            order: Of the epoch.
            cursor: Where to begin.
            ranks: Neighbouring ranks, to return what all of them get; `None`: this one.

        Returns:
            Places of shape (S, B), for several ranks so many times B, from `cursor` to below
            `cursor + S * Q`.
        """
        ranks = range(self.rank, self.rank + 1) if ranks is None else ranks
        num_steps = self.num_steps(len(order) - cursor)
        num_places = num_steps * self.samples_per_step
        place_SQ = np.arange(cursor, cursor + num_places).reshape(num_steps, self.samples_per_step)
        if self.num_ranks == 1 or not num_steps:
            return place_SQ[:, : len(ranks) * self.batch_size]
        # Units of several samples, as the clips of one speaker, stay together: deal their heads.
        head_SU = place_SQ[:, :: order.unit]
        dealt_SU = self._dealt_units(order, head_SU, ranks)
        head_SP = np.take_along_axis(head_SU, dealt_SU, axis=1)
        place_SPU = head_SP[:, :, np.newaxis] + np.arange(order.unit, dtype=np.int64)
        return place_SPU.reshape(num_steps, len(ranks) * self.batch_size)

    def step(self, order: EpochOrder, place_B: NDArray[np.int64]) -> StepPlan:
        """Return the samples at some places of the order.

        With the tail `pad` places past its end are marked, with `cycle` they are samples like
        any other.
        """
        is_past_end_B = place_B >= len(order)
        within_B = place_B % len(order)
        return StepPlan(
            rows_B=order.rows_M[within_B].astype(np.int64),
            copies_B=order.copies_M[within_B].astype(np.int64),
            is_padding_B=is_past_end_B if self.tail == "pad" else np.zeros_like(is_past_end_B),
        )

    def _dealt_units(
        self, order: EpochOrder, head_SU: NDArray[np.int64], ranks: range
    ) -> NDArray[np.int64]:
        """Return which units of each step some neighbouring ranks get, ascending."""
        within_SU = head_SU % len(order)
        num_steps, num_units = head_SU.shape[0], head_SU.shape[1] // self.num_ranks
        mine = slice(ranks.start * num_units, ranks.stop * num_units)
        if order.num_streams > 1:
            all_SU = np.argsort(order.streams_M[within_SU], axis=1, kind="stable")
        else:
            all_SU = np.tile(np.arange(head_SU.shape[1]), (num_steps, 1))
        dealt_SU = np.sort(all_SU[:, mine], axis=1)
        if not order.has_twins and head_SU[-1, -1] < len(order):
            return dealt_SU
        identity_SU = order.identities_M[within_SU].astype(np.int64)
        if self.tail == "pad":
            identity_SU[head_SU >= len(order)] = -1 - head_SU[head_SU >= len(order)]
        identity_SU = np.take_along_axis(identity_SU, all_SU, axis=1)
        by_rank_SRU = identity_SU.reshape(num_steps, self.num_ranks, num_units)
        has_twins_S = (np.diff(np.sort(by_rank_SRU, axis=2), axis=2) == 0).any(axis=(1, 2))
        rank_TU = ranks_of_units(identity_SU[has_twins_S], self.num_ranks)
        is_mine_TU = (rank_TU >= ranks.start) & (rank_TU < ranks.stop)
        mine_TU = all_SU[has_twins_S][is_mine_TU].reshape(-1, len(ranks) * num_units)
        dealt_SU[has_twins_S] = np.sort(mine_TU, axis=1)
        return dealt_SU

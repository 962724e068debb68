"""Encoded clips kept in memory between their copies of an epoch, within a budget.

The whole order is known, so a clip is kept if, and as long as, no clip with an earlier next use on
this rank needs its place (Belady 1966); else it is read again. What is delivered never depends on
it, only where bytes come from.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loader.stripe import StepPlan

NEVER = np.iinfo(np.int64).max
"""Stands in for the next use of what is not used again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferStats:
    """What a buffer has planned since the loader was made; batches made ahead are in it."""

    num_hits: int = 0
    """Copies whose bytes were kept for them."""
    num_rereads: int = 0
    """Copies that are read again, because the budget didn't hold them."""
    num_bytes_held: int = 0
    """Now; batches being made hold their own clips besides."""
    max_bytes_held: int = 0


@dataclass(slots=True, eq=False)
class _Kept:
    """A clip on its way from one use to the next; empty until it has been read."""

    num_bytes: int
    next_use: int
    data: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where one clip of a batch comes from, and where it is kept afterwards."""

    before: _Kept | None = None
    after: _Kept | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """The samples of one rank in one step, and where their bytes come from."""

    plan: StepPlan
    sources: Sequence[Source]
    lost_places: frozenset[int] = frozenset()
    """Places of the batch whose samples are known to be lost: nothing is fetched for them."""


def next_uses(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each entry where the same row comes next, and `NEVER` for its last."""
    order = np.argsort(rows, kind="stable")
    following = np.full(len(rows), NEVER, dtype=np.int64)
    is_same = np.diff(rows[order]) == 0
    following[order[:-1][is_same]] = order[1:][is_same]
    return following


class ResamplingBuffer:
    """Decides which clips stay; `plan` is called by one thread in the order of batches."""

    def __init__(self, *, max_bytes: int) -> None:
        """Begin with nothing; `max_bytes` is the budget for clips that wait for their next use."""
        self._max_bytes = max_bytes
        self._kept: dict[int, _Kept] = {}
        self._by_next_use: list[tuple[int, int]] = []
        self._num_bytes = self._max_held = self._num_hits = self._num_rereads = 0

    def begin(self) -> None:
        """Forget everything, for an iteration from another position."""
        self._kept, self._by_next_use, self._num_bytes = {}, [], 0

    def plan(
        self,
        rows_B: NDArray[np.int64],
        num_bytes_B: NDArray[np.int64],
        next_use_B: NDArray[np.int64],
        is_repeat_B: NDArray[np.bool_],
    ) -> tuple[Source, ...]:
        """Decide where the clips of the next batch come from, and which stay.

        Args:
            rows_B: Rows of the index.
            num_bytes_B: Encoded size of each.
            next_use_B: From `next_uses`, over all of this iteration's batches.
            is_repeat_B: Whether this iteration has read the row before.
        """
        sources = []
        for row, num_bytes, next_use, is_repeat in zip(
            rows_B.tolist(),
            num_bytes_B.tolist(),
            next_use_B.tolist(),
            is_repeat_B.tolist(),
            strict=True,
        ):
            before = self._let_go(row)
            self._num_hits += before is not None
            self._num_rereads += is_repeat and before is None
            after = self._keep(row, num_bytes, next_use) if next_use != NEVER else None
            sources.append(Source(before=before, after=after))
        return tuple(sources)

    def take(self, source: Source, read: Callable[[], bytes]) -> bytes:
        """Return an encoded clip, kept or by `read`; any thread may call it.

        A clip whose last use is still being read is read a second time: waiting for another
        thread could stall, a second read can't.
        """
        data = None if source.before is None else source.before.data
        if data is None:
            data = read()
        if source.after is not None:
            source.after.data = data
        return data

    def stats(self) -> BufferStats:
        """Return the counts so far."""
        return BufferStats(
            num_hits=self._num_hits,
            num_rereads=self._num_rereads,
            num_bytes_held=self._num_bytes,
            max_bytes_held=self._max_held,
        )

    def _keep(self, row: int, num_bytes: int, next_use: int) -> _Kept | None:
        if num_bytes > self._max_bytes:
            return None
        kept = self._kept[row] = _Kept(num_bytes=num_bytes, next_use=next_use)
        self._num_bytes += num_bytes
        heapq.heappush(self._by_next_use, (-next_use, row))
        while self._num_bytes > self._max_bytes:
            latest, other = heapq.heappop(self._by_next_use)
            # An entry of the heap may be of a keep that has ended.
            if other in self._kept and self._kept[other].next_use == -latest:
                self._let_go(other)
        if len(self._by_next_use) > 2 * len(self._kept) + 64:
            self._by_next_use = [(-item.next_use, row) for row, item in self._kept.items()]
            heapq.heapify(self._by_next_use)
        self._max_held = max(self._max_held, self._num_bytes)
        return kept if self._kept.get(row) is kept else None

    def _let_go(self, row: int) -> _Kept | None:
        kept = self._kept.pop(row, None)
        if kept is not None:
            self._num_bytes -= kept.num_bytes
        return kept

"""One pass over what is left of an epoch: counts steps, takes the time, can be ended early."""

import time
import weakref
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace

from loader.batch import ClipBatch
from loader.stats import FillStats


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A batch that the training loop is about to get, and what it took."""

    batch: ClipBatch
    fills: list[FillStats]
    is_last: bool
    """Whether the epoch has no further step."""
    wait_seconds: float
    """How long the training loop waited for it."""
    loop_seconds: float | None
    """Time between the batch before and the request for this one; `None` for the first."""


class EpochIterator:
    """Hands out batches, each noted by the loader before the training loop has it."""

    def __init__(
        self,
        batches: Generator[tuple[ClipBatch, list[FillStats]], None, None],
        *,
        num_steps: int,
        on_delivery: Callable[[Delivery], None],
        on_end: Callable[[], None],
    ) -> None:
        self._batches = batches
        self._num_steps_left = num_steps
        self._on_delivery = on_delivery
        self._on_end = on_end
        self._is_closed = False
        self._returned_at: float | None = None
        # Also runs before the interpreter takes its modules apart, which the generator's own
        # clean-up would come too late for.
        weakref.finalize(self, batches.close)

    def __iter__(self) -> Iterator[ClipBatch]:
        return self

    def __next__(self) -> ClipBatch:
        """Return the next batch.

        Raises:
            RuntimeError: the pass was ended from outside, or an earlier batch failed.
        """
        if not self._num_steps_left:
            if not self._is_closed:
                self.close()
                self._on_end()
            raise StopIteration
        asked_at = time.perf_counter()
        made = next(self._batches, None)
        if made is None:
            raise RuntimeError(
                "this iteration has ended early: another one was begun, the loader was moved or "
                "closed, or a batch failed; go on with a new iter(loader)"
            )
        batch, fills = made
        batch = _renamed(batch, fills)
        self._num_steps_left -= 1
        got_at = time.perf_counter()
        self._on_delivery(
            Delivery(
                batch=batch,
                fills=fills,
                is_last=not self._num_steps_left,
                wait_seconds=got_at - asked_at,
                loop_seconds=None if self._returned_at is None else asked_at - self._returned_at,
            )
        )
        self._returned_at = got_at
        return batch

    def close(self) -> None:
        """End the pass: what was made ahead is thrown away, the threads end by themselves."""
        self._is_closed = True
        self._batches.close()


def _renamed(batch: ClipBatch, fills: list[FillStats]) -> ClipBatch:
    """Return the batch with the keys of the clips that stand in for others."""
    key_by_place = {each.place: each.key for fill in fills for each in fill.replaced}
    if not key_by_place:
        return batch
    keys = (key_by_place.get(place, key) for place, key in enumerate(batch.keys))
    return replace(batch, keys=tuple(keys))

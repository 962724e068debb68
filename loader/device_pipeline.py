"""The way of a batch onto the device, ahead of the training step and beside it.

    loader ─AudioBatch, pinned int16─▶ copy, features, augmentation on a side stream ─▶ FeatureBatch
                                       while the step before runs on the current stream

On a CPU there is nothing to be beside: each batch is made when it is asked for, with the same
results.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from loader.batch import ClipBatch
from loader.feature_batch import FeatureBatch
from loader.loader import BatchT, ShardLoader
from loader.side_stream import BegunFeatures, DevicePipelineStats, SideStream


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """The loader's place behind a batch."""

    state: dict[str, Any]
    steps_remaining: int
    epoch: int

    def is_behind(self, other: "_Place") -> bool:
        """Whether batches lie between here and there; at an epoch's end the loader moves on."""
        return (self.epoch, -self.steps_remaining) < (other.epoch, -other.steps_remaining)


class DevicePipeline:
    """Iterates over what is left of the loader's epoch, as features on the device.

    Take the position for checkpoints from here and load it here: the loader itself is already some
    batches further. Leaving the loop early and iterating again goes on with the next batch, as with
    the loader.
    """

    def __init__(
        self,
        loader: ShardLoader[BatchT],
        features: Callable[[BatchT, int], FeatureBatch],
        *,
        device: torch.device,
        depth: int = 1,
    ) -> None:
        """Put it together; nothing runs yet.

        Args:
            loader: Where batches come from; with pinned memory, or the copies won't overlap.
            features: Copies a batch to the device, without waiting, and makes its features there
                where it holds none; is told the epoch. What it computes may depend on these two,
                not on the order of calls.
            device: Where to.
            depth: Batches made ahead of the one in use; each takes memory on the device.

        Raises:
            ValueError: a depth below 1.
        """
        if depth < 1:
            raise ValueError(f"depth must be at least 1, got {depth}")
        self.loader: ShardLoader[Any] = loader
        self._features: Callable[[Any, int], FeatureBatch] = features
        self._depth = depth
        self._side = SideStream(device) if device.type == "cuda" else None
        self._current: _Place | None = None

    def __iter__(self) -> Iterator[FeatureBatch]:
        """Yield the rest of the epoch; at its end the loader stands at the next one's beginning."""
        current, self._current = self._current, None
        if current is not None and current.steps_remaining and current.is_behind(self._place()):
            # What was made ahead is lost with the loop that was left.
            self.loader.load_state_dict(current.state)
        batches = iter(self.loader)
        self._current = self._place()  # until a batch is handed out: one that is read may fail
        if self._side is None:
            for batch in batches:
                features = self._features(batch, self.loader.epoch)
                self._current = self._place()
                yield features
        else:
            yield from self._ahead(batches, self._side)
        self._current = None

    def state_dict(self) -> dict[str, Any]:
        """Return the loader's position behind the batch that was handed out last."""
        return self.loader.state_dict() if self._current is None else self._current.state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a saved position, as `ShardLoader.load_state_dict` does."""
        self._current = None
        self.loader.load_state_dict(state)

    @property
    def steps_remaining(self) -> int:
        """Batches of this epoch that were not yet handed out."""
        current = self._current
        return self.loader.steps_remaining if current is None else current.steps_remaining

    @property
    def epoch(self) -> int:
        """Number of the epoch of the batch that was handed out last."""
        return self.loader.epoch if self._current is None else self._current.epoch

    def stats(self) -> DevicePipelineStats:
        """Return what was measured of the batches that are done; waits for nothing."""
        return DevicePipelineStats() if self._side is None else self._side.stats()

    def _ahead(self, batches: Iterator[ClipBatch], side: SideStream) -> Iterator[FeatureBatch]:
        staged: deque[tuple[BegunFeatures, _Place]] = deque()
        side.follow()
        for batch in batches:
            begun = side.begin(partial(self._features, batch, self.loader.epoch))
            staged.append((begun, self._place()))
            if len(staged) > self._depth:
                yield self._hand_over(staged.popleft(), side)
        while staged:
            yield self._hand_over(staged.popleft(), side)

    def _hand_over(self, staged: tuple[BegunFeatures, _Place], side: SideStream) -> FeatureBatch:
        begun, self._current = staged
        return side.hand_over(begun)

    def _place(self) -> _Place:
        return _Place(
            state=self.loader.state_dict(),
            steps_remaining=self.loader.steps_remaining,
            epoch=self.loader.epoch,
        )

"""The way of a batch onto the device, ahead of the training step and beside it.

    loader ─AudioBatch, pinned int16─▶ copy, features, augmentation on a side stream ─▶ FeatureBatch
                                       while the step before runs on the current stream

On a CPU there is nothing to be beside: each batch is made when it is asked for, with the same
results.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from loader.batch import ClipBatch
from loader.feature_batch import FeatureBatch
from loader.loader import BatchT, ShardLoader

_cuda: Any = torch.cuda


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePipelineStats:
    """What the side stream took, and how much of it the training step had to wait for."""

    num_batches: int = 0
    """Batches measured; only on CUDA."""
    side_seconds: float = 0.0
    """Device time of copies and features."""
    exposed_seconds: float = 0.0
    """Part of it that the step's stream waited for."""

    @property
    def overlap(self) -> float | None:
        """Share of the side stream's time that was hidden behind steps; None if none is known."""
        if not self.side_seconds:
            return None
        return 1 - min(1.0, self.exposed_seconds / self.side_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Staged:
    """A batch whose features are made, or being made, and the loader's place behind it."""

    features: FeatureBatch
    state: dict[str, Any]
    steps_remaining: int
    epoch: int
    began: Any = None
    ended: Any = None
    """Events on the side stream, around the features; only on CUDA."""


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
        self._device = device
        self._depth = depth
        self._side: Any | None = (  # torch has no types for streams and events
            _cuda.Stream(device) if device.type == "cuda" else None
        )
        self._current: _Staged | None = None
        self._timings: deque[tuple[Any, Any, Any]] = deque()
        self._stats = DevicePipelineStats()

    def __iter__(self) -> Iterator[FeatureBatch]:
        """Yield the rest of the epoch; at its end the loader stands at the next one's beginning."""
        current, self._current = self._current, None
        if current is not None and current.steps_remaining > self.loader.steps_remaining:
            # What was made ahead is lost with the loop that was left.
            self.loader.load_state_dict(current.state)
        batches = iter(self.loader)
        if self._side is None:
            for batch in batches:
                self._current = self._place(self._features(batch, self.loader.epoch))
                yield self._current.features
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
        while self._timings and self._timings[0][0].query() and self._timings[0][2].query():
            asked, began, ended = self._timings.popleft()
            exposed_ms = max(0.0, min(asked.elapsed_time(ended), began.elapsed_time(ended)))
            self._stats = DevicePipelineStats(
                num_batches=self._stats.num_batches + 1,
                side_seconds=self._stats.side_seconds + began.elapsed_time(ended) / 1000,
                exposed_seconds=self._stats.exposed_seconds + exposed_ms / 1000,
            )
        return self._stats

    def _ahead(self, batches: Iterator[ClipBatch], side: Any) -> Iterator[FeatureBatch]:
        staged: deque[_Staged] = deque()
        for batch in batches:
            staged.append(self._begin(batch, side))
            if len(staged) > self._depth:
                yield self._hand_out(staged.popleft())
        while staged:
            yield self._hand_out(staged.popleft())

    def _begin(self, batch: ClipBatch, side: Any) -> _Staged:
        began, ended = (_cuda.Event(enable_timing=True) for _ in range(2))
        with torch.cuda.stream(side):
            began.record(side)
            features = self._features(batch, self.loader.epoch)
            ended.record(side)
        return self._place(features, began=began, ended=ended)

    def _place(
        self,
        features: FeatureBatch,
        *,
        began: Any = None,
        ended: Any = None,
    ) -> _Staged:
        return _Staged(
            features=features,
            state=self.loader.state_dict(),
            steps_remaining=self.loader.steps_remaining,
            epoch=self.loader.epoch,
            began=began,
            ended=ended,
        )

    def _hand_out(self, staged: _Staged) -> FeatureBatch:
        stream = torch.cuda.current_stream(self._device)
        asked = _cuda.Event(enable_timing=True)
        asked.record(stream)  # reached when the steps before are done
        stream.wait_event(staged.ended)
        for tensor in staged.features.tensors():
            # Its memory was taken on the side stream: don't reuse it before the step is done.
            tensor.record_stream(stream)
        self._timings.append((asked, staged.began, staged.ended))
        self._current = staged
        return staged.features

"""A CUDA stream beside the training step's, on which features are made, and what it took."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from loader.feature_batch import FeatureBatch

_cuda: Any = torch.cuda  # torch has no types for streams and events


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BegunFeatures:
    """Features that are being made, between two events on the side stream."""

    features: FeatureBatch
    began: Any
    ended: Any


class SideStream:
    """Makes features on a stream of its own, and hands them over to the current one."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = _cuda.Stream(device)
        self._timings: deque[tuple[Any, Any, Any]] = deque()
        self._stats = DevicePipelineStats()

    def follow(self) -> None:
        """Let what comes wait for what the current stream was told: it may have made constants."""
        self._stream.wait_stream(_cuda.current_stream(self._device))

    def begin(self, make: Callable[[], FeatureBatch]) -> BegunFeatures:
        """Put the making of a batch's features on the side stream, without waiting for it."""
        began, ended = (_cuda.Event(enable_timing=True) for _ in range(2))
        with _cuda.stream(self._stream):
            began.record(self._stream)
            features = make()
            ended.record(self._stream)
        return BegunFeatures(features=features, began=began, ended=ended)

    def hand_over(self, begun: BegunFeatures) -> FeatureBatch:
        """Return the features for use on the current stream, which waits for them."""
        stream = _cuda.current_stream(self._device)
        asked = _cuda.Event(enable_timing=True)
        asked.record(stream)  # reached when the steps before are done
        stream.wait_event(begun.ended)
        for tensor in begun.features.tensors():
            # Its memory was taken on the side stream: don't reuse it before the step is done.
            tensor.record_stream(stream)
        self.stats()  # lets go of the events of batches that are done
        self._timings.append((asked, begun.began, begun.ended))
        return begun.features

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

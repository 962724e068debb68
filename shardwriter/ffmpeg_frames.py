"""FFmpeg's decoded frames → blocks of channels for the mixdown.

A frame is about a thousand samples, 200 of them a clip of 5 s, and numpy's calls for one cost more
than its samples do. So frames are first strung together, in FFmpeg's own queue.
"""

from collections.abc import Sequence
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from shardwriter.mixdown import Mixdown, Pcm, Wave

_FORMATS: dict[str, tuple[np.dtype[Any], float]] = {
    # FFmpeg's sample format without the p of "planar": numpy type, value of full scale
    "u8": (np.dtype(np.uint8), 32768.0),
    "s16": (np.dtype(np.int16), 32768.0),
    "s32": (np.dtype(np.int32), float(1 << 31)),
    "flt": (np.dtype(np.float32), 1.0),
    "dbl": (np.dtype(np.float64), 1.0),
}
_UINT8 = _FORMATS["u8"][0]
_BLOCK_SAMPLES = 1 << 14
"""Fits a core's cache with all its channels, and is mixed in one go."""


def is_readable(sample_format: str) -> bool:
    """Tell whether frames of FFmpeg's sample format of this name can be mixed."""
    return sample_format.removesuffix("p") in _FORMATS


class FrameMixer:
    """Mixes the frames of one stream, which all have the same rate, channels and format."""

    def __init__(self, mixdown: Mixdown, *, sample_format: str) -> None:
        """Begin a stream whose frames are of a format that `is_readable`."""
        self.mixdown = mixdown
        self._sample_type, self._full_scale = _FORMATS[sample_format.removesuffix("p")]
        self._is_planar = sample_format.endswith("p")
        self._queue = av.AudioFifo()
        self._num_queued = 0
        self._max_queued = self._num_to_wait_for()

    def add(self, frame: av.AudioFrame) -> None:
        """Take the next frame, which loses its time.

        Raises:
            AudioError: the file is longer than allowed.
        """
        frame.pts = None  # the queue would compare times, and refuse those that begin late
        self._queue.write(frame)
        self._num_queued += frame.samples
        if self._num_queued >= self._max_queued:
            self.flush()

    def flush(self) -> None:
        """Mix what is queued.

        Raises:
            AudioError: the file is longer than allowed.
        """
        block = self._queue.read()
        if block is not None:
            self.mixdown.add(_channels(block, self._sample_type, self._is_planar))
        self._num_queued = 0
        self._max_queued = self._num_to_wait_for()

    def finish(self) -> Wave | Pcm:
        """Return the wave; the queue has been flushed."""
        return self.mixdown.finish(full_scale=self._full_scale)

    def _num_to_wait_for(self) -> int:
        return min(_BLOCK_SAMPLES, self.mixdown.deadline - self.mixdown.position)


def _channels(
    frame: av.AudioFrame, dtype: np.dtype[Any], is_planar: bool
) -> Sequence[npt.NDArray[Any]]:
    """Return the samples of each channel, without a copy: the arrays keep the frame alive."""
    planes: list[npt.NDArray[Any]]
    num_samples, num_channels = frame.samples, frame.layout.nb_channels
    if is_planar:
        # PyAV 18.1 counts planes up to an empty one: where there are eight or more, none is, and
        # what it takes for further ones lies anywhere.
        held = frame.planes[:num_channels]
        planes = [np.frombuffer(memoryview(plane), dtype, num_samples) for plane in held]
    else:
        packed = np.frombuffer(memoryview(frame.planes[0]), dtype, num_samples * num_channels)
        planes = list(packed.reshape(-1, num_channels).T)
    if dtype is _UINT8:
        return [(plane.astype(np.int16) - 128) << 8 for plane in planes]
    return planes

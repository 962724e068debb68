"""Blocks of decoded channels → one mono wave, cut by samples, of bounded length.

Mixing block by block keeps the memory of a decoder at one block of all channels and the wave
that is wanted, whatever a header claims.

Axes: T samples, C channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shardwriter.errors import AudioError
from shardwriter.schema import RejectionReason

Wave = npt.NDArray[np.float32]
Pcm = npt.NDArray[np.int16]

MAX_CHANNELS = 32
MIN_SAMPLE_RATE_HZ = 1_000
MAX_SAMPLE_RATE_HZ = 768_000
MAX_MONO_SAMPLES = 1 << 28
"""1 GiB as float32: nearly 100 minutes at 48 kHz. Holds whatever `max_seconds` says."""

_FIRST_BUFFER_SAMPLES = 1 << 18
_FLOAT32 = np.dtype(np.float32)  # there is one of it: `is` tells it


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The part of a recording that a clip is: [start, stop) in seconds of its decoded audio.

    Both ends are rounded to the nearest sample. A recording that ends before `stop_seconds` gives
    a shorter clip; a `DurationRule` tells whether that is allowed.
    """

    start_seconds: float = 0.0
    stop_seconds: float | None = None
    """None: to the end."""

    def __post_init__(self) -> None:
        """Refuse an empty or backward range."""
        stop = self.stop_seconds
        if self.start_seconds < 0 or (stop is not None and stop <= self.start_seconds):
            raise ValueError(f"expected 0 <= start_seconds < stop_seconds, got {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeRules:
    """What of a file is wanted, and how much of it is allowed."""

    max_seconds: float
    """Bound on what is decoded; a file that lasts longer is refused."""
    cut: Cut | None = None
    channel: int | None = None
    """Take this one, from 0; None for the mean of all."""


class Mixdown:
    """Collects the wanted samples of a file, block by block."""

    def __init__(
        self, rules: DecodeRules, *, file: str, sample_rate_hz: int, num_channels: int
    ) -> None:
        """Begin a file.

        Raises:
            AudioError: the rate, or the number of channels, is beyond what is read.
        """
        _check_shape(file, sample_rate_hz=sample_rate_hz, num_channels=num_channels)
        if rules.channel is not None and not 0 <= rules.channel < num_channels:
            raise AudioError(
                RejectionReason.UNSUPPORTED,
                f"{file} has {num_channels} channel(s), channel {rules.channel} is wanted",
            )
        cut = rules.cut or Cut()
        self.sample_rate_hz = sample_rate_hz
        self.num_channels = num_channels
        self.start = round(cut.start_seconds * sample_rate_hz)
        """First wanted sample."""
        self.position = 0
        """Sample at which the next block begins."""
        self._file = file
        self._stop = None if cut.stop_seconds is None else round(cut.stop_seconds * sample_rate_hz)
        self._channel = 0 if num_channels == 1 else rules.channel
        self._max_seconds = rules.max_seconds
        self._max_samples = min(int(rules.max_seconds * sample_rate_hz), MAX_MONO_SAMPLES)
        ends = [stop for stop in (self._stop, self._max_samples) if stop is not None]
        # Up to here blocks are taken whole.
        self._whole_until = 0 if self.start else min(ends)
        self._blocks: list[npt.NDArray[Any]] = []  # of the one channel that is wanted
        self._mixed: Wave = np.empty(0, np.float32)  # or the sum of all, with room to grow
        self._num_mixed = 0

    @property
    def is_full(self) -> bool:
        """Whether the end of the cut is reached."""
        return self._stop is not None and self.position >= self._stop

    @property
    def deadline(self) -> int:
        """The sample at which something is decided: the cut ends, or the file is too long.

        A decoder that gathers blocks adds them when it has come that far.
        """
        too_long = self._max_samples + 1
        return too_long if self._stop is None else min(self._stop, too_long)

    def window(self, num_samples: int) -> range:
        """Return which samples are wanted of a file that has so many.

        Raises:
            AudioError: these are more than allowed.
        """
        end = num_samples if self._stop is None else min(num_samples, self._stop)
        if end > self._max_samples:
            raise AudioError(RejectionReason.TOO_LONG, f"{self._file} {self._bound()}")
        return range(self.start, end)

    def skip_to_start(self) -> None:
        """Say that the next block begins at the first wanted sample: the decoder went there."""
        self.position = self.start
        self._max_samples += self.start

    def add(self, channels: Sequence[npt.NDArray[Any]]) -> None:
        """Take the next samples of each channel: int16 or int32 of full scale, or float32.

        Raises:
            AudioError: the file is longer than allowed.
        """
        begin = self.position
        self.position = begin + len(channels[0])
        if self.position > self._whole_until:
            channels = self._wanted(channels, begin)
        if self._channel is not None:
            self._blocks.append(channels[self._channel])
            return
        self._add_sum(channels)

    def _wanted(
        self, channels: Sequence[npt.NDArray[Any]], begin: int
    ) -> Sequence[npt.NDArray[Any]]:
        wanted = self.window(self.position)
        window = slice(max(wanted.start - begin, 0), max(wanted.stop - begin, 0))
        return [channel_T[window] for channel_T in channels]

    def _add_sum(self, channels: Sequence[npt.NDArray[Any]]) -> None:
        first_T = channels[0]
        start = self._num_mixed
        stop = self._num_mixed = start + len(first_T)
        if stop > len(self._mixed):
            self._grow(start)
        sum_T = self._mixed[start:stop]
        if first_T.dtype is _FLOAT32:
            np.add(first_T, channels[1], sum_T)
        else:
            np.add(first_T, channels[1], sum_T, dtype=np.float32)
        for channel_T in channels[2:]:
            sum_T += channel_T

    def _grow(self, num_kept: int) -> None:
        grown = np.empty(
            max(2 * len(self._mixed), self._num_mixed, _FIRST_BUFFER_SAMPLES), np.float32
        )
        grown[:num_kept] = self._mixed[:num_kept]
        self._mixed = grown

    def finish(self, *, full_scale: float) -> Wave | Pcm:
        """Return the wave: int16 as it came if one channel of int16 came, otherwise float32.

        Args:
            full_scale: Value of the samples that stands for 1.0.
        """
        if self._channel is None:
            mixed_T = self._mixed[: self._num_mixed]
            mixed_T *= np.float32(1.0 / (full_scale * self.num_channels))
            return mixed_T
        if not self._blocks:
            return np.zeros(0, np.int16)
        wave_T = self._blocks[0] if len(self._blocks) == 1 else np.concatenate(self._blocks)
        if wave_T.dtype == np.int16:
            return wave_T
        float_T = wave_T.astype(np.float32, copy=False)
        return float_T if full_scale == 1 else float_T * np.float32(1.0 / full_scale)

    def _bound(self) -> str:
        if self._max_samples < MAX_MONO_SAMPLES:
            return f"lasts over {self._max_seconds:g} s"
        return f"holds over {MAX_MONO_SAMPLES} samples a channel"


def _check_shape(file: str, *, sample_rate_hz: int, num_channels: int) -> None:
    if not MIN_SAMPLE_RATE_HZ <= sample_rate_hz <= MAX_SAMPLE_RATE_HZ:
        raise AudioError(
            RejectionReason.UNSUPPORTED,
            f"{file} has a rate of {sample_rate_hz} Hz, read are "
            f"{MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ}",
        )
    if not 1 <= num_channels <= MAX_CHANNELS:
        raise AudioError(
            RejectionReason.UNSUPPORTED,
            f"{file} has {num_channels} channels, read are 1 to {MAX_CHANNELS}",
        )

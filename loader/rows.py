"""What the rows of a batch hold, and how a clip's bytes get there: samples of audio, or features.

Lengths and places of windows are in units of the rows: samples, or frames. Axes: B rows of a batch,
N samples of the index.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from loader.batch import AudioBatch, ClipBatch
from loader.batch_memory import BatchMemory
from loader.config import LoaderConfig
from loader.dataset import DatasetIndex
from loader.decode import decode_windows
from loader.encoded_clips import EncodedClips
from shardwriter.errors import ConfigError

BatchT = TypeVar("BatchT", bound=ClipBatch)


class Rows(Protocol[BatchT]):
    """Makes batches, and fills their rows; any thread may fill rows of its own."""

    @property
    def clip_lengths_N(self) -> NDArray[np.int64]:
        """How long each clip is."""

    @property
    def window_length(self) -> int:
        """How much of a clip goes into a row, at most."""

    @property
    def pin_memory(self) -> bool:
        """Whether batches are made in pinned memory, by the thread that has the device."""

    def make_batch(self, labels: ClipBatch, lengths_B: NDArray[np.int64]) -> BatchT:
        """Return a batch whose rows are empty."""

    def decode(self, clips: EncodedClips, batch: BatchT) -> None:
        """Decode a window of each clip into its row, and fill the rest of it.

        Raises:
            ShardFormatError: the bytes are no such clip.
        """

    def set_length(self, batch: BatchT, place: int, length: int) -> None:
        """Note how much of a row is a clip's."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AudioRows:
    """Rows of int16 samples."""

    index: DatasetIndex
    window_length: int
    verify_checksums: bool
    pin_memory: bool
    has_noise: bool
    memory: BatchMemory = field(default_factory=BatchMemory)

    @classmethod
    def of(cls, config: LoaderConfig, index: DatasetIndex, *, pin_memory: bool) -> "AudioRows":
        """Return what makes the rows that a configuration asks for.

        Raises:
            ConfigError: crops shorter than a sample.
        """
        return cls(
            index=index,
            window_length=_window_num_samples(config, index),
            verify_checksums=config.verify_checksums,
            pin_memory=pin_memory,
            has_noise=config.noise is not None,
        )

    @property
    def clip_lengths_N(self) -> NDArray[np.int64]:
        """Samples of each clip."""
        return self.index.num_samples_N

    def make_batch(self, labels: ClipBatch, lengths_B: NDArray[np.int64]) -> AudioBatch:
        """Return a batch that is complete but for its audio."""
        batch = AudioBatch(
            **labels.label_fields(),
            wave_BT=self._empty((len(labels), self.window_length)),
            num_samples_B=torch.from_numpy(lengths_B),
            noise_snr_db_B=torch.full((len(labels),), torch.nan) if self.has_noise else None,
        )
        return batch.pin_memory() if self.pin_memory else batch

    def decode(self, clips: EncodedClips, batch: AudioBatch) -> None:
        """Decode a window of each clip into its row; the row's rest becomes zero."""
        decode_windows(
            clips,
            batch.wave_BT.numpy(),
            sample_rate_hz=self.index.sample_rate_hz,
            verify_checksums=self.verify_checksums,
        )

    def set_length(self, batch: AudioBatch, place: int, length: int) -> None:
        """Note how many samples of a row are audio."""
        batch.num_samples_B[place] = length

    def _empty(self, shape: tuple[int, int]) -> torch.Tensor:
        if self.pin_memory:
            return empty(shape, torch.int16, pin=True)
        return torch.from_numpy(self.memory.take(shape))


def empty(shape: tuple[int, ...], dtype: torch.dtype, *, pin: bool) -> torch.Tensor:
    """Return room for values. numpy's comes in huge pages: torch's had 10 x the faults."""
    if pin:
        return torch.empty(shape, dtype=dtype, pin_memory=True)
    numpy_dtype: Any = {torch.int16: np.int16, torch.float16: np.float16}.get(dtype, np.float32)
    return torch.from_numpy(np.empty(shape, dtype=numpy_dtype))


def _window_num_samples(config: LoaderConfig, index: DatasetIndex) -> int:
    if config.crop_seconds is None:
        return int(index.num_samples_N.max())
    num_samples = round(config.crop_seconds * index.sample_rate_hz)
    if num_samples < 1:
        raise ConfigError(
            f"crop_seconds={config.crop_seconds!r} is less than one sample at "
            f"{index.sample_rate_hz} Hz; make it longer"
        )
    return num_samples

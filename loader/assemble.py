"""Planned rows → a batch, in parts that threads fill side by side.

Axes: B rows of a batch, T samples.
"""

import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from loader.batch import AudioBatch
from loader.config import LoaderConfig
from loader.crop import Windows, choose_windows
from loader.dataset import DatasetIndex
from loader.decode import decode_windows
from loader.flac_decoder import ClipWindow
from loader.prefetch import Job
from loader.resampling_buffer import PlannedStep, ResamplingBuffer
from loader.stats import FillStats
from loader.stream import ReadPlace

_PARTS_PER_THREAD = 4
"""More parts than threads, because clips differ in length and a part once begun is finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAssembler:
    """Makes the batches of a run; holds nothing that changes but the buffer."""

    config: LoaderConfig
    index: DatasetIndex
    buffer: ResamplingBuffer
    window_num_samples: int
    pin_memory: bool

    def begin(
        self, step: PlannedStep, read_place: ReadPlace, *, epoch: int
    ) -> Job[AudioBatch, FillStats]:
        """Return a batch that is complete but for its audio, and the tasks that fill that in.

        Memory is taken here, by the caller's thread: pinning it belongs to the device that is
        current there, and in a thread of the loader that would be device 0 on every rank.

        Args:
            step: The samples, and which of them the buffer holds.
            read_place: Returns the encoded audio of a place of the batch.
            epoch: Number of the epoch.
        """
        index, plan = self.index, step.plan
        rows_B = plan.rows_B
        keys = index.keys_of(rows_B)
        windows = choose_windows(
            keys,
            index.num_samples_N[rows_B],
            window_num_samples=self.window_num_samples,
            crop=self.config.crop,
            seed=self.config.seed,
            epoch=epoch,
            copies_B=plan.copies_B,
        )
        batch = AudioBatch(
            keys=keys,
            wave_BT=torch.empty(
                (len(keys), self.window_num_samples), dtype=torch.int16, pin_memory=self.pin_memory
            ),
            num_samples_B=torch.from_numpy(windows.num_samples_B),
            target_BK=torch.from_numpy(index.targets_of(rows_B)),
            copy_B=torch.from_numpy(plan.copies_B),
            is_padding_B=torch.from_numpy(plan.is_padding_B),
        )
        if self.pin_memory:
            batch = batch.pin_memory()
        wave_BT: NDArray[np.int16] = batch.wave_BT.numpy()
        # Index order is the order on the disk, whatever place a sample has in the batch.
        places_B = np.argsort(rows_B, kind="stable")
        parts = np.array_split(
            places_B, min(len(rows_B), _PARTS_PER_THREAD * self.config.num_threads)
        )
        tasks = tuple(
            partial(self._fill, wave_BT, part, step, read_place, windows) for part in parts
        )
        return Job(result=batch, tasks=tasks)

    def _fill(
        self,
        wave_BT: NDArray[np.int16],
        places: NDArray[np.int64],
        step: PlannedStep,
        read_place: ReadPlace,
        windows: Windows,
    ) -> FillStats:
        """Read and decode the clips of some places of the batch."""
        begin = time.perf_counter()
        rows_B, sources = step.plan.rows_B, step.sources
        clips = [
            ClipWindow(
                data=self.buffer.take(sources[place], partial(read_place, int(place))),
                row=int(place),
                start=int(windows.start_B[place]),
                num_samples=int(windows.num_samples_B[place]),
                clip_num_samples=int(self.index.num_samples_N[rows_B[place]]),
                where=self.index.where(int(rows_B[place])),
            )
            for place in places
        ]
        between = time.perf_counter()
        decode_windows(
            clips,
            wave_BT,
            sample_rate_hz=self.index.sample_rate_hz,
            verify_checksums=self.config.verify_checksums,
        )
        num_encoded_bytes = sum(len(clip.data) for clip in clips)
        read_seconds, decode_seconds = between - begin, time.perf_counter() - between
        return FillStats(
            num_encoded_bytes=num_encoded_bytes,
            read_seconds=read_seconds,
            decode_seconds=decode_seconds,
        )

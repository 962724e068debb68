"""Planned rows → a batch, in parts that threads fill side by side.

Axes: B rows of a batch, P places of a part of it.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from loader.batch import AudioBatch, ClipBatch
from loader.clip_memory import ClipMemory
from loader.config import LoaderConfig
from loader.crop import Windows, choose_windows
from loader.dataset import DatasetIndex
from loader.encoded_clips import EncodedClips
from loader.flac_decoder import CLIPS_AT_ONCE, is_ready
from loader.mending import Mender
from loader.noise_source import NoiseSource
from loader.once import Once
from loader.part_reader import PartReader
from loader.prefetch import Job
from loader.quarantine import READ_ERRORS
from loader.replacement import Clip, Replaced
from loader.resampling_buffer import PlannedStep, ResamplingBuffer
from loader.rows import Rows
from loader.stats import FillStats
from loader.step_reader import StepReader
from loader.stripe import StepPlan

StandIns = Callable[[int], Iterator[Clip]]
"""Returns the clips that may stand in for a place of a batch, best first."""

_PARTS_PER_THREAD = 2
"""Of the batches under way at a time: clips differ in length, and a part once begun is finished.
Not more, because each takes some 1 ms of calls, most of it with Python's lock, and its last clips
leave vector lanes empty: whole clips took 6 % longer in two parts, 8 % in four, 2 s crops 7 and
16 %."""
_MOST_BYTES = 16 << 20
"""Of encoded audio in a part, roughly: each thread holds so much. 64 clips of 10 s are 13 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAssembler:
    """Makes the batches of a run; holds nothing that changes but the buffer and spare memory."""

    config: LoaderConfig
    index: DatasetIndex
    buffer: ResamplingBuffer
    mender: Mender
    rows: Rows[Any]
    noise: NoiseSource | None = None
    clip_memory: ClipMemory = field(default_factory=ClipMemory)

    def begin(
        self, step: PlannedStep, reader: StepReader, stand_ins: StandIns, *, epoch: int
    ) -> Job[ClipBatch, FillStats]:
        """Return what makes a batch: its rows come to be when the first task has clips for them.

        So batches that wait take no memory. Only pinned memory is taken here, by the caller's
        thread: it belongs to the device that is current there, and in a thread of the loader that
        would be device 0 on every rank.

        Args:
            step: The samples, and which of them the buffer holds.
            reader: Reads their encoded audio.
            stand_ins: Which clips come in the place of one that can't be read.
            epoch: Number of the epoch.
        """
        index, plan = self.index, step.plan
        rows_B = plan.rows_B
        keys = index.keys_of(rows_B)
        clip_lengths_B = self.rows.clip_lengths_N[rows_B]
        windows = choose_windows(
            keys,
            clip_lengths_B,
            window_num_samples=self.rows.window_length,
            crop=self.config.crop,
            seed=self.config.seed,
            epoch=epoch,
            copies_B=plan.copies_B,
        )
        batch = Once(partial(self._make_batch, plan, keys, windows))
        if self.rows.pin_memory:
            batch()
        add_noise = self._noise_mixer(keys, plan.copies_B, windows, epoch=epoch)
        # Index order is the order on the disk, whatever place a sample has in the batch.
        places_B = np.argsort(rows_B, kind="stable")
        # Until the kernel is there, clips take long, and the first batch is waited for.
        num_ahead = self.config.prefetch_batches if is_ready() else 0
        parts = np.array_split(
            places_B,
            num_parts(
                len(rows_B),
                num_bytes=int(reader.num_bytes_B @ (windows.num_samples_B / clip_lengths_B)),
                num_threads=self.config.num_threads,
                num_ahead=num_ahead,
            ),
        )
        fill = partial(_Filling, self, batch, step, reader, stand_ins, windows, epoch, add_noise)
        return Job(result=batch, tasks=tuple(fill(part).run for part in parts))

    def _make_batch(self, plan: StepPlan, keys: tuple[str, ...], windows: Windows) -> ClipBatch:
        index, rows_B = self.index, plan.rows_B
        # Under inference mode no other thread may write to what is made here.
        with torch.inference_mode(mode=False):
            labels = ClipBatch(
                keys=keys,
                target_BK=torch.from_numpy(index.targets_of(rows_B)),
                copy_B=torch.from_numpy(plan.copies_B),
                is_padding_B=torch.from_numpy(plan.is_padding_B),
                targets={name: column.of(rows_B) for name, column in index.targets.items()},
                single_label_B=_tensor_or_none(index.single_labels_of(rows_B)),
            )
            batch: ClipBatch = self.rows.make_batch(labels, windows.num_samples_B)
            return batch

    def _noise_mixer(
        self, keys: tuple[str, ...], copies_B: NDArray[np.int64], windows: Windows, *, epoch: int
    ) -> Callable[[ClipBatch, NDArray[np.int64]], None]:
        """Return what mixes noise into some places of the batch once they are decoded."""
        if self.noise is None:
            return _leave_as_is
        num_samples_B = windows.num_samples_B
        plan = self.noise.plan(keys, copies_B, num_samples_B, epoch=epoch)
        mix = self.noise.mix

        def add_noise(batch: ClipBatch, places: NDArray[np.int64]) -> None:
            if isinstance(batch, AudioBatch) and batch.noise_snr_db_B is not None:
                snr_db_B = batch.noise_snr_db_B.numpy()
                mix(batch.wave_BT.numpy(), snr_db_B, plan, num_samples_B, places)

        return add_noise


@dataclass(frozen=True, slots=True)
class _Filling:
    """The reading and decoding of some places of a batch: one thread's task."""

    assembler: BatchAssembler
    batch: Callable[[], ClipBatch]
    step: PlannedStep
    reader: StepReader
    stand_ins: StandIns
    windows: Windows
    epoch: int
    add_noise: Callable[[ClipBatch, NDArray[np.int64]], None]
    place_P: NDArray[np.int64]

    def run(self) -> FillStats:
        """Fill the places; with an error budget, mend those that fail."""
        begin = time.perf_counter()
        clips, failed = self._read()
        between = time.perf_counter()
        failed += self._decode(clips)
        replaced = [self._mend(place) for place in failed]
        others = [each.place for each in replaced if each is not None]
        # What stands in for a clip gets none: it is padding, of another length.
        self.add_noise(self.batch(), np.setdiff1d(self.place_P, others) if others else self.place_P)
        return FillStats(
            num_encoded_bytes=int(clips.num_bytes_P.sum()),
            read_seconds=between - begin,
            decode_seconds=time.perf_counter() - between,
            replaced=tuple(each for each in replaced if each is not None),
        )

    def _read(self) -> tuple[EncodedClips, list[int]]:
        """Return the clips, and the places whose clips can't be read."""
        assembler = self.assembler
        part = PartReader(
            clip_lengths_N=assembler.rows.clip_lengths_N,
            buffer=assembler.buffer,
            memory=assembler.clip_memory,
            step=self.step,
            reader=self.reader,
            windows=self.windows,
            may_fail=self._has_budget,
        )
        return part.read(self.place_P)

    def _decode(self, clips: EncodedClips) -> list[int]:
        """Decode clips into their rows, and return the places of those that can't be."""
        try:
            self.assembler.rows.decode(clips, self.batch())
        except READ_ERRORS:
            if not self._has_budget:
                raise
            if len(clips) == 1:
                return [int(clips.row_P[0])]
            each = (clips.take(np.array([number])) for number in range(len(clips)))
            return [place for clip in each for place in self._decode(clip)]
        return []

    @property
    def _has_budget(self) -> bool:
        return self.assembler.mender.quarantine.is_on

    def _mend(self, place: int) -> Replaced | None:
        plan = self.step.plan
        clip = Clip(row=int(plan.rows_B[place]), copy=int(plan.copies_B[place]))
        return self.assembler.mender.mend(
            self.batch(), place, clip, self.stand_ins(place), epoch=self.epoch
        )


def num_parts(num_rows: int, *, num_bytes: int, num_threads: int, num_ahead: int) -> int:
    """Return how many parts a batch is made in: no smaller ones than are decoded at once.

    Args:
        num_rows: Clips of the batch.
        num_bytes: Encoded audio that is read for it, roughly.
        num_threads: Threads that decode.
        num_ahead: Batches that are made at a time besides.
    """
    num_needed = max(
        math.ceil(_PARTS_PER_THREAD * num_threads / (1 + num_ahead)),
        math.ceil(num_bytes / _MOST_BYTES),
    )
    return max(min(num_needed, num_rows // CLIPS_AT_ONCE), 1)


def _leave_as_is(_batch: ClipBatch, _places: NDArray[np.int64]) -> None:
    pass


def _tensor_or_none(values_B: NDArray[np.int64] | None) -> torch.Tensor | None:
    return None if values_B is None else torch.from_numpy(values_B)

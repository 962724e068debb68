"""The encoded clips of a part of a batch, read for one thread that decodes them together.

Axes: B rows of a batch, P places of a part of it, N samples of the index.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loader.clip_memory import ClipMemory
from loader.crop import Windows
from loader.dataset import DatasetIndex, Where
from loader.flac_decoder import SLAB_TAIL_BYTES, ClipWindow, SomeFrames, is_loaded
from loader.frame_offsets import FrameRange
from loader.quarantine import READ_ERRORS
from loader.resampling_buffer import PlannedStep, ResamplingBuffer
from loader.step_reader import Part, StepReader


class _Wanted(NamedTuple):
    """What is wanted of the clip of a place; as in `ClipWindow`."""

    place: int
    row: int
    start: int
    num_samples: int
    clip_num_samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartReader:
    """Reads the clips of some places of a batch; any thread may."""

    index: DatasetIndex
    clip_lengths_N: NDArray[np.int64]
    buffer: ResamplingBuffer
    memory: ClipMemory
    step: PlannedStep
    reader: StepReader
    windows: Windows
    may_fail: bool
    """Whether a clip that can't be read is left out; else that is an error."""

    def read(self, places: Sequence[int]) -> tuple[list[ClipWindow], list[int]]:
        """Return the clips, and the places whose clips can't be read.

        Of a clip on a disk that is used only now, no more is read than its window needs.

        Raises:
            StorageError: a clip can't be read, and none may fail.
            ShardFormatError: a clip is damaged, and none may fail.
        """
        wanted = self._wanted(places)
        failed = [place for place in places if place in self.step.lost_places]
        # Without the kernel, which takes some time to load, nobody gains from a slab.
        may_gain = is_loaded()
        goes_into_slab = [may_gain and self._goes_into_slab(each.place) for each in wanted]
        clips = self._read_into_slab(list(compress(wanted, goes_into_slab)), failed)
        for each, is_read in zip(wanted, goes_into_slab, strict=True):
            if not is_read:
                read = partial(self._read, each.place)
                clips += self._read_or_fail(read, each, failed)
        return clips, failed

    def _wanted(self, places: Sequence[int]) -> list[_Wanted]:
        """Return what is wanted of all places but those whose clips are known to be lost."""
        # Lists, because numbers taken out of arrays one by one cost far more.
        row_P = self.step.plan.rows_B[places]
        wanted = map(
            _Wanted,
            places,
            row_P.tolist(),
            self.windows.start_B[places].tolist(),
            self.windows.num_samples_B[places].tolist(),
            self.clip_lengths_N[row_P].tolist(),
        )
        return [each for each in wanted if each.place not in self.step.lost_places]

    def _read_into_slab(self, wanted: Sequence[_Wanted], failed: list[int]) -> list[ClipWindow]:
        """Return clips that lie in one piece of memory, whole or of some only frames.

        What can't be read so, or is damaged, is read anew and whole, which tells what is wrong.
        """
        if not wanted:
            return []
        ranges = [self._frames(each) for each in wanted]
        parts = [
            Part(each.place, 0, self.reader.num_bytes_B[each.place])
            if frames is None
            else Part(each.place, frames.byte_start, frames.num_bytes)
            for each, frames in zip(wanted, ranges, strict=True)
        ]
        slab = self.memory.take(sum(part.num_bytes for part in parts) + SLAB_TAIL_BYTES)
        rooms = self.reader.read_parts(parts, slab)
        clips: list[ClipWindow] = []
        at = 0
        for each, frames, part, room in zip(wanted, ranges, parts, rooms, strict=True):
            again = partial(self.reader.read_again, each.place)
            if room is None or (frames is None and not self.reader.is_whole(each.place, room)):
                clips += self._read_or_fail(again, each, failed)
            else:
                some = frames and SomeFrames(frames.first, frames.stop, again)
                clips.append(self._window(each, room, slab, at, some))
            at += part.num_bytes
        return clips

    def _frames(self, wanted: _Wanted) -> FrameRange | None:
        """Return which frames are enough of a clip; `None` where all of it is to be read."""
        if wanted.num_samples >= wanted.clip_num_samples:
            return None
        stop = wanted.start + wanted.num_samples
        return self.reader.frames_of(wanted.place, wanted.start, stop)

    def _read(self, place: int) -> bytes:
        return self.buffer.take(self.step.sources[place], partial(self.reader.read, place))

    def _read_or_fail(
        self, read: Callable[[], bytes], wanted: _Wanted, failed: list[int]
    ) -> list[ClipWindow]:
        """Return a whole clip; none, with its place noted, where reading it fails and may."""
        try:
            return [self._window(wanted, read())]
        except READ_ERRORS:
            if not self.may_fail:
                raise
            failed.append(wanted.place)
            return []

    def _window(
        self,
        wanted: _Wanted,
        data: bytes | memoryview,
        slab: NDArray[np.uint8] | None = None,
        slab_start: int = 0,
        frames: SomeFrames | None = None,
    ) -> ClipWindow:
        return ClipWindow(
            data=data,
            row=wanted.place,
            start=wanted.start,
            num_samples=wanted.num_samples,
            clip_num_samples=wanted.clip_num_samples,
            where=Where(self.index, wanted.row),
            slab=slab,
            slab_start=slab_start,
            frames=frames,
        )

    def _goes_into_slab(self, place: int) -> bool:
        """Return whether a clip is read from a disk, and not kept for its next use."""
        source = self.step.sources[place]
        return self.reader.is_on_disk_B[place] and source.before is None and source.after is None

"""The encoded clips of a part of a batch, read for one thread that decodes them together.

Axes: B rows of a batch, P places of a part of it, N samples of the index.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loader.clip_memory import ClipMemory
from loader.crop import Windows
from loader.dataset import DatasetIndex, Where
from loader.flac_decoder import SLAB_TAIL_BYTES, ClipWindow, SomeFrames, is_ready
from loader.frame_offsets import FrameRange
from loader.quarantine import READ_ERRORS
from loader.resampling_buffer import PlannedStep, ResamplingBuffer
from loader.step_reader import StepReader


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
        ranges = self._frame_ranges(wanted)
        alone = [each for each in wanted if each.place in ranges]
        others = [each for each in wanted if each.place not in ranges]
        in_slab = [each.place for each in others if self._goes_into_slab(each.place)]
        num_bytes = sum(frames.num_bytes for frames in ranges.values())
        num_bytes += sum(self.reader.num_bytes_B[place] for place in in_slab)
        slab = self.memory.take(num_bytes + SLAB_TAIL_BYTES if num_bytes else 0)
        clips: list[ClipWindow] = []
        failed = [place for place in places if place in self.step.lost_places]
        slab_start = self._read_frames(alone, ranges, slab, clips, failed)
        for each in others:
            room = slab[slab_start:]
            data = self._read_or_fail(partial(self._encoded, each.place, room), each, failed)
            if data is not None:
                is_in_slab = isinstance(data, memoryview)
                clips.append(self._window(each, data, slab if is_in_slab else None, slab_start))
                slab_start += len(data) if is_in_slab else 0
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

    def _frame_ranges(self, wanted: Sequence[_Wanted]) -> dict[int, FrameRange]:
        """Return which frames are enough, by place, where that isn't the whole clip."""
        frames_of = self.reader.frames_of
        ranges = {}
        for place, _, start, num_samples, clip_num_samples in wanted:
            if num_samples < clip_num_samples and self._is_used_only_now(place):
                frames = frames_of(place, start, start + num_samples)
                if frames is not None:
                    ranges[place] = frames
        # Without the kernel, which takes some time to load, there is nobody to decode them.
        return ranges if ranges and is_ready() else {}

    def _read_frames(
        self,
        wanted: Sequence[_Wanted],
        ranges: dict[int, FrameRange],
        slab: NDArray[np.uint8],
        clips: list[ClipWindow],
        failed: list[int],
    ) -> int:
        """Read some frames of clips into the front of the slab; return how much they take.

        Clips of which these can't be read are read whole, which tells what is the matter.
        """
        slab_start = 0
        rooms = self.reader.read_frames([(each.place, ranges[each.place]) for each in wanted], slab)
        for each, room in zip(wanted, rooms, strict=True):
            frames = ranges[each.place]
            read_whole = partial(self.reader.read_again, each.place)
            if room is not None:
                some = SomeFrames(frames.first, frames.stop, read_whole)
                clips.append(self._window(each, room, slab, slab_start, some))
            elif (data := self._read_or_fail(read_whole, each, failed)) is not None:
                clips.append(self._window(each, data, None, 0))
            slab_start += frames.num_bytes
        return slab_start

    def _read_or_fail(
        self, read: Callable[[], bytes | memoryview], wanted: _Wanted, failed: list[int]
    ) -> bytes | memoryview | None:
        """Return what is read; None, with the place noted, where that fails and may."""
        try:
            return read()
        except READ_ERRORS:
            if not self.may_fail:
                raise
            failed.append(wanted.place)
            return None

    def _window(
        self,
        wanted: _Wanted,
        data: bytes | memoryview,
        slab: NDArray[np.uint8] | None,
        slab_start: int,
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

    def _is_used_only_now(self, place: int) -> bool:
        source = self.step.sources[place]
        return source.before is None and source.after is None

    def _goes_into_slab(self, place: int) -> bool:
        """Return whether a clip is read from a disk, and not kept for its next use."""
        return self.reader.is_on_disk_B[place] and self._is_used_only_now(place)

    def _encoded(self, place: int, slab: NDArray[np.uint8]) -> bytes | memoryview:
        """Return a whole clip, read into the front of the slab if it can be."""
        if not self._goes_into_slab(place):
            source = self.step.sources[place]
            return self.buffer.take(source, partial(self.reader.read, place))
        room = slab[: self.reader.num_bytes_B[place]]
        self.reader.read_into(place, room)
        return room.data

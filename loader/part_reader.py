"""The encoded clips of a part of a batch, read for one thread that decodes them together.

Axes: B rows of a batch, P places of a part of it, N samples of the index.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from loader.clip_memory import ClipMemory
from loader.crop import Windows
from loader.encoded_clips import TAIL_BYTES, WHOLE, EncodedClips
from loader.flac_decoder import is_ready
from loader.frame_offsets import FrameRanges
from loader.quarantine import READ_ERRORS
from loader.resampling_buffer import PlannedStep, ResamplingBuffer
from loader.step_reader import StepReader


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PartReader:
    """Reads the clips of some places of a batch; any thread may."""

    clip_lengths_N: NDArray[np.int64]
    buffer: ResamplingBuffer
    memory: ClipMemory
    step: PlannedStep
    reader: StepReader
    windows: Windows
    may_fail: bool
    """Whether a clip that can't be read is left out; else that is an error."""

    def read(self, place_P: NDArray[np.int64]) -> tuple[EncodedClips, list[int]]:
        """Return the clips, and the places whose clips can't be read.

        Of a clip on a disk that is used only now, no more is read than its window needs.

        Raises:
            StorageError: a clip can't be read, and none may fail.
            ShardFormatError: a clip is damaged, and none may fail.
        """
        failed = [place for place in place_P.tolist() if place in self.step.lost_places]
        if failed:
            place_P = np.setdiff1d(place_P, failed)
        # Without the kernel, which takes some time to load, nobody gains from that.
        is_direct_P = self._is_used_once(place_P) & self.reader.is_on_disk_B[place_P] & is_ready()
        direct, again = self._read_from_disk(place_P[is_direct_P])
        others: dict[int, Callable[[], bytes]] = {
            place: partial(self.reader.read_again, place) for place in again
        }
        for place in place_P[~is_direct_P].tolist():
            read = partial(self.reader.read, place)
            others[place] = partial(self.buffer.take, self.step.sources[place], read)
        if not others:
            return direct, failed
        datas: dict[int, bytes] = {}
        for place, read_whole in others.items():
            try:
                datas[place] = read_whole()
            except READ_ERRORS:
                if not self.may_fail:
                    raise
                failed.append(place)
        return self._with_whole_clips(direct, datas), failed

    def _is_used_once(self, place_P: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which clips come from no earlier use, and aren't kept for a next one."""
        sources = self.step.sources
        return np.array(
            [
                sources[place].before is None and sources[place].after is None
                for place in place_P.tolist()
            ],
            dtype=np.bool_,
        )

    def _read_from_disk(self, place_P: NDArray[np.int64]) -> tuple[EncodedClips, list[int]]:
        """Return clips, whole or some frames of them, and the places that are to be read again.

        What can't be read so, or is damaged, tells what is wrong when it is read anew and whole.
        """
        frames = self._find_frames(place_P)
        num_bytes_P = frames.byte_stop_P - frames.byte_start_P
        end_P = np.cumsum(num_bytes_P)
        begin_P = end_P - num_bytes_P
        memory = self.memory.take(int(num_bytes_P.sum()) + TAIL_BYTES)
        clips = self._clips(
            memory, begin_P, num_bytes_P, place_P, first_P=frames.first_P, stop_P=frames.stop_P
        )
        if not len(place_P):
            return clips, []
        is_good_P = self.reader.read_parts(place_P, frames.byte_start_P, num_bytes_P, memory)
        for number in np.flatnonzero(is_good_P & (frames.first_P == WHOLE)).tolist():
            data = memory[begin_P[number] : end_P[number]]
            is_good_P[number] = self.reader.is_whole(int(place_P[number]), data)
        if is_good_P.all():
            return clips, []
        return clips.take(np.flatnonzero(is_good_P)), place_P[~is_good_P].tolist()

    def _find_frames(self, place_P: NDArray[np.int64]) -> FrameRanges:
        num_samples_P = self.windows.num_samples_B[place_P]
        if (num_samples_P == self._clip_lengths(place_P)).all():
            return FrameRanges.whole(self.reader.num_bytes_B[place_P])
        start_P = self.windows.start_B[place_P]
        return self.reader.find_frames(place_P, start_P, start_P + num_samples_P)

    def _clip_lengths(self, place_P: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.clip_lengths_N[self.step.plan.rows_B[place_P]]

    def _with_whole_clips(self, clips: EncodedClips, datas: dict[int, bytes]) -> EncodedClips:
        """Return clips and others behind them, in the same memory if that is large enough."""
        used = int((clips.begin_P + clips.num_bytes_P).max(initial=0))
        num_bytes_O = np.array([len(data) for data in datas.values()], dtype=np.int64)
        begin_O = used + np.cumsum(num_bytes_O) - num_bytes_O
        num_needed = used + int(num_bytes_O.sum()) + TAIL_BYTES
        memory = clips.memory
        if len(memory) < num_needed:
            memory = self.memory.take(num_needed)
            memory[:used] = clips.memory[:used]
        for begin, data in zip(begin_O.tolist(), datas.values(), strict=True):
            memory[begin : begin + len(data)] = np.frombuffer(data, np.uint8)
        whole_O = np.full(len(datas), WHOLE)
        return self._clips(
            memory,
            np.concatenate([clips.begin_P, begin_O]),
            np.concatenate([clips.num_bytes_P, num_bytes_O]),
            np.concatenate([clips.row_P, np.array(list(datas), dtype=np.int64)]),
            first_P=np.concatenate([clips.first_frame_P, whole_O]),
            stop_P=np.concatenate([clips.stop_frame_P, np.zeros_like(whole_O)]),
        )

    def _clips(
        self,
        memory: NDArray[np.uint8],
        begin_P: NDArray[np.int64],
        num_bytes_P: NDArray[np.int64],
        place_P: NDArray[np.int64],
        *,
        first_P: NDArray[np.int64],
        stop_P: NDArray[np.int64],
    ) -> EncodedClips:
        return EncodedClips(
            memory=memory,
            begin_P=begin_P,
            num_bytes_P=num_bytes_P,
            row_P=place_P,
            start_P=self.windows.start_B[place_P],
            num_samples_P=self.windows.num_samples_B[place_P],
            clip_num_samples_P=self._clip_lengths(place_P),
            first_frame_P=first_P,
            stop_frame_P=stop_P,
            where=self.reader.where,
            read_whole=self.reader.read_again,
        )

"""Where the frames of FLAC clips begin, by the shards' `.idx`: so that crops are read alone.

All of it is a short cut that may be missing: where there are no offsets, or none that fit, clips
are read whole. Whether the bytes are the frames that they should be, the decoder finds out.
"""

import hashlib
import logging
import threading
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from loader.arrow_arrays import as_numpy
from loader.dataset import DatasetIndex
from loader.encoded_clips import WHOLE
from loader.fetch_ahead import FetchAhead, Planned
from shardwriter.errors import ShardFormatError, StorageError
from shardwriter.index import read_idx
from shardwriter.shard_names import idx_name

logger = logging.getLogger(__name__)

_LEAST_CLIPS = 8
"""Of a shard, to be worth opening its `.idx`: that takes as long as 4 to 8 crops save."""
_LEAST_SAVED_BYTES, _MOST_READ = 32 << 10, 0.6
"""A crop is read alone where that saves at least so much, and is no larger part of its clip."""
_NUM_CONNECTIONS = 8
"""Those of a short first epoch come within it, so that the second has all."""
_MAX_BYTES = 128 << 20
"""Of memory, which is enough for some 100,000 clips of 10 s in frames of 1152 samples at 32 kHz.
Where the shards in use need more, clips of the last ones are read whole."""


class FrameRanges(NamedTuple):
    """Frames of FLAC clips that lie one behind the other, and their bytes in the clips."""

    first_P: NDArray[np.int64]
    """Number of the first; `WHOLE` where the whole clip is to be read."""
    stop_P: NDArray[np.int64]
    """Number of the one behind the last."""
    byte_start_P: NDArray[np.int64]
    byte_stop_P: NDArray[np.int64]

    @classmethod
    def whole(cls, num_bytes_P: NDArray[np.int64]) -> "FrameRanges":
        """Return that all clips are to be read whole."""
        none_P = np.zeros_like(num_bytes_P)
        return cls(none_P + WHOLE, none_P, none_P, num_bytes_P)


class _Known:
    """What is known of the frames of an index's clips. It only grows.

    One array for all shards, because a part of a batch has clips of many: what is done for each of
    them takes longer than all else. N are the rows of the index.
    """

    def __init__(self, num_rows: int) -> None:
        # Memory that nothing is written to is none.
        self.offsets = np.empty(max(_MAX_BYTES // 4, 3), np.int32)
        """Where frames begin in their clips, shard by shard; behind them is room."""
        self.begin_N = np.zeros(num_rows, np.int64)
        """Where the frames of each row begin in `offsets`."""
        self.num_frames_N = np.zeros(num_rows, np.int32)
        """How many it has; none where they aren't known."""
        self.shards: dict[int, bool] = {}
        """Those that were asked for, and whether their frames could be had."""
        self.num_used = 0

    def has_room(self, num_offsets: int) -> bool:
        """Return whether so many more have place, and one that is looked up behind the last."""
        return self.num_used + num_offsets < len(self.offsets)

    def add(self, shard: int, frames: "ShardFrames | None") -> None:
        """Note those of a shard; threads that look for others meanwhile are not disturbed."""
        if frames is not None:
            begin, end = self.num_used, self.num_used + len(frames.offsets)
            self.offsets[begin:end] = frames.offsets
            self.begin_N[frames.rows] = begin + frames.begin_R
            self.num_frames_N[frames.rows] = frames.num_frames_R
            self.num_used = end
        self.shards[shard] = frames is not None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShardFrames:
    """Where the frames begin of those clips of a shard that are selected."""

    rows: slice
    """The R rows of the index that are these clips."""
    begin_R: NDArray[np.int64]
    """Where those of each clip begin in `offsets`."""
    num_frames_R: NDArray[np.int64]
    offsets: NDArray[np.int32]

    @classmethod
    def of(
        cls,
        rows: slice,
        audio_offset_R: NDArray[np.int64],
        num_bytes_R: NDArray[np.int64],
        *,
        idx_audio_offsets: NDArray[np.int64],
        idx_num_bytes: NDArray[np.int64],
        frame_starts: NDArray[np.int64],
        frame_offsets: NDArray[np.int32],
    ) -> "ShardFrames":
        """Return the frames of those clips that index and `.idx` both have.

        Args:
            rows: The rows of the index that are clips of the shard.
            audio_offset_R: Where each begins in the shard.
            num_bytes_R: Its size.
            idx_audio_offsets: Where each clip of the `.idx` begins in the shard, in any order.
            idx_num_bytes: Its size.
            frame_starts: Where its part of `frame_offsets` begins; one more than there are clips.
            frame_offsets: Where its frames begin in it.

        Raises:
            ValueError: there are no clips, or offsets that are not ascending, or outside of them.
        """
        if not len(idx_audio_offsets):
            raise ValueError("no clips")
        _check(frame_starts, frame_offsets, idx_num_bytes)
        by_offset = np.argsort(idx_audio_offsets, kind="stable")
        place_R = np.searchsorted(idx_audio_offsets, audio_offset_R, sorter=by_offset)
        clip_R = by_offset[np.minimum(place_R, len(by_offset) - 1)]
        is_it_R = (idx_audio_offsets[clip_R] == audio_offset_R) & (
            idx_num_bytes[clip_R] == num_bytes_R
        )
        return cls(
            rows=rows,
            begin_R=frame_starts[clip_R],
            num_frames_R=np.where(is_it_R, np.diff(frame_starts)[clip_R], 0),
            offsets=frame_offsets,
        )


class FrameOffsets:
    """The frames of the shards that were asked for; any thread may ask.

    Where there is no more memory, all are dropped, and those that are in use asked for again. Not
    so if they alone take it: they would be read again for each of their crops.
    """

    def __init__(self, index: DatasetIndex, *, max_shards: int) -> None:
        """Take the number of shards in use at a time; nothing is read yet."""
        self._index = index
        # Twice as many, because the next ones come before the last crop of the others is read.
        self._num_in_use = 2 * max_shards
        num_selected = np.bincount(index.shard_N, minlength=len(index.tars))
        self._is_worth_it = (num_selected >= _LEAST_CLIPS) & (index.features is None)
        self._lock = threading.Lock()
        self._known = _Known(len(index))
        self._has_warned = False

    def load(self, shard: int) -> None:
        """Read the frames of a shard, if they aren't there."""
        if not self.has(shard):
            # Two threads may do this for the same shard: it takes less than it would to wait.
            self._add(shard, self._read(shard))

    def has(self, shard: int) -> bool:
        """Return whether a shard was asked for, and not dropped since."""
        return shard in self._known.shards

    def find(
        self,
        row_P: NDArray[np.int64],
        start_P: NDArray[np.int64],
        stop_P: NDArray[np.int64],
    ) -> FrameRanges:
        """Return the frames that hold some samples of each clip, where that is worth it.

        The length of a clip's frames is what their number leaves for it. Where that is more than
        one length, a frame more may be in the range, on either side.

        Args:
            row_P: Rows of the index; of those whose shards weren't loaded, all is to be read.
            start_P: First sample that is wanted of each, from 0.
            stop_P: Sample behind the last one.
        """
        known = self._known
        num_bytes_P = self._index.audio_num_bytes_N[row_P]
        num_samples_P = self._index.num_samples_N[row_P]
        num_frames_P = known.num_frames_N[row_P]
        has_P = (num_frames_P >= 2) & (num_frames_P <= num_samples_P)
        num_P = np.where(has_P, num_frames_P, 2)
        shortest_P, longest_P = -(-num_samples_P // num_P), (num_samples_P - 1) // (num_P - 1)
        has_P &= (shortest_P <= longest_P) & (stop_P - start_P < num_samples_P)
        # Not the last frame alone, which may be shorter: its header wouldn't tell the others'.
        first_P = np.minimum(start_P // np.maximum(longest_P, 1), num_P - 2)
        last_P = np.minimum((stop_P - 1) // np.maximum(shortest_P, 1) + 1, num_P)
        begin_P = known.begin_N[row_P]
        byte_start_P = known.offsets[begin_P + first_P]
        byte_stop_P = np.where(last_P < num_P, known.offsets[begin_P + last_P], num_bytes_P)
        num_saved_P = num_bytes_P - (byte_stop_P - byte_start_P)
        has_P &= num_saved_P >= np.maximum((1 - _MOST_READ) * num_bytes_P, _LEAST_SAVED_BYTES)
        return FrameRanges(
            np.where(has_P, first_P, WHOLE),
            np.where(has_P, last_P, 0),
            np.where(has_P, byte_start_P, 0),
            np.where(has_P, byte_stop_P, num_bytes_P),
        )

    def _add(self, shard: int, frames: ShardFrames | None) -> None:
        with self._lock:
            if shard in self._known.shards:
                return
            if frames is not None and not self._known.has_room(len(frames.offsets)):
                if len(self._known.shards) >= self._num_in_use:
                    self._known = _Known(len(self._index))
                if not self._known.has_room(len(frames.offsets)):
                    frames = None
            self._known.add(shard, frames)

    def _read(self, shard: int) -> ShardFrames | None:
        if not self._is_worth_it[shard]:
            return None
        try:
            return self._load(shard)
        except (ShardFormatError, StorageError) as err:
            self._warn(str(err))
            return None

    def _load(self, shard: int) -> ShardFrames:
        index = self._index
        store = index.stores[index.dataset_of_shard[shard]]
        name = idx_name(index.tars[shard])
        where = f"{store.url}/{name}"
        data = store.read(name)
        if hashlib.sha256(data).hexdigest() != index.idx_sha256s[shard]:
            raise ShardFormatError(f"{where} is not the file of the manifest: its SHA-256 differs")
        table = read_idx(data, where=where)
        frames: pa.ListArray = table["frame_offsets"].combine_chunks()
        # An index has its rows in the order of its shards.
        ends = np.searchsorted(index.shard_N, np.array([shard, shard + 1], np.int32))
        rows = slice(*ends.tolist())
        try:
            return ShardFrames.of(
                rows,
                index.audio_offset_N[rows],
                index.audio_num_bytes_N[rows],
                idx_audio_offsets=as_numpy(table["audio_offset"], np.int64),
                idx_num_bytes=as_numpy(table["audio_num_bytes"], np.int64),
                frame_starts=as_numpy(frames.offsets, np.int64),
                frame_offsets=as_numpy(frames.values, np.int32),
            )
        except ValueError as err:
            raise ShardFormatError(f"{where}: {err}") from err

    def _warn(self, problem: str) -> None:
        with self._lock:
            is_first, self._has_warned = not self._has_warned, True
        if is_first:
            logger.warning(
                "crops are read out of whole clips, which takes longer: %s; copy the .idx files "
                "beside the shards, or ingest again (said once)",
                problem,
            )


class FramesAhead:
    """Fetches the frames of shards whose `.idx` is far, in threads of its own.

    Nobody waits for that, as whole clips do as well. Any thread may ask.
    """

    def __init__(self, offsets: FrameOffsets) -> None:
        """Begin with the shards that are known; call `close` when nothing more is read."""
        self._offsets = offsets
        self._asked: set[int] = set()
        self._fetching: FetchAhead[int] = FetchAhead(
            self._bring, num_threads=_NUM_CONNECTIONS, max_bytes=1
        )
        self.close = self._fetching.close

    def load(self, shard: int) -> None:
        """See to it that the frames of a shard come to be known."""
        if shard not in self._asked and not self._offsets.has(shard):
            self._asked.add(shard)
            self._fetching.plan([Planned(shard, num_bytes=0, num_readers=1)])

    def _bring(self, shard: int) -> bytes:
        self._offsets.load(shard)
        self._asked.discard(shard)  # it may be dropped, and asked for again
        return b""


def _check(
    starts: NDArray[np.int64], offsets: NDArray[np.int32], num_bytes: NDArray[np.int64]
) -> None:
    """Refuse offsets that are not ascending, or outside of their clips."""
    firsts, ends = starts[:-1][np.diff(starts) > 0], starts[1:][np.diff(starts) > 0]
    if not len(offsets):
        return
    is_ascending = np.diff(offsets) > 0
    is_ascending[firsts[1:] - 1] = True  # from one clip to the next
    limits = num_bytes[np.diff(starts) > 0]
    if not is_ascending.all() or offsets[firsts].min() < 0 or (offsets[ends - 1] >= limits).any():
        raise ValueError("frame offsets that are not ascending, or outside of their clips")

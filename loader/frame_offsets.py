"""Where the frames of FLAC clips begin, by the shards' `.idx`: so that crops are read alone.

All of it is a short cut that may be missing: where there are no offsets, or none that fit, clips
are read whole. Whether the bytes are the frames that they should be, the decoder finds out.
"""

import hashlib
import logging
import threading
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from loader.arrow_arrays import as_numpy
from loader.dataset import DatasetIndex
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


class FrameRange(NamedTuple):
    """Frames of a FLAC clip that lie one behind the other, and their bytes in it."""

    first: int
    stop: int
    """Number of the frame behind the last."""
    byte_start: int
    byte_stop: int

    @property
    def num_bytes(self) -> int:
        """How many bytes they are."""
        return self.byte_stop - self.byte_start


class ShardFrames:
    """The frames of one shard's clips."""

    def __init__(
        self,
        audio_offsets: NDArray[np.int64],
        num_bytes: NDArray[np.int64],
        frame_starts: NDArray[np.int64],
        frame_offsets: NDArray[np.int32],
    ) -> None:
        """Take the clips as the shard's `.idx` lists them.

        Args:
            audio_offsets: Where each begins in the shard.
            num_bytes: Its size.
            frame_starts: Where its part of `frame_offsets` begins; one more than there are clips.
            frame_offsets: Where its frames begin in it.

        Raises:
            ValueError: offsets are not ascending, or outside of their clips.
        """
        _check(frame_starts, frame_offsets, num_bytes)
        # A view gives Python's own numbers, and a dictionary finds them: several times as fast
        # as numbers out of arrays, of which each crop needs a few.
        self._offsets = np.ascontiguousarray(frame_offsets).data
        starts = frame_starts.tolist()
        self._clips = dict(
            zip(
                audio_offsets.tolist(),
                zip(num_bytes.tolist(), starts, starts[1:], strict=False),
                strict=True,
            )
        )

    @property
    def num_bytes(self) -> int:
        """Memory that this takes, roughly."""
        return self._offsets.nbytes + 300 * len(self._clips)

    def find(
        self, audio_offset: int, num_bytes: int, num_samples: int, start: int, stop: int
    ) -> FrameRange | None:
        """Return the frames that hold some samples of a clip; `None` where to read all of it.

        The length of a frame is what the number of frames leaves for it. Where that is more than
        one length, a frame more may be in the range, on either side.

        Args:
            audio_offset: Where the clip begins in the shard.
            num_bytes: Its size.
            num_samples: Its length.
            start: First sample that is wanted, from 0.
            stop: Sample behind the last one.
        """
        clip_num_bytes, at, end = self._clips.get(audio_offset, (0, 0, 0))
        num_frames = end - at
        if num_frames < 2 or clip_num_bytes != num_bytes:
            return None
        shortest, longest = -(-num_samples // num_frames), (num_samples - 1) // (num_frames - 1)
        if shortest > longest:  # frames of several lengths
            return None
        # Not the last frame alone, which may be shorter: its header wouldn't tell the others'.
        first = min(start // longest, num_frames - 2)
        last = min((stop - 1) // shortest + 1, num_frames)
        byte_start = self._offsets[at + first]
        byte_stop = self._offsets[at + last] if last < num_frames else num_bytes
        num_read = byte_stop - byte_start
        if num_read > _MOST_READ * num_bytes or num_bytes - num_read < _LEAST_SAVED_BYTES:
            return None
        return FrameRange(first, last, byte_start, byte_stop)


class FrameOffsets:
    """The frames of the shards that were asked for last, also by later epochs; any thread may ask.

    What is in use is not dropped for what is asked for: the offsets of a shard would be read again
    for each of its crops.
    """

    def __init__(self, index: DatasetIndex, *, max_shards: int) -> None:
        """Take the number of shards in use at a time; nothing is read yet."""
        self._index = index
        # Twice as many, because the next ones come before the last crop of the others is read.
        self._num_in_use = 2 * max_shards
        num_selected = np.bincount(index.shard_N, minlength=len(index.tars))
        self._is_worth_it = (num_selected >= _LEAST_CLIPS) & (index.features is None)
        self._lock = threading.Lock()
        self._shards: OrderedDict[int, ShardFrames | None] = OrderedDict()
        self._num_bytes = 0
        self._has_warned = False

    def of_shard(self, shard: int) -> ShardFrames | None:
        """Return the frames of a shard, read if they aren't there; `None` where they can't be."""
        try:
            return self.found(shard)
        except KeyError:
            # Two threads may do this for the same shard: it takes less than it would to wait.
            return self._add(shard, self._read(shard))

    def found(self, shard: int) -> ShardFrames | None:
        """Return the same without reading.

        Raises:
            KeyError: the shard was not asked for, or has been dropped since.
        """
        self._shards.move_to_end(shard)
        return self._shards[shard]

    def _add(self, shard: int, frames: ShardFrames | None) -> ShardFrames | None:
        num_bytes = 0 if frames is None else frames.num_bytes
        with self._lock:
            if shard in self._shards:
                return self._shards[shard]
            while (
                self._num_bytes + num_bytes > _MAX_BYTES and len(self._shards) >= self._num_in_use
            ):
                _, dropped = self._shards.popitem(last=False)
                self._num_bytes -= 0 if dropped is None else dropped.num_bytes
            if self._num_bytes + num_bytes > _MAX_BYTES:
                frames, num_bytes = None, 0
            self._shards[shard] = frames
            self._num_bytes += num_bytes
            return frames

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
        try:
            return ShardFrames(
                as_numpy(table["audio_offset"], np.int64),
                as_numpy(table["audio_num_bytes"], np.int64),
                as_numpy(frames.offsets, np.int64),
                as_numpy(frames.values, np.int32),
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
    """The frames of shards whose `.idx` is far: none until a thread has fetched it.

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

    def of_shard(self, shard: int) -> ShardFrames | None:
        """Return the frames of a shard, if they are there by now."""
        try:
            return self._offsets.found(shard)
        except KeyError:
            if shard not in self._asked:
                self._asked.add(shard)
                self._fetching.plan([Planned(shard, num_bytes=0, num_readers=1)])
            return None

    def _bring(self, shard: int) -> bytes:
        self._offsets.of_shard(shard)
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

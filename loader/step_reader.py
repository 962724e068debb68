"""The encoded clips of one batch, place by place. Any thread may call any method."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loader.dataset import DatasetIndex
from loader.frame_offsets import FrameRange, ShardFrames
from loader.local_shards import FileRange
from loader.node_cache import OpenFile
from loader.shards import Shard


class Part(NamedTuple):
    """Bytes of the clip of a place."""

    place: int
    start: int
    num_bytes: int


ReadRanges = Callable[[Sequence[FileRange], NDArray[np.uint8]], list[memoryview | None]]
"""As `LocalShards.read_ranges`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReader:
    """Reads the samples of a batch, each place once; errors as of `SampleReader.read`."""

    read: Callable[[int], bytes]
    """Returns the encoded audio of a place."""
    frames_of: Callable[[int, int, int], FrameRange | None]
    """Returns the frames that hold samples of a place from one to another; `None` where the whole
    clip is to be read, or it is in no file."""
    read_parts: Callable[[Sequence[Part], NDArray[np.uint8]], list[memoryview | None]]
    """Writes bytes of places that are on a disk one behind the other into an array, unchecked, and
    returns where each lie; `None` for those that can't be read."""
    is_whole: Callable[[int, memoryview], bool]
    """Returns whether bytes are the encoded audio of a place."""
    read_again: Callable[[int], bytes]
    """Returns the encoded audio of a place anew, after a failure."""
    is_on_disk_B: Sequence[bool]
    """Whether each is in a local shard, or in one that is in the node's cache."""
    num_bytes_B: Sequence[int]

    @classmethod
    def of(
        cls,
        index: DatasetIndex,
        rows_B: NDArray[np.int64],
        *,
        is_remote_shard: NDArray[np.bool_],
        read: Callable[[int], bytes],
        shards: Sequence[Shard],
        cached: Mapping[int, OpenFile],
        frames_of_shard: Callable[[int], ShardFrames | None],
        read_ranges: ReadRanges,
        is_whole: Callable[[int, NDArray[np.uint8]], bool],
        read_again: Callable[[int], bytes],
    ) -> "StepReader":
        """Return what reads some rows of the index.

        Args:
            index: What is in the datasets.
            rows_B: The rows.
            is_remote_shard: Of each of the index's shards, whether it is in no local folder.
            read: Returns the encoded audio of a place, wherever it is.
            shards: The index's shards.
            cached: The files of those shards that are in the node's cache, by number.
            frames_of_shard: Tells where the frames of a shard's clips begin, if that is known.
            read_ranges: Reads bytes of local and cached shards.
            is_whole: Tells whether bytes are the encoded audio of a row.
            read_again: Returns the encoded audio of a row after a failure.
        """
        shard_B = index.shard_N[rows_B]
        # As lists, because numbers out of arrays cost more than all else that is done for a clip.
        rows, shard_numbers = rows_B.tolist(), shard_B.tolist()
        offsets = index.audio_offset_N[rows_B].tolist()
        num_bytes_B = index.audio_num_bytes_N[rows_B].tolist()
        num_samples = index.num_samples_N[rows_B].tolist()
        is_on_disk_B = [
            not is_remote or shard in cached
            for is_remote, shard in zip(
                is_remote_shard[shard_B].tolist(), shard_numbers, strict=True
            )
        ]

        def file_range(part: Part) -> FileRange:
            shard = shard_numbers[part.place]
            start = offsets[part.place] + part.start
            return FileRange(shards[shard], cached.get(shard), start, part.num_bytes)

        def frames_of(place: int, start: int, stop: int) -> FrameRange | None:
            if not is_on_disk_B[place]:
                return None
            frames = frames_of_shard(shard_numbers[place])
            if frames is None:
                return None
            return frames.find(offsets[place], num_bytes_B[place], num_samples[place], start, stop)

        return cls(
            read=read,
            frames_of=frames_of,
            read_parts=lambda parts, into: read_ranges(list(map(file_range, parts)), into),
            is_whole=lambda place, data: is_whole(rows[place], np.frombuffer(data, np.uint8)),
            # A cached shard that is damaged is noticed and forgotten as it is read.
            read_again=lambda place: (
                read(place) if shard_numbers[place] in cached else read_again(rows[place])
            ),
            is_on_disk_B=is_on_disk_B,
            num_bytes_B=num_bytes_B,
        )

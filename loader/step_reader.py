"""The encoded clips of one batch, by their places in it. Any thread may call any method.

Axes: B places of the batch, P some of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loader.dataset import DatasetIndex
from loader.frame_offsets import FrameOffsets, FrameRanges
from loader.local_shards import LocalShards, ShardFile
from loader.member_check import MemberCheck
from loader.node_cache import OpenFile
from loader.shards import Shard


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepReader:
    """Reads the samples of a batch, each place once; errors as of `SampleReader.read`."""

    index: DatasetIndex
    rows_B: NDArray[np.int64]
    shard_B: NDArray[np.int32]
    num_bytes_B: NDArray[np.int64]
    is_on_disk_B: NDArray[np.bool_]
    """Whether each is in a local shard, or in one that is in the node's cache."""
    shards: Sequence[Shard]
    """All of the index."""
    cached: Mapping[int, OpenFile]
    """The files of those shards that are in the node's cache, by number."""
    frame_offsets: FrameOffsets
    load_frames: Callable[[int], None]
    """Sees to it that it has those of a shard."""
    local: LocalShards
    read: Callable[[int], bytes]
    """Returns the encoded audio of a place, wherever it is."""
    read_row_again: Callable[[int], bytes]
    """Returns the encoded audio of a row of the index after a failure."""
    check: MemberCheck

    def find_frames(
        self, place_P: NDArray[np.int64], start_P: NDArray[np.int64], stop_P: NDArray[np.int64]
    ) -> FrameRanges:
        """Return the frames that hold samples of some places, which are on a disk.

        Args:
            place_P: The places.
            start_P: First sample that is wanted of each.
            stop_P: Sample behind the last one.
        """
        for shard in set(self.shard_B[place_P].tolist()):
            self.load_frames(shard)
        return self.frame_offsets.find(self.rows_B[place_P], start_P, stop_P)

    def read_parts(
        self,
        place_P: NDArray[np.int64],
        start_P: NDArray[np.int64],
        num_bytes_P: NDArray[np.int64],
        room: NDArray[np.uint8],
    ) -> NDArray[np.bool_]:
        """Write bytes of places that are on a disk into a room, one behind the other, unchecked.

        Args:
            place_P: The places.
            start_P: First byte of each that is wanted.
            num_bytes_P: How many.
            room: Has place for all.

        Returns:
            Which could be read.
        """
        shards = self.shard_B[place_P].tolist()
        files = {
            shard: ShardFile(self.shards[shard], self.cached.get(shard)) for shard in set(shards)
        }
        offset_P = self.index.audio_offset_N[self.rows_B[place_P]]
        return self.local.read_ranges(files, shards, offset_P + start_P, num_bytes_P, room)

    def is_whole(self, place: int, data: NDArray[np.uint8]) -> bool:
        """Return whether bytes are the encoded audio of a place."""
        return self.check.is_whole(int(self.rows_B[place]), data)

    def read_again(self, place: int) -> bytes:
        """Return the encoded audio of a place anew, after a failure."""
        if int(self.shard_B[place]) in self.cached:
            # A cached shard that is damaged is noticed and forgotten as it is read.
            return self.read(place)
        return self.read_row_again(int(self.rows_B[place]))

    def where(self, place: int) -> str:
        """Say where the audio of a place lies, for messages."""
        return self.index.where(int(self.rows_B[place]))

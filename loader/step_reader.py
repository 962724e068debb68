"""The encoded clips of one batch, place by place. Any thread may call any method."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from loader.dataset import DatasetIndex


class ReadLocal(Protocol):
    """Reads a member of a local shard into an array of its size, and checks it."""

    def __call__(
        self, room: NDArray[np.uint8], row: int, shard: int, offset: int, crc32c: int
    ) -> None:
        """Read what the row's index says: number of the shard, first byte, checksum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReader:
    """Reads the samples of a batch, each place once; errors as of `SampleReader.read`."""

    read: Callable[[int], bytes]
    """Returns the encoded audio of a place."""
    read_into: Callable[[int, NDArray[np.uint8]], None]
    """Writes it into an array of its size; for places that are local only."""
    is_local_B: Sequence[bool]
    num_bytes_B: Sequence[int]

    @classmethod
    def of(
        cls,
        index: DatasetIndex,
        rows_B: NDArray[np.int64],
        *,
        is_remote_shard: NDArray[np.bool_],
        read: Callable[[int], bytes],
        read_local: ReadLocal,
    ) -> "StepReader":
        """Return what reads some rows of the index.

        Args:
            index: What is in the datasets.
            rows_B: The rows.
            is_remote_shard: Of each of the index's shards, whether it is in no local folder.
            read: Returns the encoded audio of a place, wherever it is.
            read_local: Reads that of local ones.
        """
        shard_B = index.shard_N[rows_B]
        # As lists, because numbers out of arrays cost more than all else that is done for a clip.
        members = list(
            zip(
                rows_B.tolist(),
                shard_B.tolist(),
                index.audio_offset_N[rows_B].tolist(),
                index.audio_crc32c_N[rows_B].tolist(),
                strict=True,
            )
        )
        return cls(
            read=read,
            read_into=lambda place, room: read_local(room, *members[place]),
            is_local_B=(~is_remote_shard[shard_B]).tolist(),
            num_bytes_B=index.audio_num_bytes_N[rows_B].tolist(),
        )

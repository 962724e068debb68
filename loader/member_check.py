"""Whether the bytes of a clip are those of the index."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loader.dataset import DatasetIndex
from shardwriter.errors import ShardFormatError
from shardwriter.index import crc32c


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberCheck:
    """Compares sizes, and checksums unless told not to."""

    index: DatasetIndex
    verify_checksums: bool

    def is_whole(self, row: int, data: bytes | NDArray[np.uint8]) -> bool:
        """Return whether the encoded audio of a row is as the index has it."""
        index = self.index
        return len(data) == int(index.audio_num_bytes_N[row]) and (
            not self.verify_checksums or crc32c(data) == int(index.audio_crc32c_N[row])
        )

    def checked(self, row: int, data: bytes) -> bytes:
        """Return the encoded audio of a row.

        Raises:
            ShardFormatError: the shard is too short, or the checksum differs.
        """
        index = self.index
        num_bytes = int(index.audio_num_bytes_N[row])
        if len(data) != num_bytes:
            number = index.shard_N[row]
            store = index.stores[index.dataset_of_shard[number]]
            raise ShardFormatError(
                f"{index.where(row)}: expected {num_bytes} bytes, got {len(data)}: the shard is "
                f"cut off, it has {store.size(index.tars[number])} bytes; copy or ingest it again"
            )
        if self.verify_checksums:
            expected, got = int(index.audio_crc32c_N[row]), crc32c(data)
            if got != expected:
                raise ShardFormatError(
                    f"{index.where(row)}: expected {num_bytes} bytes with CRC-32C {expected:08x}, "
                    f"got {got:08x}: the shard is damaged; copy or ingest it again"
                )
        return data

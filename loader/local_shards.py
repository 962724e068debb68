"""Bytes of the shards that lie in local folders, or in the node's cache. Any thread may read.

Shards stay open, so that a read costs one system call and no look-up of a name, which on a network
file system is a round trip. They are read with `pread` and not mapped: a mapped page that isn't
cached is read while Python's lock is held, and a file that becomes shorter kills the process
instead of raising an error.
"""

import os
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from loader.node_cache import OpenFile
from loader.ranges import ByteRange
from loader.reader_stats import Counters
from loader.shards import OpenFiles, Shard, open_path, read_open, read_open_into
from shardwriter.errors import StorageError


class LocalShards:
    """Reads local shards, and counts what is read."""

    def __init__(self, files: OpenFiles, counters: Counters) -> None:
        self._files = files
        self._counters = counters

    def read(self, shard: Shard, byte_range: ByteRange) -> bytes:
        """Return bytes of a shard; fewer only where it ends before.

        Raises:
            StorageError: the shard is not there or can't be read.
        """
        try:
            file = self._open(shard)
            data = b"" if file is None else read_open(file, byte_range)
        except OSError as err:
            raise StorageError(f"{shard.path}: {err.strerror}") from err
        self._counters.add(num_bytes_local=len(data))
        return data

    def read_into(self, room: NDArray[np.uint8], shard: Shard, start: int) -> int:
        """Fill an array with bytes of a shard from one on; return how many there were.

        Raises:
            StorageError: the shard is not there or can't be read.
        """
        try:
            file = self._open(shard)
            num_bytes = 0 if file is None else read_open_into(file, start, room)
        except OSError as err:
            raise StorageError(f"{shard.path}: {err.strerror}") from err
        self._counters.add(num_bytes_local=num_bytes)
        return num_bytes

    def read_ranges(
        self, ranges: Iterable[tuple[Shard, OpenFile | None, int, memoryview]]
    ) -> list[memoryview | None]:
        """Fill rooms with bytes of shards; what goes wrong shows when the clips are read whole.

        Args:
            ranges: Of each room: the shard, its file in the cache or `None` for the local one, the
                first byte, and the room.

        Returns:
            The rooms; `None` for those that could not be filled.
        """
        filled: list[memoryview | None] = []
        num_local = num_cached = 0
        for shard, cached, first_byte, room in ranges:
            try:
                file = cached or self._open(shard)
                num_read = 0 if file is None else os.preadv(file.descriptor, [room], first_byte)
            except OSError:
                num_read = 0
            num_cached += num_read if cached else 0
            num_local += 0 if cached else num_read
            filled.append(room if num_read == len(room) else None)
        self._counters.add(num_bytes_local=num_local, num_bytes_cache=num_cached)
        return filled

    def _open(self, shard: Shard) -> OpenFile | None:
        return self._files.get(shard, lambda: open_path(shard.path))

"""Bytes of the shards that lie in local folders, or in the node's cache. Any thread may read.

Shards stay open, so that a read costs one system call and no look-up of a name, which on a network
file system is a round trip. They are read with `pread` and not mapped: a mapped page that isn't
cached is read while Python's lock is held, and a file that becomes shorter kills the process
instead of raising an error.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loader.node_cache import OpenFile
from loader.ranges import ByteRange
from loader.reader_stats import Counters
from loader.shards import OpenFiles, Shard, open_path, read_open
from shardwriter.errors import StorageError


class FileRange(NamedTuple):
    """Bytes of a shard that lies on a disk."""

    shard: Shard
    cached: OpenFile | None
    """Its file in the node's cache; `None` for the local one."""
    start: int
    num_bytes: int


class LocalShards:
    """Reads local shards, and counts what is read."""

    def __init__(self, files: OpenFiles, counters: Counters) -> None:
        self._files = files
        self._counters = counters

    def read(self, wanted: FileRange) -> bytes:
        """Return bytes of a shard; fewer only where it ends before.

        Raises:
            StorageError: the shard is not there or can't be read.
        """
        byte_range = ByteRange(wanted.start, wanted.start + wanted.num_bytes)
        try:
            file = wanted.cached or self._open(wanted.shard)
            data = b"" if file is None else read_open(file, byte_range)
        except OSError as err:
            place = "the node's cache" if wanted.cached else wanted.shard.path
            raise StorageError(f"{place}: {err.strerror}") from err
        if wanted.cached:
            self._counters.add(num_bytes_cache=len(data))
        else:
            self._counters.add(num_bytes_local=len(data))
        return data

    def read_ranges(
        self, ranges: Sequence[FileRange], room: NDArray[np.uint8]
    ) -> list[memoryview | None]:
        """Read bytes of shards into a room, one behind the other, in one call of compiled code.

        Args:
            ranges: What to read; at least one.
            room: Has place for all.

        Returns:
            Where in the room each lies; `None` for those that can't be read, which shows why when
            the clips are read whole.
        """
        from loader.file_reads_kernel import read_files  # numba takes 0.6 s to import

        files = [each.cached or self._open_if_there(each.shard) for each in ranges]
        reads = [
            (-1 if file is None else file.descriptor, each.start, each.num_bytes)
            for each, file in zip(ranges, files, strict=True)
        ]
        counts = np.full(len(reads), -1, np.int64)
        read_files(room, np.array(reads, np.int64), counts)
        filled: list[memoryview | None] = []
        at = num_local = num_cached = 0
        for each, count in zip(ranges, counts.tolist(), strict=True):
            filled.append(room.data[at : at + count] if count == each.num_bytes else None)
            at += each.num_bytes
            num_cached += max(count, 0) if each.cached else 0
            num_local += 0 if each.cached else max(count, 0)
        self._counters.add(num_bytes_local=num_local, num_bytes_cache=num_cached)
        return filled

    def _open_if_there(self, shard: Shard) -> OpenFile | None:
        try:
            return self._open(shard)
        except OSError:
            return None

    def _open(self, shard: Shard) -> OpenFile | None:
        return self._files.get(shard, lambda: open_path(shard.path))

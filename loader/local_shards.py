"""Bytes of the shards that lie in local folders, or in the node's cache. Any thread may read.

Shards stay open, so that a read costs one system call and no look-up of a name, which on a network
file system is a round trip. They are read with `pread` and not mapped: a mapped page that isn't
cached is read while Python's lock is held, and a file that becomes shorter kills the process
instead of raising an error.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loader.node_cache import OpenFile
from loader.ranges import ByteRange
from loader.reader_stats import Counters
from loader.shards import OpenFiles, Shard, open_path, read_open
from shardwriter.errors import StorageError


class ShardFile(NamedTuple):
    """A shard that lies on a disk."""

    shard: Shard
    cached: OpenFile | None
    """Its file in the node's cache; `None` for the local one."""


class LocalShards:
    """Reads local shards, and counts what is read."""

    def __init__(self, files: OpenFiles, counters: Counters) -> None:
        self._files = files
        self._counters = counters

    def read(self, wanted: ShardFile, byte_range: ByteRange) -> bytes:
        """Return bytes of a shard; fewer only where it ends before.

        Raises:
            StorageError: the shard is not there or can't be read.
        """
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
        self,
        files: Mapping[int, ShardFile],
        file_P: Sequence[int],
        start_P: NDArray[np.int64],
        num_bytes_P: NDArray[np.int64],
        room: NDArray[np.uint8],
    ) -> NDArray[np.bool_]:
        """Read bytes of shards into a room, one behind the other, in one call of compiled code.

        Args:
            files: The shards, by any number.
            file_P: Number of the shard to read each range of.
            start_P: Its first byte.
            num_bytes_P: Its length.
            room: Has place for all.

        Returns:
            Which could be read; what was wrong with others shows when the clips are read whole.
        """
        from loader.file_reads_kernel import read_files  # numba takes 0.6 s to import

        # Held until all is read: whatever others do, none is closed.
        opened = {number: self._open_if_there(file) for number, file in files.items()}
        descriptors = {
            number: -1 if file is None else file.descriptor for number, file in opened.items()
        }
        descriptor_P = np.array([descriptors[number] for number in file_P], np.int64)
        file_reads = np.stack([descriptor_P, start_P, num_bytes_P], axis=1)
        counts_P = np.full(len(file_reads), -1, np.int64)
        read_files(room, file_reads, counts_P)
        num_read_P = np.maximum(counts_P, 0)
        is_cached_P = np.array([files[number].cached is not None for number in file_P], np.bool_)
        num_cached = int(num_read_P @ is_cached_P)
        self._counters.add(
            num_bytes_local=int(num_read_P.sum()) - num_cached, num_bytes_cache=num_cached
        )
        is_read_P: NDArray[np.bool_] = counts_P == num_bytes_P
        return is_read_P

    def _open_if_there(self, file: ShardFile) -> OpenFile | None:
        try:
            return file.cached or self._open(file.shard)
        except OSError:
            return None

    def _open(self, shard: Shard) -> OpenFile | None:
        return self._files.get(shard, lambda: open_path(shard.path))

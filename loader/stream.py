"""The encoded bytes of samples, out of their shards, checked. Any thread may call any method."""

import os
import threading
from collections import OrderedDict
from pathlib import Path

from loader.dataset import DatasetIndex
from shardwriter.errors import ShardFormatError, StorageError
from shardwriter.index import crc32c
from shardwriter.storage import LocalStore, Store


class SampleReader:
    """Reads the audio members of a dataset's samples.

    Local shards stay open, `max_open_shards` of them, so that a read costs one system call and no
    look-up of a name, which on a network file system is a round trip. They are read with `pread`
    and not mapped: a mapped page that isn't cached is read while Python's lock is held, and a
    file that becomes shorter kills the process instead of raising an error.
    """

    def __init__(
        self, index: DatasetIndex, *, max_open_shards: int, verify_checksums: bool
    ) -> None:
        self._index = index
        self._verify_checksums = verify_checksums
        self._files = _OpenFiles(max_open_shards)

    def read(self, row: int) -> bytes:
        """Return the encoded audio of a row of the index.

        Raises:
            ShardFormatError: the shard is too short, or the checksum differs.
            StorageError: the shard is not there or can't be read.
        """
        index = self._index
        store, tar = self._locate(row)
        num_bytes = int(index.audio_num_bytes_N[row])
        data = self._read_range(store, tar, int(index.audio_offset_N[row]), num_bytes)
        if len(data) != num_bytes:
            raise ShardFormatError(
                f"{index.where(row)}: expected {num_bytes} bytes, got {len(data)}: the shard is "
                f"cut off, it has {store.size(tar)} bytes; copy or ingest it again"
            )
        if self._verify_checksums:
            expected, got = int(index.audio_crc32c_N[row]), crc32c(data)
            if got != expected:
                raise ShardFormatError(
                    f"{index.where(row)}: expected {num_bytes} bytes with CRC-32C {expected:08x}, "
                    f"got {got:08x}: the shard is damaged; copy or ingest it again"
                )
        return data

    def _locate(self, row: int) -> tuple[Store, str]:
        """Return the store of a row's dataset, and the name of its shard there."""
        shard = self._index.shard_N[row]
        return self._index.stores[self._index.dataset_of_shard[shard]], self._index.tars[shard]

    def _read_range(self, store: Store, tar: str, start: int, num_bytes: int) -> bytes:
        if not isinstance(store, LocalStore):
            return store.read_range(tar, start, num_bytes)
        try:
            return self._files.read(store.path(tar), start, num_bytes)
        except OSError as err:
            raise StorageError(f"{store.url}/{tar}: {err.strerror}") from err


class _OpenFiles:
    """Files open for reading, at most so many; the one used longest ago is closed first."""

    def __init__(self, max_files: int) -> None:
        self._max_files = max_files
        self._lock = threading.Lock()
        self._files: OrderedDict[Path, _OpenFile] = OrderedDict()

    def read(self, path: Path, start: int, num_bytes: int) -> bytes:
        # The local name keeps the file open for this read, even if another thread's use of the
        # cache drops it meanwhile.
        file = self._open(path)
        return os.pread(file.descriptor, num_bytes, start)

    def _open(self, path: Path) -> "_OpenFile":
        with self._lock:
            file = self._files.get(path)
            if file is None:
                file = self._files[path] = _OpenFile(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
                if len(self._files) > self._max_files:
                    self._files.popitem(last=False)
            else:
                self._files.move_to_end(path)
            return file


class _OpenFile:
    """A descriptor that is closed when the last user lets go of it."""

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)

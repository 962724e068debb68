"""Shards as the reader knows them, and those of them that are open as local files."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loader.dataset import DatasetIndex
from loader.node_cache import OpenFile
from loader.ranges import ByteRange, NetworkCost, is_whole_shard_cheaper
from shardwriter.storage import LocalStore, Store


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shard:
    """Where a shard lies and what the manifest says of it. Each is made once, and only itself."""

    store: Store
    tar: str
    """Its name in the store."""
    num_bytes: int
    sha256: str

    @property
    def path(self) -> Path:
        """Where it lies, for shards of local stores only."""
        if not isinstance(self.store, LocalStore):
            raise TypeError(f"{self.store.url} is no folder")
        return self.store.path(self.tar)


class OpenFiles:
    """Shards open for reading, at most so many; the one used longest ago is closed first."""

    def __init__(self, max_files: int) -> None:
        self._max_files = max_files
        self._lock = threading.Lock()
        self._files: OrderedDict[Shard, OpenFile] = OrderedDict()

    def get(self, shard: Shard, open_it: Callable[[], OpenFile | None]) -> OpenFile | None:
        """Return the open file of a shard, opening it if it isn't."""
        with self._lock:
            file = self._files.get(shard)
            if file is not None:
                self._files.move_to_end(shard)
                return file
            file = open_it()
            if file is not None:
                self._files[shard] = file
                if len(self._files) > self._max_files:
                    self._files.popitem(last=False)
            return file

    def forget(self, shard: Shard) -> None:
        """Close a shard for all who ask from now on."""
        with self._lock:
            self._files.pop(shard, None)


def open_path(path: Path) -> OpenFile:
    """Open a file for reading; child processes don't inherit it."""
    return OpenFile(os.open(path, os.O_RDONLY | os.O_CLOEXEC))


def read_open(file: OpenFile, byte_range: ByteRange) -> bytes:
    """Return bytes of an open file; who holds `file` keeps it open meanwhile."""
    return os.pread(file.descriptor, len(byte_range), byte_range.start)


def worth_downloading(
    shards: Sequence[Shard],
    index: DatasetIndex,
    order_N: NDArray[np.int64],
    *,
    cost: NetworkCost,
    is_cached: Callable[[Shard], bool],
) -> list[Shard]:
    """Return the shards to read from the disk, in the order of their first use.

    Those are the shards that are there, and those that are cheaper whole than in parts.

    Args:
        shards: The shards of an index, in its order.
        index: The selected samples.
        order_N: Its rows in the order of use on this machine, from where the pass begins.
        cost: What a request takes.
        is_cached: Tells whether a shard is on the disk already.
    """
    numbers, first_uses = np.unique(index.shard_N[order_N], return_index=True)
    num_needed = np.bincount(index.shard_N[order_N], minlength=len(shards))
    num_bytes_needed = np.bincount(
        index.shard_N[order_N], weights=index.audio_num_bytes_N[order_N], minlength=len(shards)
    )
    return [
        shards[number]
        for number in numbers[np.argsort(first_uses)]
        if is_cached(shards[number])
        or is_whole_shard_cheaper(
            shard_num_bytes=shards[number].num_bytes,
            needed_num_bytes=int(num_bytes_needed[number]),
            num_needed=int(num_needed[number]),
            cost=cost,
        )
    ]

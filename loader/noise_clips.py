"""Encoded noise: fetched before it is mixed where it is remote, and kept for its next use.

Noise is drawn with repetition, so that what it takes from the network becomes less with every
batch. Until then each batch would wait for most of its noise, if that were not on its way already.
"""

import contextlib
import sys
import threading
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from loader.dataset import DatasetIndex
from loader.fetch_ahead import FetchAhead, Planned
from loader.stream import FetchSettings, SampleReader
from shardwriter.storage import LocalStore

_SHARE_AHEAD = 0.4
"""Of the memory: what is announced has to be there still when its batch is made. Batches that are
being made meanwhile, and clips that are used again, take the rest."""

_ANY_NUMBER = sys.maxsize


class NoiseClips:
    """The clips of a noise dataset; any thread may call any method but `begin`."""

    def __init__(
        self, index: DatasetIndex, reader: SampleReader, *, settings: FetchSettings, max_bytes: int
    ) -> None:
        """Take the settings; nothing is read yet.

        Args:
            index: The noise dataset.
            reader: Reads its samples.
            settings: How many requests may be made at a time.
            max_bytes: Bound on the clips kept, those fetched ahead included.
        """
        self._reader = reader
        self._num_connections = settings.num_connections
        self._kept = _KeptClips(max_bytes=max_bytes)
        self._num_bytes_N = index.audio_num_bytes_N
        self._is_remote = any(not isinstance(store, LocalStore) for store in index.stores)
        self._max_bytes_ahead = int(_SHARE_AHEAD * max_bytes)
        self._ahead: FetchAhead[int] | None = None
        self._coming: dict[int, Planned[int]] = {}
        self._lock = threading.Lock()

    @property
    def max_bytes_ahead(self) -> int:
        """Bound on the clips to announce at a time; 0 where fetching ahead makes no sense."""
        return self._max_bytes_ahead if self._is_remote else 0

    def begin(self, on_end: contextlib.ExitStack) -> None:
        """Begin to fetch what is announced, until `on_end` is closed."""
        ahead = FetchAhead(self._bring, num_threads=self._num_connections, max_bytes=1)
        with self._lock:
            self._ahead, self._coming = ahead, {}
        on_end.callback(ahead.close)

    def num_bytes(self, rows: NDArray[np.int64]) -> int:
        """Return the size of some clips, each counted once."""
        return int(self._num_bytes_N[np.unique(rows)].sum())

    def announce(self, rows: NDArray[np.int64]) -> None:
        """Fetch some clips in the background, behind those announced before."""
        planned = []
        with self._lock:
            for row in dict.fromkeys(rows.tolist()):
                # Asking for it, too, keeps it from being the next to be dropped.
                if self._kept.get(row) is None and row not in self._coming:
                    # Its bytes are counted where they are kept, which drops them as well.
                    self._coming[row] = Planned(row, num_bytes=0, num_readers=_ANY_NUMBER)
                    planned.append(self._coming[row])
        if self._ahead is not None:
            self._ahead.plan(planned)

    def get(self, row: int) -> bytes:
        """Return the encoded audio of a row.

        Raises:
            CancelledError: the pass that announced it was ended.
            ShardFormatError: it is damaged.
            StorageError: it can't be read.
        """
        with self._lock:
            coming, ahead = self._coming.get(row), self._ahead
        if coming is not None and ahead is not None:
            return ahead.take(coming)
        return self._kept.get(row) or self._read(row)

    def _bring(self, row: int) -> bytes:
        try:
            return self._read(row)
        finally:
            with self._lock:
                self._coming.pop(row, None)

    def _read(self, row: int) -> bytes:
        data = self._reader.read(row)
        self._kept.put(row, data)
        return data


class _KeptClips:
    """Encoded clips that were used last, within a budget."""

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._clips: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, row: int) -> bytes | None:
        with self._lock:
            data = self._clips.get(row)
            if data is not None:
                self._clips.move_to_end(row)
            return data

    def put(self, row: int, data: bytes) -> None:
        with self._lock:
            if row in self._clips or len(data) > self._max_bytes:
                return
            self._clips[row] = data
            self._num_bytes += len(data)
            while self._num_bytes > self._max_bytes:
                self._num_bytes -= len(self._clips.popitem(last=False)[1])

"""Threads that bring shards into the node's cache before they are read, in the plan's order."""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError
from typing import BinaryIO

from loader.node_cache import NodeCache, OpenFile, Outcome
from loader.prefetch import THREAD_NAME_PREFIX
from loader.ranges import MAX_REQUEST_BYTES, ByteRange
from loader.reader_stats import Counters
from loader.shards import Shard
from shardwriter.errors import ReplacedError, ShardFormatError, StorageError

logger = logging.getLogger(__name__)

NUM_DOWNLOADS = 4
"""Shards on their way at a time, in each process: processes of a node download different ones."""


_LET_GO: Future[OpenFile | None] = Future()
"""In place of the future of a shard that is pinned no more."""
_LET_GO.set_result(None)


class ShardDownloads:
    """Keeps the next shards of one pass over a dataset in the cache, and pinned until opened."""

    def __init__(
        self,
        cache: NodeCache,
        fetch: Callable[[Shard, ByteRange], bytes],
        shards: Sequence[Shard],
        counters: Counters,
        *,
        num_ahead: int,
    ) -> None:
        """Take the order; nothing begins before `advance_to`.

        Args:
            cache: Where they go.
            fetch: Returns bytes of a shard over the network.
            shards: In the order in which the pass first needs them.
            counters: Where downloads and failures are counted.
            num_ahead: Shards to have ready beyond the last one that is in use.
        """
        self._cache = cache
        self._fetch = fetch
        self._shards = shards
        self._counters = counters
        self._num_ahead = num_ahead
        self._places = {shard: place for place, shard in enumerate(shards)}
        self._files: dict[Shard, Future[OpenFile | None]] = {shard: Future() for shard in shards}
        self._num_begun = 0
        self._num_wanted = 0
        self._elsewhere: deque[Shard] = deque()
        self._num_threads = 0
        self._is_closed = False
        self._is_room_lack_said = False
        self._changed = threading.Condition()

    def __contains__(self, shard: Shard) -> bool:
        return shard in self._places

    def advance_to(self, shard: Shard) -> None:
        """Say that a shard is needed soon: it and those behind it in the order are downloaded."""
        num_wanted = min(self._places[shard] + 1 + self._num_ahead, len(self._shards))
        if num_wanted <= self._num_wanted:  # which only grows: most calls end here, without lock
            return
        with self._changed:
            if num_wanted <= self._num_wanted or self._is_closed:
                return
            self._num_wanted = num_wanted
            self._changed.notify_all()
            num_new = min(NUM_DOWNLOADS, num_wanted) - self._num_threads
            self._num_threads += max(num_new, 0)
        for _ in range(num_new):
            threading.Thread(
                target=self._work, name=f"{THREAD_NAME_PREFIX}-download", daemon=True
            ).start()

    def open(self, shard: Shard) -> OpenFile | None:
        """Return the file of a shard that is in the cache; None while it isn't."""
        future = self._files[shard]
        file = future.result() if future.done() and not future.exception() else None
        return file or self._cache.open(shard.sha256, num_bytes=shard.num_bytes)

    def is_settled(self, shard: Shard) -> bool:
        """Tell whether a download is over, well or not: then waiting for it is no wait."""
        return self._files[shard].done()

    def wait_for(self, shard: Shard) -> OpenFile | None:
        """Wait until a shard is in the cache; None where it could not get there.

        Raises:
            ShardFormatError: what the store has is not what the manifest says, twice.
            ReplacedError: it changed during the download.
            CancelledError: this was closed.
        """
        self.advance_to(shard)
        return self._files[shard].result() or self.open(shard)

    def let_go(self, shard: Shard) -> None:
        """Stop pinning a shard: who reads it has opened it."""
        if self._files[shard].done():
            self._files[shard] = _LET_GO

    def close(self) -> None:
        """Stop: threads end after the piece that each is at, and what is not whole is removed."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for future in self._files.values():
            with contextlib.suppress(InvalidStateError):
                future.set_exception(CancelledError("the iteration was closed"))

    def _work(self) -> None:
        while (taken := self._next()) is not None:
            shard, can_wait = taken
            future = self._files[shard]
            try:
                is_settled, file = self._obtain(shard, can_wait=can_wait)
            except BaseException as err:  # noqa: BLE001 - a worker's edge: readers raise it
                with contextlib.suppress(InvalidStateError):
                    future.set_exception(err)
                continue
            if is_settled:
                with contextlib.suppress(InvalidStateError):
                    future.set_result(file)
            del file, taken  # the file pins its entry

    def _next(self) -> tuple[Shard, bool] | None:
        """Return the next shard, and whether to wait for the process that downloads it."""
        with self._changed:
            while not self._is_closed:
                if self._num_begun < self._num_wanted:
                    self._num_begun += 1
                    return self._shards[self._num_begun - 1], False
                if self._elsewhere:
                    return self._elsewhere.popleft(), True
                self._changed.wait()
        return None

    def _obtain(self, shard: Shard, *, can_wait: bool) -> tuple[bool, OpenFile | None]:
        """Return whether a shard's fate is known, and its file if it is in the cache."""
        file = self._cache.open(shard.sha256, num_bytes=shard.num_bytes)
        if file is not None:
            return True, file
        try:
            outcome = self._add_or_add_again(shard, can_wait=can_wait)
        except (ShardFormatError, ReplacedError):
            raise
        except (StorageError, OSError) as err:
            self._fall_back(shard, str(err))
            return True, None
        if outcome == "no room":
            self._fall_back(shard, None)
        elif outcome == "busy":
            with self._changed:
                self._elsewhere.append(shard)
                self._changed.notify()
        return outcome != "busy", self._cache.open(shard.sha256, num_bytes=shard.num_bytes)

    def _add_or_add_again(self, shard: Shard, *, can_wait: bool) -> Outcome:
        """Download a shard; once more if it is not what the manifest says, which may be the way."""
        try:
            return self._add(shard, can_wait=can_wait)
        except ShardFormatError:
            self._counters.add(num_retries=1)
        try:
            return self._add(shard, can_wait=can_wait)
        except ShardFormatError as err:
            raise ShardFormatError(
                f"{shard.store.url}/{shard.tar}: {err}: it was replaced or is damaged; copy or "
                "ingest it again"
            ) from err

    def _add(self, shard: Shard, *, can_wait: bool) -> Outcome:
        return self._cache.add(
            shard.sha256,
            num_bytes=shard.num_bytes,
            write=lambda file: self._write(shard, file),
            can_wait=can_wait,
        )

    def _write(self, shard: Shard, file: BinaryIO) -> None:
        for start in range(0, shard.num_bytes, MAX_REQUEST_BYTES):
            if self._is_closed:
                raise CancelledError("the iteration was closed")
            stop = min(start + MAX_REQUEST_BYTES, shard.num_bytes)
            file.write(self._fetch(shard, ByteRange(start, stop)))
        self._counters.add(num_shards_downloaded=1)

    def _fall_back(self, shard: Shard, why: str | None) -> None:
        """Count a shard that is streamed; for want of room (no `why`) it is said of one only."""
        self._counters.add(num_cache_fallbacks=1)
        if why is None:
            with self._changed:
                is_said, self._is_room_lack_said = self._is_room_lack_said, True
            if is_said:
                return
            why = (
                f"the cache or its disk has no room for its {shard.num_bytes} bytes, "
                f"{self._cache.describe()}; give it room for 2 * open_shards shards, or lower "
                "open_shards. Others of this pass are only counted (reader.num_cache_fallbacks)"
            )
        logger.warning("streaming %s/%s without cache: %s", shard.store.url, shard.tar, why)

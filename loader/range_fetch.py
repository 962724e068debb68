"""Bytes of a remote object: asked for again until they are whole, or the time for them is up."""

import random
import threading
import time
from collections.abc import Callable

from loader.connections import Connections
from loader.ranges import ByteRange
from loader.reader_stats import Counters
from shardwriter.errors import ReplacedError, ThrottledError, TransientStorageError
from shardwriter.storage import Part, RemoteStore, Shortfall, read_resuming

_FIRST_PAUSE_SECONDS = 0.1
_MAX_PAUSE_SECONDS = 10.0
_REQUEST_SECONDS = 20.0
_MIN_BYTES_PER_SECOND = 100_000
"""A connection slower than this, after the request time-out, is given up for a new one."""


class RangeFetcher:
    """Fetches ranges of objects. Any thread may call `fetch`.

    Every object is pinned to the version (ETag) that its first answer had: one that is replaced
    while a run reads it is an error, never a mixture.
    """

    def __init__(
        self,
        connections: Connections,
        counters: Counters,
        *,
        max_seconds: float,
        request_seconds: float = _REQUEST_SECONDS,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        """Take the settings.

        Args:
            connections: The gate that every request goes through.
            counters: Where requests, retries and bytes are counted.
            max_seconds: How long one range may take, all attempts and pauses together.
            request_seconds: How long one request may take before a new one is made, beside the
                time that its bytes take at a slow connection's rate.
            pause: Waits so many seconds.
        """
        self._connections = connections
        self._counters = counters
        self._max_seconds = max_seconds
        self._request_seconds = request_seconds
        self._pause = pause
        self._versions: dict[str, str] = {}
        self._lock = threading.Lock()

    def fetch(self, store: RemoteStore, name: str, byte_range: ByteRange) -> bytes:
        """Return the bytes of a range; fewer only where the object ends before.

        Raises:
            TransientStorageError: not whole within `max_seconds`.
            ReplacedError: the object is another one than when it was first read.
            StorageError: it is not there, or denied.
        """
        where = f"{store.url}/{name}"
        begin = time.monotonic()
        num_attempts = 0

        def ask(position: int, version: str | None) -> Part:
            nonlocal num_attempts
            num_attempts += 1
            return self._ask(
                store, name, ByteRange(position, byte_range.stop), version or self._pinned(where)
            )

        def on_shortfall(shortfall: Shortfall) -> None:
            longest = _FIRST_PAUSE_SECONDS * 2.0 ** min(shortfall.num_failures - 1, 10)
            seconds = random.uniform(0.0, min(longest, _MAX_PAUSE_SECONDS))
            if time.monotonic() - begin + seconds > self._max_seconds:
                raise TransientStorageError(
                    f"{where}: expected {len(byte_range)} bytes from byte {byte_range.start}, got "
                    f"{shortfall.num_bytes} within {self._max_seconds:g} s and {num_attempts} "
                    f"attempts; at last: {_described(shortfall.interruption)}. Resume the run "
                    "when the store answers again, or raise fetch_timeout_seconds"
                ) from shortfall.interruption
            self._counters.add(num_retries=1)
            self._pause(seconds)

        try:
            return read_resuming(
                ask, where=where, start=byte_range.start, on_shortfall=on_shortfall
            )
        finally:
            self._counters.add(fetch_seconds=time.monotonic() - begin)

    def _ask(
        self, store: RemoteStore, name: str, byte_range: ByteRange, version: str | None
    ) -> Part:
        """Make one request; a failure that may pass is a part without bytes."""
        try:
            with self._connections.request():
                self._counters.add(num_requests=1)
                part = store.read_part(
                    name,
                    start=byte_range.start,
                    stop=byte_range.stop,
                    version=version,
                    max_seconds=self._request_seconds + len(byte_range) / _MIN_BYTES_PER_SECOND,
                )
        except ReplacedError:
            raise
        except ThrottledError as err:
            self._counters.add(num_throttled=1)
            return Part(data=b"", version=version, interruption=err)
        except TransientStorageError as err:
            return Part(data=b"", version=version, interruption=err)
        self._counters.add(num_bytes_fetched=len(part.data))
        if part.version is not None:
            self._pin(f"{store.url}/{name}", part.version)
        return part

    def _pinned(self, where: str) -> str | None:
        with self._lock:
            return self._versions.get(where)

    def _pin(self, where: str, version: str) -> None:
        with self._lock:
            pinned = self._versions.setdefault(where, version)
        if pinned != version:
            raise ReplacedError(f"{where} was replaced while it was read; read it again")


def _described(problem: Exception | None) -> str:
    return "the answer ended early" if problem is None else f"{type(problem).__name__}: {problem}"

"""What a reader read, from where, and what the network took; counted by many threads."""

import threading
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderStats:
    """Sums since the reader was made, and where it stands."""

    num_bytes_local: int = 0
    """Encoded audio read from the dataset's own folder."""
    num_bytes_cache: int = 0
    """... from the node's cache on disk."""
    num_bytes_memory: int = 0
    """... out of memory, where looking ahead had put it in time."""
    num_bytes_network: int = 0
    """... that a thread had to wait for, because it was not there yet."""
    num_bytes_fetched: int = 0
    """All that came over the network: for batches, gaps between members, shards for the cache."""
    num_requests: int = 0
    num_retries: int = 0
    """Requests made because one before failed, was cut short or was refused."""
    num_throttled: int = 0
    """Answers that asked for fewer requests."""
    num_shards_downloaded: int = 0
    num_cache_fallbacks: int = 0
    """Shards that were streamed because the cache had no room, or no longer had them whole."""
    fetch_seconds: float = 0.0
    """Connection-seconds that requests took, the pauses before they were made again included."""
    num_queued: int = 0
    """Requests planned ahead that have not begun."""
    num_bytes_held: int = 0
    """Memory taken by what was fetched ahead or is being fetched."""
    max_connections: int = 0
    """Requests allowed at a time just now; fewer than configured where the store throttles."""


class Counters:
    """The sums of `ReaderStats`, for threads to add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sums: dict[str, Any] = {}

    def add(self, **amounts: float) -> None:
        """Add to some fields of `ReaderStats`."""
        with self._lock:
            for name, amount in amounts.items():
                self._sums[name] = self._sums.get(name, 0) + amount

    def snapshot(self, **state: int) -> ReaderStats:
        """Return the sums so far, beside the fields given."""
        with self._lock:
            return replace(ReaderStats(**state), **self._sums)

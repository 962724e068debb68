"""What passed a proxy: requests for shards and their bytes, as the store saw them."""

import re
import threading
from dataclasses import dataclass

from tests.s3.fault_proxy import Request

_RANGE = re.compile(rb"\r\nrange: *bytes=(\d+)-(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenTraffic:
    num_requests: int = 0
    """GETs of shards."""
    num_bytes: int = 0
    """That these asked for."""
    num_others: int = 0
    """Requests for anything else: manifest, index."""


class TrafficMeter:
    """Counts the requests that it is told of; `take` gives the counts and begins anew."""

    def __init__(self) -> None:
        self._seen = SeenTraffic()
        self._lock = threading.Lock()

    def note(self, request: Request) -> None:
        num_bytes = -1
        if request.method == "GET" and ".tar" in request.target:
            found = _RANGE.search(request.head)
            if found is None:
                raise ValueError(f"a shard was asked for without a range: {request.target}")
            num_bytes = int(found[2]) - int(found[1]) + 1
        with self._lock:
            seen = self._seen
            self._seen = SeenTraffic(
                num_requests=seen.num_requests + (num_bytes >= 0),
                num_bytes=seen.num_bytes + max(num_bytes, 0),
                num_others=seen.num_others + (num_bytes < 0),
            )

    def take(self) -> SeenTraffic:
        with self._lock:
            seen, self._seen = self._seen, SeenTraffic()
        return seen

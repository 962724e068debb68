"""`Retry-After`: for how long a server asks to be left alone, and whom that holds back."""

import email.utils
import threading
import time
from collections.abc import Callable

MAX_PAUSE_SECONDS = 900.0
"""A longer one is not sat out: the run ends as blocked, and goes on when it is started again."""


def pause_seconds(value: str, *, now: float) -> float | None:
    """Return the pause that a `Retry-After` header asks for, None where it asks for none.

    Args:
        value: The header: seconds, or a date of HTTP.
        now: Seconds since 1970.
    """
    text = value.strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        return max(email.utils.parsedate_to_datetime(text).timestamp() - now, 0.0)
    except (ValueError, OverflowError):
        return None


class HostPauses:
    """Remembers which hosts asked for a pause, and by what status; used by several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pauses: dict[str, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def note(self, host: str, seconds: float, *, status: int) -> None:
        """Leave a host alone for so long, but no longer than `MAX_PAUSE_SECONDS`."""
        until = self._clock() + min(seconds, MAX_PAUSE_SECONDS)
        with self._lock:
            self._pauses[host] = max((until, status), self._pauses.get(host, (0.0, status)))

    def left(self, host: str) -> tuple[float, int]:
        """Return for how many seconds a host is still to be left alone, and its status; 0: none."""
        with self._lock:
            until, status = self._pauses.get(host, (0.0, 0))
            return max(until - self._clock(), 0.0), status

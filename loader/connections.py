"""The gate that all requests of a reader go through: no more at a time than the store bears."""

import contextlib
import threading
from collections.abc import Iterator

from loader.congestion import CongestionWindow
from shardwriter.errors import ThrottledError


class Connections:
    """Lets requests begin while there are fewer than the congestion window allows."""

    def __init__(self, max_connections: int) -> None:
        self._window = CongestionWindow(limit=float(max_connections), max_limit=max_connections)
        self._num_busy = 0
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """Requests that are allowed at a time just now."""
        with self._changed:
            return int(self._window.limit)

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """Wait for leave to make a request, and learn from how it ends."""
        with self._changed:
            while self._num_busy >= int(self._window.limit):
                self._changed.wait()
            self._num_busy += 1
            generation = self._window.generation
        is_good = is_throttled = False
        try:
            yield
            is_good = True
        except ThrottledError:
            is_throttled = True
            raise
        finally:
            with self._changed:
                self._num_busy -= 1
                if is_good:
                    self._window = self._window.after_success()
                if is_throttled:
                    self._window = self._window.after_throttling(generation)
                self._changed.notify(2)  # the place that is free, and one that the window gained

"""A bounded amount of memory that threads fill with what will be read next, in that order."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, InvalidStateError
from functools import partial
from typing import Generic, TypeVar

from loader.prefetch import THREAD_NAME_PREFIX

Request = TypeVar("Request")


_DROPPED: Future[bytes] = Future()
"""In place of a future whose bytes the last reader has taken, which would keep them."""


class Planned(Generic[Request]):
    """Bytes that will be read: by `num_readers` readers, each of whom takes them once."""

    __slots__ = ("future", "is_begun", "num_bytes", "num_readers", "request")

    def __init__(self, request: Request, *, num_bytes: int, num_readers: int) -> None:
        self.request = request
        self.num_bytes = num_bytes
        self.num_readers = num_readers
        self.is_begun = False
        self.future: Future[bytes] = Future()


class FetchAhead(Generic[Request]):
    """Fetches what is planned in the order of the plan, while there is room for it.

    Room is given back when the last reader has taken the bytes. For a reader that comes for bytes
    that no thread has begun to fetch a thread begins, room or no room: so readers never wait for
    room that only they could free, whatever the order in which they come.
    """

    def __init__(
        self, fetch: Callable[[Request], bytes], *, num_threads: int, max_bytes: int
    ) -> None:
        """Take the settings; threads begin with the first thing planned.

        Args:
            fetch: Returns the bytes of a request; an exception is raised to its readers.
            num_threads: Requests at a time.
            max_bytes: Bound on the bytes held, those under way included. A request larger than
                it is made when nothing else is held.
        """
        self._fetch = fetch
        self._num_threads = num_threads
        self._max_bytes = max_bytes
        self._queue: deque[Planned[Request]] = deque()
        self._under_way: set[Planned[Request]] = set()
        self._num_bytes_held = 0
        self._num_threads_begun = 0
        self._is_closed = False
        self._changed = threading.Condition()

    @property
    def num_bytes_held(self) -> int:
        """Bytes in memory or on their way into it."""
        return self._num_bytes_held

    @property
    def num_queued(self) -> int:
        """Requests that have not begun."""
        return len(self._queue)

    def is_ready(self, planned: Planned[Request]) -> bool:
        """Tell whether the bytes are there, so that taking them is no wait."""
        return planned.future.done()

    def plan(self, planned: list[Planned[Request]]) -> None:
        """Queue requests behind those already queued."""
        with self._changed:
            self._queue.extend(planned)
            self._changed.notify()
            num_new = min(self._num_threads - self._num_threads_begun, len(planned))
            self._num_threads_begun += num_new
        for _ in range(num_new):
            _start(self._work)

    def take(self, planned: Planned[Request]) -> bytes:
        """Return the bytes, waiting for them if they are not there yet.

        Raises:
            CancelledError: this was closed.
        """
        with self._changed:
            is_mine = not planned.is_begun and not self._is_closed
            if is_mine:
                self._begin(planned)
        if is_mine:
            _start(partial(self._fill, planned))
        future = planned.future
        try:
            return future.result()
        finally:
            self._release(planned)

    def close(self) -> None:
        """Drop all that is planned or held; threads end after the request that each is at."""
        with self._changed:
            self._is_closed = True
            dropped = [*self._queue, *self._under_way]
            self._queue.clear()
            self._changed.notify_all()
        for planned in dropped:
            _settle(planned, CancelledError("the iteration was closed"))

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._is_closed and not self._has_room_for_next():
                    self._changed.wait()
                if self._is_closed:
                    return
                planned = self._queue.popleft()
                self._begin(planned)
                if self._has_room_for_next():
                    self._changed.notify()
            self._fill(planned)
            del planned  # it holds bytes, and the wait for the next may be long

    def _has_room_for_next(self) -> bool:
        while self._queue and self._queue[0].is_begun:
            self._queue.popleft()  # a reader came for it first
        if not self._queue:
            return False
        num_bytes = self._num_bytes_held + self._queue[0].num_bytes
        return num_bytes <= self._max_bytes or not self._num_bytes_held

    def _begin(self, planned: Planned[Request]) -> None:
        planned.is_begun = True
        self._num_bytes_held += planned.num_bytes
        self._under_way.add(planned)

    def _fill(self, planned: Planned[Request]) -> None:
        try:
            _settle(planned, self._fetch(planned.request))
        except BaseException as err:  # noqa: BLE001 - a worker's edge: its readers raise it
            _settle(planned, err)
        finally:
            with self._changed:
                self._under_way.discard(planned)

    def _release(self, planned: Planned[Request]) -> None:
        with self._changed:
            planned.num_readers -= 1
            if not planned.num_readers and planned.is_begun:
                planned.future = _DROPPED
                self._num_bytes_held -= planned.num_bytes
                self._changed.notify()


def _start(work: Callable[[], None]) -> None:
    """Do it in a daemon, not in a reader's thread: no request that hangs keeps a process alive."""
    threading.Thread(target=work, name=f"{THREAD_NAME_PREFIX}-fetch", daemon=True).start()


def _settle(planned: Planned[Request], outcome: bytes | BaseException) -> None:
    """Give the outcome to who waits for it, unless closing was faster."""
    with contextlib.suppress(InvalidStateError):
        if isinstance(outcome, BaseException):
            planned.future.set_exception(outcome)
        else:
            planned.future.set_result(outcome)

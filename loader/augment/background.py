"""A result made in a thread beside the training loop; no process ends in the middle of it."""

import atexit
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")

_LAST_WAIT_SECONDS = 10.0
"""Longer than a clip takes; a read that hangs must not keep a process from ending."""
_running: dict[threading.Thread, threading.Event] = {}


def in_background(
    make: Callable[[threading.Event], Result], *, name: str, stop: threading.Event
) -> "Future[Result]":
    """Return what `make` will return, or the exception that it raises.

    Args:
        make: Called with `stop` in a thread; ends soon after that is set.
        name: Of the thread.
        stop: Set by the caller when the result is no longer wanted, and when the interpreter ends.
    """
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(make(stop))
        except BaseException as err:  # noqa: BLE001 - raised again where the result is asked for
            future.set_exception(err)
        finally:
            _running.pop(threading.current_thread(), None)

    thread = threading.Thread(target=run, name=name, daemon=True)
    _running[thread] = stop
    thread.start()
    return future


@atexit.register
def _end_all() -> None:
    # A thread that wants Python's lock from an interpreter that is gone is unwound on the spot, and
    # if that happens inside PyTorch's C++ the process aborts.
    running = list(_running.items())
    for _, stop in running:
        stop.set()
    for thread, _ in running:
        thread.join(_LAST_WAIT_SECONDS)

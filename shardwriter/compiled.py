"""Functions compiled by numba, without Python's lock, kept on disk for the next process.

Numba's cache notices a change of the file that holds a function, of nothing else: not of the files
that constants and callees come from. So a kernel's file takes nothing from others of ours but this
one, and holds its tables and all that its functions call, though it gets long. A test sees to it,
and to the options that this file gives.
"""

import contextlib
import fcntl
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numba
from numba.core import event

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 180.0
"""Others are waited for, several times what they need; then a process compiles for itself."""
_LOOK_SECONDS = 0.1


def jit(function: Callable[..., Any], **options: Any) -> Any:
    """Return a function that is compiled when it is first called; `options` are those of njit."""
    try:
        return numba.njit(nogil=True, cache=True, **options)(function)
    except RuntimeError:  # neither beside its file nor in the user's cache folder can be written
        return numba.njit(nogil=True, **options)(function)


def entry(what: str, *, seconds: int) -> Callable[[Callable[..., Any]], "Entry"]:
    """Return a decorator like `jit`, for what Python calls and takes seconds to compile.

    Args:
        what: What is compiled, for the log.
        seconds: For how long, about, with all that it calls.
    """
    return lambda function: Entry(jit(function), what=what, seconds=seconds)


class Entry:
    """A compiled function that Python calls; compiled by one process, if several need it at once.

    The others wait and load what that one has kept. It logs what it does before it begins.
    """

    def __init__(self, function: Any, *, what: str, seconds: int) -> None:
        self.function = function
        self._what = what
        self._seconds = seconds
        self._is_loaded = False

    def __call__(self, *arguments: Any) -> Any:
        """Call the function."""
        if self._is_loaded:
            return self.function(*arguments)
        result = self._load_and_call(arguments)
        self._is_loaded = True
        return result

    def _load_and_call(self, arguments: tuple[Any, ...]) -> Any:
        folder = self.function.stats.cache_path
        if folder is None:
            with _at_compiling(self._tell_that_it_is_not_kept):
                return self.function(*arguments)
        try:
            with _at_compiling(_refuse):
                return self.function(*arguments)
        except _NotKeptError:
            pass
        with (
            _ahead_of_others(Path(folder) / f"{self.function.__module__}.lock"),
            _at_compiling(self._tell),
        ):
            return self.function(*arguments)

    def _tell(self) -> None:
        logger.info("compiling %s, once on this machine: some %d s", self._what, self._seconds)

    def _tell_that_it_is_not_kept(self) -> None:
        logger.info(
            "compiling %s: some %d s, in every process anew, as it finds no folder to keep it in; "
            "set NUMBA_CACHE_DIR to one that can be written",
            self._what,
            self._seconds,
        )


class _NotKeptError(Exception):
    """What is to be called has to be compiled."""


def _refuse() -> None:
    raise _NotKeptError


class _Listener(event.Listener):
    """Has something done when the thread that made it first begins to compile."""

    def __init__(self, react: Callable[[], None]) -> None:
        self._react: Callable[[], None] | None = react
        self._thread = threading.get_ident()

    def on_start(self, _event: Any) -> None:
        react = self._react
        if react and threading.get_ident() == self._thread:
            self._react = None
            react()

    def on_end(self, _event: Any) -> None:
        pass


@contextlib.contextmanager
def _at_compiling(react: Callable[[], None]) -> Iterator[None]:
    with event.install_listener("numba:compile", _Listener(react)):
        yield


@contextlib.contextmanager
def _ahead_of_others(path: Path) -> Iterator[None]:
    """Be the only process here, or wait for the one that is; on some file systems neither.

    Those that have waited come in together: they are not there to compile.
    """
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):  # no such folder any more, or no locks
            file = held.enter_context(path.open("ab"))
            _lock(file)
            # Said aloud, because a process that was forked meanwhile has the file open, too.
            held.callback(fcntl.flock, file, fcntl.LOCK_UN)
        yield


def _lock(file: BinaryIO) -> None:
    kind = fcntl.LOCK_EX
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            kind = fcntl.LOCK_SH
            time.sleep(_LOOK_SECONDS)
        else:
            return

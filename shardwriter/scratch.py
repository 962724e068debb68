"""Temporary folders that outlive no killed process for long: the next one clears them."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_LOCK_NAME = "lock"


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give a new folder, and remove it at the end.

    Each folder holds a locked file. The kernel drops the lock when its process dies, however it
    dies, so that folders of the dead can be told from those in use and are removed here.
    """
    base = Path(tempfile.gettempdir()) / f"melstream-{os.getuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    # Held for a moment, so that no folder is seen between its making and its locking.
    with _locked(base / _LOCK_NAME):
        for left in base.iterdir():
            if left.is_dir():
                _remove_if_dead(left)
        folder = Path(tempfile.mkdtemp(dir=base))
        held = contextlib.ExitStack()
        held.enter_context(_locked(folder / _LOCK_NAME))
    with held:
        held.callback(shutil.rmtree, folder, ignore_errors=True)
        yield folder


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _remove_if_dead(folder: Path) -> None:
    try:
        lock = os.open(folder / _LOCK_NAME, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return  # its owner is removing it just now
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass  # in use
    finally:
        os.close(lock)

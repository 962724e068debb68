"""A worker's journal: rows that no published part holds yet, safe from a kill of the process.

FOLDER/<store>/<run_id>/<worker>-NNNNNN.jsonl is the part that it will become, byte for byte: to
publish it again after a crash between publishing and removing does no harm.
"""

import errno
import fcntl
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from shardwriter.errors import StorageError

logger = logging.getLogger(__name__)

_SECONDS_PER_SYNC: Final = 1.0
"""The kernel has a row when `append` returns; the disk has it after this long at most."""


class Journal:
    """An open journal. It is locked: no other process appends to it or publishes it."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Create the file.

        Raises:
            StorageError: it is there, or can't be made.
        """
        self.path = path
        self.num_rows = 0
        self._clock = clock
        self._synced_at = self.opened_at = clock()
        new = path.with_suffix(".new")  # locked before `leftovers` can see it
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            new.rename(path)
        except OSError as err:
            raise StorageError(
                f"can't open the attempts journal {path}: {err.strerror}; does another worker "
                "run under the same run id and name?"
            ) from err

    def append(self, line: bytes) -> None:
        """Write a line that ends in a line break; once this returns, a kill can't lose it."""
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
            self.num_rows += 1
            if self._clock() - self._synced_at >= _SECONDS_PER_SYNC:
                os.fsync(self._file)
                self._synced_at = self._clock()
        except OSError as err:
            raise StorageError(f"can't write {self.path}: {err.strerror}") from err

    def read(self) -> bytes:
        """Return all lines."""
        return self.path.read_bytes()

    def remove(self) -> None:
        """Take the file away, after it was published."""
        self.path.unlink()
        os.close(self._file)

    def close(self) -> None:
        """Leave the file for the next one who opens the log."""
        os.close(self._file)


def store_folder(folder: Path, url: str) -> Path:
    """Return where the journals of one store's log lie: no other store gets their rows."""
    return folder / hashlib.sha256(url.encode()).hexdigest()[:16]


def leftovers(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield the journals whose writer is gone, with their whole lines; locked while in use.

    Raises:
        StorageError: a line in the middle is damaged.
    """
    for path in sorted(folder.glob("*/*.jsonl")):
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue  # its owner, or another worker that starts, has just published it
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file).st_nlink:
                yield path, _whole_lines(path)
        except BlockingIOError:
            pass  # in use
        finally:
            os.close(file)


def _whole_lines(path: Path) -> bytes:
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        logger.warning("dropped a torn row path=%s num_bytes=%d", path, len(data) - len(whole))
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            json.loads(line)
        except ValueError as err:
            raise StorageError(
                f"the attempts journal {path} is damaged in line {number} ({err}); look at it, "
                "mend or remove the line, and run again"
            ) from err
    return whole

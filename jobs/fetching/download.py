"""Large files from web servers onto the disk: resumed, checked, published whole."""

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from urllib3.exceptions import HTTPError

from jobs.fetching.http_session import HttpSession, HttpStatusError, TooLargeError, pieces
from jobs.fetching.transfer import Transfer
from jobs.fetching.urls import RefusedUrlError, shown
from shardwriter.errors import StorageError, TransientStorageError

_BLOCK_BYTES = 1 << 20
_PASSING_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_OTHER_RANGE = frozenset({206, 416})
_PROGRESS_BYTES = 1 << 20
"""A try that brought so much was worth its while, and is not counted as a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file that a publisher names, and what the publisher says of it."""

    url: str
    num_bytes: int | None = None
    sha256: str | None = None
    """In hexadecimal, small letters."""
    md5: str | None = None

    @property
    def has_checksum(self) -> bool:
        """Whether bytes that came can be told from other bytes."""
        return self.sha256 is not None or self.md5 is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often and how long a server is asked again."""

    max_failures: int = 6
    """In a row, without progress."""
    first_wait_seconds: float = 2.0
    """Doubled with each failure in a row."""
    max_wait_seconds: float = 900.0
    """A server that asks for a longer pause is not waited for."""


def download(
    file: RemoteFile,
    target: Path,
    *,
    session: HttpSession,
    max_bytes: int,
    patience: Patience | None = None,
    on_bytes: Callable[[int], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Put a file at `target`, whole and checked, or raise; a later call goes on where it stopped.

    What came so far lies at `target` with `.part` behind its name, and beside it (`.part.json`)
    the version that it is from. A file that is there already is checked, and not fetched.

    Args:
        file: Where it is, and its checksum.
        target: Where it goes; the folder exists.
        session: The connections to use.
        max_bytes: More is refused.
        patience: How often to try.
        on_bytes: Called with the number of bytes that are there, whenever some came; after a
            start from anew that is fewer than before.
        sleep: Waits, in seconds.

    Raises:
        TransientStorageError: the server or network failed too often, or another process fetches
            this file.
        StorageError: refused, not there, too large, or of another checksum than published.
    """
    if target.exists():
        _check(file, target)
        on_bytes(target.stat().st_size)
        return
    part = target.with_name(f"{target.name}.part")
    state = target.with_name(f"{target.name}.part.json")
    with _locked(part) as sink:
        if not target.exists():
            transfer = _resumed(file, sink, state)
            if not transfer.is_complete:
                _Download(
                    file=file,
                    transfer=transfer,
                    sink=sink,
                    state=state,
                    session=session,
                    max_bytes=max_bytes,
                    on_bytes=on_bytes,
                ).run(patience or Patience(), sleep)
            sink.flush()
            os.fsync(sink.fileno())
            try:
                _check(file, part)
            except StorageError:
                part.unlink()  # going on from wrong bytes would never come right
                raise
            part.rename(target)
        state.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Download:
    """One file on its way."""

    file: RemoteFile
    transfer: Transfer
    sink: BinaryIO
    state: Path
    session: HttpSession
    max_bytes: int
    on_bytes: Callable[[int], None]

    def run(self, patience: Patience, sleep: Callable[[float], None]) -> None:
        failures = 0
        while True:
            held = self.transfer.position
            problem = self._try()
            if problem is None:
                return
            failures = 1 if self.transfer.position - held >= _PROGRESS_BYTES else failures + 1
            wait = _wait_seconds(problem, failures, patience)
            if failures >= patience.max_failures or wait > patience.max_wait_seconds:
                raise TransientStorageError(
                    f"{shown(self.file.url)}: {problem}, after {failures} tries in a row without "
                    f"progress at byte {self.transfer.position} of "
                    f"{self.transfer.num_bytes or 'an unknown number'}"
                    + (f"; the server asks for a pause of {wait:.0f} s" if wait else "")
                    + "; run again to go on"
                ) from problem
            sleep(wait)

    def _try(self) -> Exception | None:
        """Fetch what is missing; return what broke it off, if that may pass."""
        transfer, where = self.transfer, shown(self.file.url)
        try:
            with self.session.get(transfer.url, transfer.request_headers()) as response:
                transfer.begin(response)
                self.sink.truncate(transfer.position)
                self.sink.seek(transfer.position)
                self.state.write_text(json.dumps(asdict(transfer)))
                allowed = self.max_bytes - transfer.position
                for piece in pieces(response, max_bytes=allowed):
                    self.sink.write(piece)
                    transfer.position += len(piece)
                    self.on_bytes(transfer.position)
        except HttpStatusError as err:
            if err.status in _OTHER_RANGE and transfer.position:
                transfer.position = 0  # the file became shorter, or the server's ranges are wrong
                return err
            if err.status in _PASSING_STATUSES:
                return err
            raise StorageError(f"{err}; is the file still published there?") from err
        except (RefusedUrlError, TooLargeError) as err:
            raise StorageError(f"{where}: {err}") from err
        except (HTTPError, TimeoutError) as err:
            return err
        return None


def _wait_seconds(problem: Exception, failures: int, patience: Patience) -> float:
    doubled: float = patience.first_wait_seconds * 2 ** (failures - 1)
    wait = min(doubled, patience.max_wait_seconds)
    if isinstance(problem, HttpStatusError):
        wait = max(wait, problem.retry_after_seconds or 0.0)
    return wait


@contextlib.contextmanager
def _locked(part: Path) -> Iterator[BinaryIO]:
    """Open the unfinished file for this process alone; the kernel drops the lock of a dead one."""
    try:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as err:
        raise StorageError(f"{part}: {err.strerror}") from err
    with os.fdopen(descriptor, "r+b") as sink:
        try:
            fcntl.flock(sink, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise TransientStorageError(
                f"{part}: another process is fetching this file; wait for it, then run again"
            ) from err
        yield sink


def _resumed(file: RemoteFile, sink: BinaryIO, state: Path) -> Transfer:
    """Return where to go on: behind what is there, if that can be told to be of the same file."""
    held = os.fstat(sink.fileno()).st_size
    afresh = Transfer(url=file.url)
    try:
        noted = json.loads(state.read_text())
        validator, num_bytes, url = noted["validator"], noted["num_bytes"], noted["url"]
    except (OSError, ValueError, KeyError, TypeError):
        return afresh
    if url != file.url or (validator is None and not file.has_checksum):
        return afresh
    if num_bytes is not None and held > num_bytes:
        return afresh
    return Transfer(url=file.url, position=held, validator=validator, num_bytes=num_bytes)


def _check(file: RemoteFile, path: Path) -> None:
    """Refuse bytes that are not those that were published.

    Raises:
        StorageError: it says what was expected and what is there.
    """
    num_bytes = path.stat().st_size
    if file.num_bytes is not None and num_bytes != file.num_bytes:
        raise _differs(file, path, f"{file.num_bytes} bytes", f"{num_bytes}")
    for name, expected in (("sha256", file.sha256), ("md5", file.md5)):
        if expected is not None:
            got = _digest(path, name)
            if got != expected:
                raise _differs(file, path, f"{name} {expected}", got)


def _digest(path: Path, name: str) -> str:
    digest = hashlib.new(name, usedforsecurity=False)
    with path.open("rb") as opened:
        while block := opened.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _differs(file: RemoteFile, path: Path, expected: str, got: str) -> StorageError:
    return StorageError(
        f"{path} is not what {shown(file.url)} is known to be: expected {expected}, got {got}; "
        "delete it and run again; if it stays so, the publisher changed the file"
    )

"""Whole shards on a local disk, shared by all processes of a node.

An entry is a file named by the SHA-256 that the manifest gives for the shard. So an entry can't be
taken for another dataset's shard of the same name, copies of a dataset at several URLs share
entries, and the name is also what the content is checked against. An ETag would do none of that:
stores make them as they like, and it costs a request to learn one.

What holds without any server process, because the kernel drops a lock when its holder dies::

    <sha256>.tar        an entry. Whoever reads it holds a shared lock, and so pins it.
    .tmp-<sha256>       an entry on its way. Its writer holds an exclusive lock, for which others
                        that want the same shard wait. Without a lock it is a dead writer's.
    .tmp-lock           held while room is made, so that two don't count the same free bytes.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from shardwriter.errors import ConfigError, ShardFormatError

_TEMPORARY_PREFIX = ".tmp-"
_SUFFIX = ".tar"
_HASHED_BYTES = 1 << 20
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

Outcome = Literal["there", "busy", "no room"]


class OpenFile:
    """A descriptor that is closed, and its locks dropped, when the last user lets go of it."""

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)


class NodeCache:
    """A folder of shards with a bound on their bytes. Any process and thread may use it."""

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        """Make the folder if it isn't there.

        Raises:
            ConfigError: it can't be written to.
        """
        self._folder = folder.absolute()
        self._max_bytes = max_bytes
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._locked():
                pass
        except OSError as err:
            raise ConfigError(
                f"cache_dir {self._folder} can't be used: {err.strerror}; choose a folder on a "
                "local disk that this user may write to"
            ) from err

    def open(self, sha256: str, *, num_bytes: int) -> OpenFile | None:
        """Open an entry; it stays while the file is held. None where there is no such entry."""
        path = self._entry(sha256)
        try:
            file = OpenFile(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            return None
        fcntl.flock(file.descriptor, fcntl.LOCK_SH)
        if os.fstat(file.descriptor).st_size != num_bytes:
            path.unlink(missing_ok=True)
            return None
        os.utime(file.descriptor)  # the least recently used is the first to go
        return file

    def describe(self) -> str:
        """Return its folder and bound, for messages."""
        return f"cache_dir={str(self._folder)!r} with cache_bytes={self._max_bytes}"

    def holds(self, sha256: str) -> bool:
        """Tell whether there is such an entry now."""
        return self._entry(sha256).exists()

    def remove(self, sha256: str) -> None:
        """Forget an entry that turned out to be damaged."""
        self._entry(sha256).unlink(missing_ok=True)

    def add(
        self, sha256: str, *, num_bytes: int, write: Callable[[BinaryIO], None], can_wait: bool
    ) -> Outcome:
        """See that an entry is there: written by this call, or by another process meanwhile.

        Args:
            sha256: Hash of the shard.
            num_bytes: Its length.
            write: Writes its bytes.
            can_wait: Whether to wait while another process writes the same entry.

        Returns:
            `there`; `busy` where it may not wait; `no room` where the bound, minus what is in
            use, or the disk leaves none.

        Raises:
            ShardFormatError: what was written has another hash or length.
            Exception: whatever `write` raises. No trace of the entry is left then.
        """
        temporary = self._folder / f"{_TEMPORARY_PREFIX}{sha256}"
        with self._taken(temporary, can_wait=can_wait) as descriptor:
            if descriptor is None:
                return "busy"
            is_whole = False
            try:
                if self._entry(sha256).exists():
                    return "there"
                is_whole = self._has_written(descriptor, temporary, sha256, num_bytes, write)
                return "there" if is_whole else "no room"
            finally:
                if not is_whole:
                    temporary.unlink(missing_ok=True)

    def _has_written(
        self,
        descriptor: int,
        temporary: Path,
        sha256: str,
        num_bytes: int,
        write: Callable[[BinaryIO], None],
    ) -> bool:
        try:
            with self._locked():
                if not self._has_made_room(num_bytes, besides=temporary):
                    return False
                os.truncate(descriptor, num_bytes)  # others see that these bytes are spoken for
            with open(descriptor, "r+b", closefd=False) as file:
                write(file)
                file.flush()
                _check(file, sha256=sha256, num_bytes=num_bytes)
            os.fsync(descriptor)  # a name must not outlive a power cut without its content
        except OSError as err:
            if err.errno not in _NO_ROOM:
                raise
            return False
        temporary.rename(self._entry(sha256))
        return True

    def _has_made_room(self, num_bytes: int, *, besides: Path) -> bool:
        """Evict what was used longest ago and is not in use, until so many bytes are free."""
        entries = []
        num_bytes_used = 0
        for path in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # gone since it was listed
                if path == besides or _removed_if_dead(path):
                    continue
                status = path.stat()
                num_bytes_used += status.st_size
                if path.suffix == _SUFFIX:
                    entries.append((status.st_mtime_ns, path, status.st_size))
        for _, path, size in sorted(entries):
            if num_bytes_used + num_bytes <= self._max_bytes:
                break
            with contextlib.suppress(FileNotFoundError):
                num_bytes_used -= size if _removed_if_unlocked(path) else 0
        return num_bytes_used + num_bytes <= self._max_bytes

    def _entry(self, sha256: str) -> Path:
        return self._folder / f"{sha256}{_SUFFIX}"

    @contextlib.contextmanager
    def _taken(self, path: Path, *, can_wait: bool) -> Iterator[int | None]:
        """Make a file and lock it; None where another holds the lock and this may not wait."""
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                if _has_locked(descriptor):
                    if _is_at(path, descriptor):
                        yield descriptor
                        return
                elif not can_wait:
                    yield None
                    return
                else:
                    # A shared lock, because the file may become an entry that others read, and
                    # who reads an entry keeps its shared lock for long.
                    fcntl.flock(descriptor, fcntl.LOCK_SH)
            finally:
                # Said outright, because a child forked meanwhile has the same lock open.
                fcntl.flock(descriptor, fcntl.LOCK_UN)
                os.close(descriptor)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        lock = os.open(
            self._folder / f"{_TEMPORARY_PREFIX}lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644
        )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _check(file: BinaryIO, *, sha256: str, num_bytes: int) -> None:
    file.seek(0)
    digest = hashlib.sha256()
    while piece := file.read(_HASHED_BYTES):
        digest.update(piece)
    got = digest.hexdigest()
    length = file.seek(0, os.SEEK_END)
    if (got, length) != (sha256, num_bytes):
        raise ShardFormatError(
            f"expected {num_bytes} bytes with SHA-256 {sha256}, got {length} with {got}"
        )


def _removed_if_dead(path: Path) -> bool:
    """Remove a temporary file whose writer was killed."""
    return path.name.startswith(_TEMPORARY_PREFIX) and _removed_if_unlocked(path)


def _removed_if_unlocked(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not _has_locked(descriptor) or not _is_at(path, descriptor):
            return False
        path.unlink()
        return True
    finally:
        os.close(descriptor)


def _has_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    held = os.fstat(descriptor)
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return (held.st_dev, held.st_ino) == (there.st_dev, there.st_ino)

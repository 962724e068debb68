"""Stores: where datasets lie. One small protocol; an object is published whole or not at all."""

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import Protocol

from shardwriter.errors import ConfigError, StorageError, TransientStorageError

TEMPORARY_PREFIX = ".tmp-"
"""Files that begin so are being written, or were left by a killed writer; readers skip them."""
_LEFT_OVER = re.compile(re.escape(TEMPORARY_PREFIX) + "[0-9a-f]{16}")
"""What `LocalStore.put` calls a file until it is whole."""


class Store(Protocol):
    """A folder of named objects. Names are relative, with `/` between their parts."""

    @property
    def url(self) -> str:
        """Where the store is, for messages and for opening it again."""

    @property
    def scratch_folder(self) -> Path:
        """A local folder for files on their way into the store; there while it is locked."""

    def lock_for_writing(self) -> AbstractContextManager[None]:
        """Keep other writers away, and clear the temporary files that a killed one left."""

    def exists(self, name: str) -> bool:
        """Tell whether an object is published."""

    def size(self, name: str) -> int:
        """Return an object's length in bytes."""

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the names of the published objects below `prefix`, in no order."""

    def read(self, name: str) -> bytes:
        """Return a whole object."""

    def read_range(self, name: str, start: int, num_bytes: int) -> bytes:
        """Return `num_bytes` bytes from `start`; fewer only at the object's end."""

    def put(self, name: str, data: bytes, *, replace: bool = False) -> None:
        """Publish bytes. Without `replace`, an object of other content in the way is an error."""

    def put_file(self, name: str, path: Path) -> None:
        """Publish a file from `scratch_folder`, and take it away; never replaces other content."""


def open_store(url: str) -> Store:
    """Open the store at a URL: a path or `file://` URL.

    Raises:
        ConfigError: a scheme that no store serves.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return LocalStore(Path(url))
    if scheme == "file" and rest.startswith("/"):
        return LocalStore(Path(rest))
    raise ConfigError(f"can't open {url!r}: this version reads and writes local folders only")


class LocalStore:
    """A store in a local folder."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    @property
    def url(self) -> str:
        """The folder's absolute path."""
        return str(self._root)

    @property
    def scratch_folder(self) -> Path:
        """A hidden folder inside the root, so that publishing is a rename on one file system."""
        return self._root / f"{TEMPORARY_PREFIX}scratch"

    @contextlib.contextmanager
    def lock_for_writing(self) -> Iterator[None]:
        """Make the root and hold a lock on it, which the kernel drops when the process dies."""
        path = self._root / f"{TEMPORARY_PREFIX}lock"
        with self._reporting(""):
            self._root.mkdir(parents=True, exist_ok=True)
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            with self._reporting(""):
                self._take(lock, path)
                self._clear_left_overs()
                shutil.rmtree(self.scratch_folder, ignore_errors=True)
                self.scratch_folder.mkdir()
            try:
                yield
            finally:
                shutil.rmtree(self.scratch_folder, ignore_errors=True)
                path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    self._root.rmdir()  # leaves no trace where nothing was written
        finally:
            os.close(lock)

    def _take(self, lock: int, path: Path) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_ino == path.stat().st_ino:
                return
        except (BlockingIOError, FileNotFoundError):
            pass  # held by another writer, or removed by one that has just ended
        raise StorageError(f"another process is writing to {self._root}; wait for it or stop it")

    def _clear_left_overs(self) -> None:
        for folder, _, files in os.walk(self._root, onerror=_raise):
            for file in filter(_LEFT_OVER.fullmatch, files):
                (Path(folder) / file).unlink(missing_ok=True)

    def path(self, name: str) -> Path:
        """Return the path of an object; a name that leaves the root is a `ValueError`."""
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
            raise ValueError(f"not a name of an object: {name!r}")
        return self._root.joinpath(*parts)

    def exists(self, name: str) -> bool:
        """Tell whether the file is there."""
        with self._reporting(name):
            return self.path(name).is_file()

    def size(self, name: str) -> int:
        """Return the file's length in bytes."""
        with self._reporting(name):
            return self.path(name).stat().st_size

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the names of the files below `prefix`; temporary files are left out."""
        top = self.path(prefix) if prefix else self._root
        with self._reporting(prefix):
            for folder, subfolders, files in os.walk(top, onerror=_raise):
                subfolders[:] = [sub for sub in subfolders if not sub.startswith(TEMPORARY_PREFIX)]
                for file in files:
                    if not file.startswith(TEMPORARY_PREFIX):
                        yield (Path(folder) / file).relative_to(self._root).as_posix()

    def read(self, name: str) -> bytes:
        """Return the whole file."""
        with self._reporting(name):
            return self.path(name).read_bytes()

    def read_range(self, name: str, start: int, num_bytes: int) -> bytes:
        """Return a part of the file."""
        with self._reporting(name), self.path(name).open("rb") as file:
            return os.pread(file.fileno(), num_bytes, start)

    def put(self, name: str, data: bytes, *, replace: bool = False) -> None:
        """Write to a temporary file, flush it to the disk, then rename or link it into place."""
        with self._reporting(name):
            path = self.path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
            try:
                temporary.write_bytes(data)
                self._publish(temporary, path, replace=replace)
            finally:
                temporary.unlink(missing_ok=True)

    def put_file(self, name: str, path: Path) -> None:
        """Flush the file to the disk and link it into place."""
        with self._reporting(name):
            target = self.path(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            self._publish(path, target, replace=False)
            path.unlink(missing_ok=True)

    def _publish(self, temporary: Path, path: Path, *, replace: bool) -> None:
        _flush_to_disk(temporary)
        if replace or not _has_claimed(temporary, path):
            temporary.replace(path)
        _flush_to_disk(path.parent)

    @contextlib.contextmanager
    def _reporting(self, name: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as err:
            raise StorageError(f"{self._root / name} is not there") from err
        except OSError as err:
            kind = TransientStorageError if err.errno in _TRANSIENT_ERRNOS else StorageError
            raise kind(f"{self._root / name}: {err.strerror}") from err


_NO_HARD_LINKS_ERRNOS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})
_TRANSIENT_ERRNOS = frozenset({errno.EINTR, errno.EAGAIN, errno.ETIMEDOUT, errno.ESTALE})


def _has_claimed(temporary: Path, path: Path) -> bool:
    """Link a file to a free name, or find the same content there; False: a rename may follow.

    A hard link fails when the name is taken, which a rename does not. On file systems without
    hard links (FAT, exFAT, many FUSE and SMB mounts) a look comes before the rename. What the
    gap between the two leaves to chance is another writer, and `lock_for_writing` keeps those out.
    """
    try:
        os.link(temporary, path)
    except FileExistsError:
        _refuse_other_content(temporary, path)
    except OSError as err:
        if err.errno not in _NO_HARD_LINKS_ERRNOS:
            raise
        if not path.exists():
            return False
        _refuse_other_content(temporary, path)
    return True


def _refuse_other_content(temporary: Path, path: Path) -> None:
    if not _same_content(temporary, path):
        raise StorageError(
            f"{path} is there already with other content; another writer is at work, or other "
            "settings were used: remove it or choose another target"
        )


def _raise(err: OSError) -> None:
    """Make `os.walk` fail where it would skip a folder; one that isn't there has no files."""
    if not isinstance(err, FileNotFoundError):
        raise err


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _same_content(left: Path, right: Path) -> bool:
    if left.stat().st_size != right.stat().st_size:
        return False
    chunk = 1 << 20
    with left.open("rb") as a, right.open("rb") as b:
        while piece := a.read(chunk):
            if piece != b.read(chunk):
                return False
    return True

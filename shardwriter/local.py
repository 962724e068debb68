"""A store in a local folder: written aside, flushed to the disk, then linked into place."""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from shardwriter.errors import OtherContentError, StorageError, TransientStorageError
from shardwriter.object_names import TEMPORARY_PREFIX, name_parts

_LEFT_OVER = re.compile(re.escape(TEMPORARY_PREFIX) + "[0-9a-f]{16}")
"""What `LocalStore.put` calls a file until it is whole."""


_MAX_LOCK_TRIES = 10
_LOCK_PAUSE_SECONDS = 0.02


class LocalStore:
    """A store in a local folder."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._scratch_name = f"{TEMPORARY_PREFIX}scratch"

    @property
    def url(self) -> str:
        """The folder's absolute path."""
        return str(self._root)

    @property
    def scratch_folder(self) -> Path:
        """A hidden folder inside the root, so that publishing is a rename on one file system."""
        return self._root / self._scratch_name

    def provenance(self) -> dict[str, str]:
        """Nothing: a hard link never replaces, on any file system that has them."""
        return {}

    @contextlib.contextmanager
    def lock_for_writing(self, lane: str = "") -> Iterator[None]:
        """Make the root and hold locks on it, which the kernel drops when the process dies.

        Who writes the whole target locks out all others; lanes share that lock, and each has one
        of its own. What a killed writer left in folders that lanes share is cleared by the next
        writer of the whole target.
        """
        scratch = f"{TEMPORARY_PREFIX}scratch" + (f"-{lane}" if lane else "")
        with self._reporting("", writing=True):
            self._root.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as held:
            held.callback(self._remove_root_if_empty)
            held.enter_context(self._locked(f"{TEMPORARY_PREFIX}lock", is_shared=bool(lane)))
            if lane:
                held.enter_context(self._locked(f"{TEMPORARY_PREFIX}lock-{lane}"))
            with self._reporting("", writing=True):
                if not lane:
                    self._clear_left_overs()
                shutil.rmtree(self._root / scratch, ignore_errors=True)
                (self._root / scratch).mkdir()
            held.callback(shutil.rmtree, self._root / scratch, ignore_errors=True)
            self._scratch_name = scratch
            yield

    def _remove_root_if_empty(self) -> None:
        with contextlib.suppress(OSError):
            self._root.rmdir()  # leaves no trace where nothing was written

    @contextlib.contextmanager
    def _locked(self, name: str, *, is_shared: bool = False) -> Iterator[None]:
        path = self._root / name
        with self._reporting("", writing=True):
            lock = self._take(path, fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX)
        try:
            yield
        finally:
            with contextlib.suppress(BlockingIOError):  # lanes that share it go on
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
            os.close(lock)

    def _take(self, path: Path, kind: int) -> int:
        """Open and lock a file; who has just ended may be removing it, so it is tried again."""
        for _ in range(_MAX_LOCK_TRIES):
            self._root.mkdir(parents=True, exist_ok=True)  # removed by who wrote nothing
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                if _is_taken(lock, path, kind):
                    return lock
            except OSError:
                os.close(lock)
                raise
            os.close(lock)
            time.sleep(_LOCK_PAUSE_SECONDS)
        raise TransientStorageError(
            f"another process is writing to {self._root}; wait for it or stop it"
        )

    def _clear_left_overs(self) -> None:
        for path in self._root.glob(f"{TEMPORARY_PREFIX}scratch*"):
            shutil.rmtree(path, ignore_errors=True)
        for path in self._root.glob(f"{TEMPORARY_PREFIX}lock-*"):
            path.unlink(missing_ok=True)
        for folder, _, files in os.walk(self._root, onerror=_raise):
            for file in filter(_LEFT_OVER.fullmatch, files):
                (Path(folder) / file).unlink(missing_ok=True)

    def path(self, name: str) -> Path:
        """Return the path of an object; a name that leaves the root is a `ValueError`."""
        return self._root.joinpath(*name_parts(name))

    def exists(self, name: str) -> bool:
        """Tell whether the file is there."""
        with self._reporting(name):
            return self.path(name).is_file()

    def size(self, name: str) -> int:
        """Return the file's length in bytes."""
        with self._reporting(name):
            return self.path(name).stat().st_size

    def sha256(self, name: str) -> str | None:
        """Return the hash of the file's content, None if it is not there."""
        path = self.path(name)
        if not path.is_file():
            return None
        with self._reporting(name), path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

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
        with self._reporting(name, writing=True):
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
        with self._reporting(name, writing=True):
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
    def _reporting(self, name: str, *, writing: bool = False) -> Iterator[None]:
        path = self._root / name
        try:
            yield
        except OSError as err:
            if isinstance(err, FileNotFoundError) and not writing:
                raise StorageError(f"{path} is not there") from err
            kind = TransientStorageError if err.errno in _TRANSIENT_ERRNOS else StorageError
            raise kind(f"can't {'write' if writing else 'read'} {path}: {err.strerror}") from err


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
        raise OtherContentError(
            f"{path} is there already with other content; another writer is at work, or other "
            "settings were used: remove it or choose another target"
        )


def _is_taken(lock: int, path: Path, kind: int) -> bool:
    """Lock an open file; False: another writer holds it, or has removed it since it was opened."""
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
        return os.fstat(lock).st_ino == path.stat().st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


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

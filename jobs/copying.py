"""One object from one store into another: checked before it is published, and read back after."""

import hashlib
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from jobs.console import complain
from jobs.s5cmd import S5cmd, find_s5cmd
from shardwriter.errors import ShardFormatError, StorageError, TransientStorageError
from shardwriter.s3 import S3Store
from shardwriter.storage import LocalStore, Store

_PIECE_BYTES = 8 << 20


class Copier:
    """Copies objects. Threads may share one; the target must be locked for writing."""

    def __init__(
        self, source: Store, target: Store, *, use_s5cmd: bool, advance: Callable[[int], None]
    ) -> None:
        """Prepare; `advance` is told of bytes as they are done."""
        self._source = source
        self._target = target
        self._advance = advance
        self._lock = threading.Lock()
        self._s5cmd = _s5cmd_between(source, target) if use_s5cmd else None
        is_local = isinstance(source, LocalStore) and isinstance(target, LocalStore)
        self.tool = "s5cmd" if self._s5cmd is not None else "plain copy" if is_local else "boto3"
        """What moves the bytes of shards."""

    def copy_file(self, name: str, *, num_bytes: int, sha256: str) -> int:
        """Copy a large object if it isn't there; return how many bytes that took.

        Raises:
            ShardFormatError: the source's object is not what the manifest says.
            StorageError: the target's is not, or a store failed.
        """
        if self._is_there(name, sha256=sha256):
            self._advance(num_bytes)
            return 0
        if not self._uploaded_by_s5cmd(name, sha256=sha256):
            with tempfile.TemporaryDirectory(dir=self._target.scratch_folder) as folder:
                path = Path(folder) / "object"
                if not self._downloaded_by_s5cmd(name, path, num_bytes=num_bytes):
                    self._read_into(path, name, num_bytes=num_bytes)
                _check_file(path, sha256, where=f"{self._source.url}/{name}")
                self._target.put_file(name, path)
        self._check_published(name, num_bytes=num_bytes, sha256=sha256)
        self._advance(num_bytes)
        return num_bytes

    def copy_small(self, name: str, *, sha256: str) -> None:
        """Copy an object that fits into memory with ease, if it isn't there."""
        if self._is_there(name, sha256=sha256):
            return
        data = self._source.read(name)
        check_sha256(data, sha256, where=f"{self._source.url}/{name}")
        self._target.put(name, data)
        self._check_published(name, num_bytes=len(data), sha256=sha256)

    def _is_there(self, name: str, *, sha256: str) -> bool:
        held = self._target.sha256(name)
        if held is not None and held != sha256:
            raise StorageError(
                f"{self._target.url}/{name}: expected SHA-256 {sha256}, got {held}: it is damaged "
                "or another dataset's; remove it and sync again, or choose another target"
            )
        return held is not None

    def _check_published(self, name: str, *, num_bytes: int, sha256: str) -> None:
        """Read the object back: what a store says of it is not what a reader gets."""
        digest = hashlib.sha256()
        for start in range(0, num_bytes, _PIECE_BYTES):
            digest.update(self._target.read_range(name, start, _PIECE_BYTES))
        if (self._target.size(name), digest.hexdigest()) != (num_bytes, sha256):
            raise StorageError(
                f"{self._target.url}/{name}: expected {num_bytes} bytes with SHA-256 {sha256}, "
                f"read back {self._target.size(name)} with {digest.hexdigest()}; remove it and "
                "sync again"
            )

    def _read_into(self, path: Path, name: str, *, num_bytes: int) -> None:
        with path.open("wb") as file:
            # One piece more than there should be, so that a longer object is seen to be wrong.
            for start in range(0, num_bytes + 1, _PIECE_BYTES):
                file.write(self._source.read_range(name, start, _PIECE_BYTES))

    def _uploaded_by_s5cmd(self, name: str, *, sha256: str) -> bool:
        s5cmd = self._s5cmd
        if s5cmd is None or not isinstance(self._source, LocalStore):
            return False
        path = self._source.path(name)
        _check_file(path, sha256, where=str(path))
        return self._done(lambda: s5cmd.upload(path, name, sha256=sha256))

    def _downloaded_by_s5cmd(self, name: str, path: Path, *, num_bytes: int) -> bool:
        s5cmd = self._s5cmd
        if s5cmd is None or not isinstance(self._target, LocalStore):
            return False
        return self._done(lambda: s5cmd.download(name, path, num_bytes=num_bytes))

    def _done(self, run: Callable[[], None]) -> bool:
        """Run s5cmd; when it fails go on without it, and say so once."""
        try:
            run()
        except TransientStorageError as err:
            with self._lock:
                if self._s5cmd is not None:
                    complain(f"going on with boto3: {err}")
                self._s5cmd = None
                self.tool = "boto3"
            return False
        return True


def check_sha256(data: bytes, expected: str, *, where: str) -> None:
    """Refuse bytes of another hash with a `ShardFormatError`."""
    _compare(hashlib.sha256(data).hexdigest(), expected, len(data), where=where)


def _check_file(path: Path, expected: str, *, where: str) -> None:
    try:
        with path.open("rb") as file:
            got = hashlib.file_digest(file, "sha256").hexdigest()
        num_bytes = path.stat().st_size
    except OSError as err:
        raise StorageError(f"{where}: {err.strerror}") from err
    _compare(got, expected, num_bytes, where=where)


def _compare(got: str, expected: str, num_bytes: int, *, where: str) -> None:
    if got != expected:
        raise ShardFormatError(
            f"{where}: expected SHA-256 {expected}, got {got} of {num_bytes} bytes: it is damaged; "
            "restore or ingest it again"
        )


def _s5cmd_between(source: Store, target: Store) -> S5cmd | None:
    """Return s5cmd where one side is a folder and the other S3."""
    match source, target:
        case (LocalStore(), S3Store() as remote) | (S3Store() as remote, LocalStore()):
            return find_s5cmd(remote)
        case _:
            return None

"""Where published files lie: a folder or a zip, read by name."""

import lzma
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

from shardwriter.errors import ConfigError, StorageError

MAX_FILE_BYTES = 1 << 30
"""A zip member that unpacks to more is refused unread."""
# RuntimeError: encrypted; NotImplementedError: a compression that zipfile can't undo.
_ZIP_ERRORS = (
    *(zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError),
    *(zlib.error, lzma.LZMAError),
)


class Source(Protocol):
    """Named files of a dataset as published."""

    @property
    def url(self) -> str:
        """Where the source is, for messages and for opening it again in a worker."""

    def names(self) -> Sequence[str]:
        """Return all file names, relative, with `/`, sorted."""

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""

    def find(self, name: str) -> str | None:
        """Return the shortest file name that is `name` or ends in `/name`, or None."""

    def files_by_stem(self, suffixes: Sequence[str]) -> dict[str, str]:
        """Map file stems to names, for files with one of `suffixes`, the earlier preferred."""


class _NamedFiles:
    """What both sources share: look-ups over their sorted names."""

    def __init__(self, url: str, names: Sequence[str]) -> None:
        self.url = url
        self._names = sorted(names)

    def names(self) -> Sequence[str]:
        return self._names

    def find(self, name: str) -> str | None:
        found = [held for held in self._names if held == name or held.endswith(f"/{name}")]
        return min(found, key=lambda held: (len(held), held), default=None)

    def files_by_stem(self, suffixes: Sequence[str]) -> dict[str, str]:
        found: dict[str, tuple[int, str]] = {}
        for name in self._names:
            path = PurePosixPath(name)
            if path.suffix in suffixes and not path.name.startswith("."):
                candidate = (suffixes.index(path.suffix), name)
                found[path.stem] = min(found.get(path.stem, candidate), candidate)
        return {stem: name for stem, (_, name) in found.items()}


class FolderSource(_NamedFiles):
    """A folder, as unpacked."""

    def __init__(self, root: Path) -> None:
        self._root = root
        files = (path for path in root.rglob("*") if path.is_file())
        super().__init__(str(root), [path.relative_to(root).as_posix() for path in files])

    def read(self, name: str) -> bytes:
        """Return a file's bytes; one that is gone or denied is a `StorageError`."""
        try:
            return (self._root / name).read_bytes()
        except OSError as err:
            raise StorageError(f"{self._root / name}: {err.strerror}") from err


class ZipSource(_NamedFiles):
    """A zip archive, read without unpacking."""

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as err:
            raise ConfigError(f"{path} is not a readable zip: {err}") from err
        super().__init__(
            str(path), [info.filename for info in self._zip.infolist() if not info.is_dir()]
        )

    def read(self, name: str) -> bytes:
        """Return a member's bytes; a damaged one, or one that is too large, is a `StorageError`."""
        num_bytes = self._zip.getinfo(name).file_size
        if num_bytes > MAX_FILE_BYTES:
            raise StorageError(
                f"{self.url}: {name} unpacks to {num_bytes} bytes, allowed are {MAX_FILE_BYTES}"
            )
        try:
            with self._zip.open(name) as member:
                return member.read(num_bytes)  # bounded: the member may hold more than it says
        except _ZIP_ERRORS as err:
            raise StorageError(f"{self.url}: {name}: {err}") from err


def open_source(path: str) -> Source:
    """Open a folder or a zip.

    Raises:
        ConfigError: neither is there.
    """
    location = Path(path)
    if location.is_dir():
        return FolderSource(location)
    if location.is_file():
        return ZipSource(location)
    raise ConfigError(f"no folder or zip at {path}; give the place of the dataset as published")

"""What every source gives, and the look-ups over its names that all share."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import PurePosixPath
from typing import Protocol

from shardwriter.errors import ConfigError, StorageError

MAX_FILE_BYTES = 1 << 30
"""A file or member of more is refused unread."""


class Source(Protocol):
    """Named files of a dataset as published."""

    @property
    def url(self) -> str:
        """Where the source is, for messages and for opening it again in a worker."""

    @property
    def unread(self) -> Sequence[str]:
        """Archives that lie there and could not be opened, each with the way out."""

    def names(self) -> Sequence[str]:
        """Return all file names, relative, with `/`, sorted."""

    def read(self, name: str) -> bytes:
        """Return a file's bytes; one that is gone, damaged or too large is a `StorageError`."""

    def find(self, name: str) -> str | None:
        """Return the shortest file name that is `name` or ends in `/name`, or None."""

    def files_by_stem(self, suffixes: Sequence[str]) -> dict[str, str]:
        """Map file stems to names, for files with one of `suffixes`, the earlier preferred."""


class NamedFiles(ABC):
    """A source by its names. They are listed when first asked for: a worker only reads."""

    unread: Sequence[str] = ()

    def __init__(self, url: str) -> None:
        self.url = url

    @abstractmethod
    def _list(self) -> Iterable[str]:
        """Return the names, in any order."""

    @cached_property
    def _names(self) -> list[str]:
        return sorted(self._list())

    def names(self) -> Sequence[str]:
        """Return all file names, sorted."""
        return self._names

    def find(self, name: str) -> str | None:
        """Return the shortest file name that is `name` or ends in `/name`, or None."""
        end = f"/{name}"
        found = [held for held in self._names if held == name or held.endswith(end)]
        return min(found, key=lambda held: (len(held), held), default=None)

    def files_by_stem(self, suffixes: Sequence[str]) -> dict[str, str]:
        """Map file stems to names; of several files the earlier suffix, then the shortest."""
        found: dict[str, tuple[int, int, str]] = {}
        for name in self._names:
            path = PurePosixPath(name)
            if path.suffix in suffixes and not path.name.startswith("."):
                candidate = (suffixes.index(path.suffix), len(name), name)
                found[path.stem] = min(found.get(path.stem, candidate), candidate)
        return {stem: name for stem, (_, _, name) in found.items()}


class NoFiles(NamedFiles):
    """The source of clips that all come from the web: nothing lies there."""

    def __init__(self) -> None:
        super().__init__("no source")

    def _list(self) -> Iterable[str]:
        return ()

    def read(self, name: str) -> bytes:
        """Raise: there is nothing to read."""
        raise StorageError(f"there is no source that holds {name}")


def check_member_name(name: str, *, archive: str) -> str:
    """Return a member's name.

    Raises:
        ConfigError: it is absolute, or leads out of the folder that it would be unpacked to.
    """
    if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/"):
        raise ConfigError(
            f"{archive}: the member {name[:200]!r} leads out of the archive; it was not made by "
            "who publishes the dataset: get it again from there"
        )
    return name


def check_size(num_bytes: int, *, file: str) -> None:
    """Refuse a file that would not fit into memory beside others.

    Raises:
        StorageError: it is larger than `MAX_FILE_BYTES`.
    """
    if num_bytes > MAX_FILE_BYTES:
        raise StorageError(f"{file} unpacks to {num_bytes} bytes, allowed are {MAX_FILE_BYTES}")

"""A plain tar archive, read by name: its headers are passed once, then it is read anywhere."""

import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from jobs.sources.source import NamedFiles, check_size
from shardwriter.errors import ConfigError, ShardFormatError, StorageError
from shardwriter.untar import TarMember, TarReader


class TarSource(NamedFiles):
    """The members of one tar. Links, devices and names that lead out of it are refused."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path

    @cached_property
    def _members(self) -> dict[str, TarMember]:
        try:
            with self._path.open("rb") as file:
                num_bytes = os.fstat(file.fileno()).st_size
                reader = TarReader(
                    _Skipping(file.fileno()),
                    num_bytes=num_bytes,
                    where=str(self._path),
                    is_foreign=True,
                )
                return {member.name.removeprefix("./"): member for member in reader}
        except OSError as err:
            raise ConfigError(f"{self._path}: {err.strerror}") from err
        except ShardFormatError as err:
            raise ConfigError(f"{err}; get it again, or unpack it and give the folder") from err

    def _list(self) -> Iterable[str]:
        return self._members

    def read(self, name: str) -> bytes:
        """Return a member's bytes."""
        member = self._members.get(name)
        if member is None:
            raise StorageError(f"{self.url} holds no {name}")
        check_size(member.num_bytes, file=f"{self.url}: {name}")
        try:
            with self._path.open("rb") as file:
                file.seek(member.offset)
                data = file.read(member.num_bytes)
        except OSError as err:
            raise StorageError(f"{self._path}: {err.strerror}") from err
        if len(data) != member.num_bytes:
            raise StorageError(f"{self.url}: {name} is cut at {len(data)} of {member.num_bytes}")
        return data


class _Skipping:
    """Reads a file from front to back, and passes over what is not wanted without reading it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._position = 0

    def read(self, num_bytes: int, /) -> bytes:
        """Return the next bytes."""
        data = os.pread(self._descriptor, num_bytes, self._position)
        self._position += len(data)
        return data

    def skip(self, num_bytes: int, /) -> None:
        """Pass over bytes."""
        self._position += num_bytes

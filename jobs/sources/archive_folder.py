"""A folder that holds the published archives: their members and its own files, as one namespace."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from jobs.sources.archives import Archive, Kind, plain_tar_name
from jobs.sources.folder import FolderSource
from jobs.sources.source import NamedFiles, Source
from jobs.sources.split_zip import check_whole
from jobs.sources.tars import TarSource
from jobs.sources.zips import ZipSource
from shardwriter.errors import ConfigError


def open_archive(archive: Archive) -> Source:
    """Open one archive.

    Raises:
        ConfigError: it is damaged, or can only be read from front to back.
    """
    if archive.kind is Kind.ZIP:
        check_whole(archive.paths[0])
        return ZipSource(archive.paths[0])
    if archive.kind is Kind.VOLUMES:
        return ZipSource.of_volumes(archive.paths)
    if archive.kind is Kind.PARTS:
        return ZipSource.of_parts(archive.paths)
    if archive.kind is Kind.TAR:
        return TarSource(archive.paths[0])
    plain = plain_tar_name(archive.name)
    if plain is not None and archive.paths[0].with_name(plain).is_file():
        return TarSource(archive.paths[0].with_name(plain))
    raise ConfigError(f"{archive.paths[0]} {_way_out(archive)}")


def _way_out(archive: Archive) -> str:
    if plain_tar_name(archive.name) is not None:
        return (
            "can only be read from front to back: unpack it to a plain tar beside it "
            "(`gunzip --keep`, `bunzip2 --keep` or `unxz --keep`), which will do"
        )
    return "can't be read by name: unpack it"


class ArchiveFolder(NamedFiles):
    """Members are called `ARCHIVE/MEMBER`, so two archives may hold the same names."""

    def __init__(self, folder: Path, archives: Sequence[Archive]) -> None:
        super().__init__(str(folder))
        self._folder = FolderSource(folder)
        readable = [archive for archive in archives if archive.kind is not Kind.PACKED]
        self._archives = {archive.name: archive for archive in readable}
        self._files = {path.name for archive in archives for path in archive.paths}
        self._opened: dict[str, Source] = {}
        self.unread = tuple(
            f"{archive.name} {_way_out(archive)}"
            for archive in archives
            if archive.kind is Kind.PACKED and plain_tar_name(archive.name) not in self._archives
        )

    @cached_property
    def _own_names(self) -> list[str]:
        return [name for name in self._folder.names() if name not in self._files]

    def _list(self) -> Iterable[str]:
        yield from self._own_names
        for archive in self._archives:
            for member in self._source(archive).names():
                yield f"{archive}/{member}"

    def _source(self, archive: str) -> Source:
        """Open an archive when it is first asked for: a worker may need one of many."""
        if archive not in self._opened:
            self._opened[archive] = open_archive(self._archives[archive])
        return self._opened[archive]

    def read(self, name: str) -> bytes:
        """Return the bytes of a file or member."""
        archive, _, member = name.partition("/")
        if member and archive in self._archives:
            return self._source(archive).read(member)
        return self._folder.read(name)

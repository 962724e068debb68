"""A zip archive, read without unpacking."""

import io
import lzma
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from jobs.sources.joined import JoinedFile
from jobs.sources.source import NamedFiles, check_member_name, check_size
from jobs.sources.split_zip import join_volumes
from shardwriter.errors import ConfigError, StorageError

# RuntimeError: encrypted; NotImplementedError: a compression that zipfile can't undo.
_ZIP_ERRORS = (
    *(zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError),
    *(zlib.error, lzma.LZMAError),
)


class ZipSource(NamedFiles):
    """The members of one zip: a file, its volumes, or its parts."""

    def __init__(self, path: Path, *, file: JoinedFile | None = None) -> None:
        """Open it, and read its directory.

        Args:
            path: Where it lies, for messages.
            file: Its bytes, where they are not simply those of `path`.

        Raises:
            ConfigError: not a zip, or one with a member that would unpack elsewhere.
        """
        super().__init__(str(path))
        try:
            self._zip = zipfile.ZipFile(path if file is None else io.BufferedReader(file))
        except (*_ZIP_ERRORS, ValueError) as err:
            raise ConfigError(f"{path} is not a readable zip: {err}") from err

    @classmethod
    def of_volumes(cls, paths: Sequence[Path]) -> "ZipSource":
        """Open a split zip: `.z01`, `.z02`, ..., `.zip`."""
        return cls(paths[-1], file=join_volumes(paths))

    @classmethod
    def of_parts(cls, paths: Sequence[Path]) -> "ZipSource":
        """Open a zip that was cut into parts, to be put together by `cat`."""
        return cls(paths[0], file=JoinedFile(paths))

    def _list(self) -> Iterable[str]:
        for info in self._zip.infolist():
            if not info.is_dir():
                yield check_member_name(info.filename, archive=self.url)

    def read(self, name: str) -> bytes:
        """Return a member's bytes."""
        try:
            num_bytes = self._zip.getinfo(name).file_size
        except KeyError as err:
            raise StorageError(f"{self.url} holds no {name}") from err
        check_size(num_bytes, file=f"{self.url}: {name}")
        try:
            with self._zip.open(name) as member:
                return member.read(num_bytes)  # bounded: the member may hold more than it says
        except _ZIP_ERRORS as err:
            raise StorageError(f"{self.url}: {name}: {err}") from err

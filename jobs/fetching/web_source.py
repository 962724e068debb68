"""A folder on a web server as a source: the user tells its names, its lists come by HTTP."""

from collections.abc import Iterable
from pathlib import Path

from urllib3.exceptions import HTTPError

from jobs.fetching.http_session import (
    HttpOptions,
    HttpSession,
    HttpStatusError,
    TooLargeError,
    pieces,
)
from jobs.fetching.urls import RefusedUrlError, below, shown
from jobs.sources.source import MAX_FILE_BYTES, NamedFiles
from shardwriter.errors import ConfigError, StorageError
from shardwriter.object_names import name_parts


class WebSource(NamedFiles):
    """The files below a URL."""

    def __init__(self, base_url: str, names: Path, options: HttpOptions) -> None:
        """Take the place; no connection is made.

        Args:
            base_url: The folder's URL.
            names: A file with the names of those below it, one a line.
            options: How the server is asked.
        """
        super().__init__(shown(base_url))
        self._base_url = base_url
        self._file = names
        self._options = options

    def _list(self) -> Iterable[str]:
        try:
            lines = self._file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as err:
            raise ConfigError(f"--names {self._file}: {err}") from err
        names = {number: line.strip() for number, line in enumerate(lines, 1) if line.strip()}
        for number, name in names.items():
            try:
                name_parts(name)
            except ValueError as err:
                raise ConfigError(f"{self._file} line {number}: {err}") from err
        return names.values()

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        session = HttpSession(self._options)
        try:
            with session.get(below(self._base_url, name)) as response:
                return b"".join(pieces(response, max_bytes=MAX_FILE_BYTES))
        except (HttpStatusError, HTTPError, RefusedUrlError, TooLargeError, OSError) as err:
            raise StorageError(f"{self.url}/{name}: {err}") from err
        finally:
            session.close()

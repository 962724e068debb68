"""Clips in files of one's own: a folder or an archive on this machine."""

import contextlib
from collections.abc import Iterator

from jobs.availability.classifier import classify
from jobs.availability.outcome import Code, Outcome
from jobs.catalogues.catalogue import ClipRef
from jobs.fetching.fetcher import SourceAudio
from jobs.fetching.member_name import member_name
from jobs.fetching.own_outcome import own_outcome
from jobs.sources import Source, open_source
from jobs.sources.row_files import CELL
from shardwriter.errors import StorageError


class OwnFilesFetcher:
    """Reads `ClipRef.file` from a folder or an archive."""

    tool = "jobs.sources"

    def __init__(self, path: str, *, kind: str) -> None:
        """Take the place.

        Args:
            path: As `jobs.sources.open_source` takes it.
            kind: `folder`, `zip` or `tar`.
        """
        self.kind = kind
        self._path = path
        self._source: Source | None = None
        self._names: frozenset[str] | None = None

    @contextlib.contextmanager
    def open(self) -> Iterator["OwnFilesFetcher"]:
        """Open the folder or archive.

        Raises:
            ConfigError: there is no such folder or archive.
        """
        self._source = open_source(self._path)
        try:
            yield self
        finally:
            self._source = None

    def fetch(self, clip: ClipRef) -> SourceAudio | Outcome:
        """Return a file's bytes, or why there are none."""
        if self._source is None:
            raise RuntimeError("fetch was called outside `open`")
        file = member_name(clip, source=self._path)
        if isinstance(file, Outcome):
            return file
        try:
            data = self._source.read(file)
        except StorageError as err:
            return self._unread(self._source, file, err)
        return SourceAudio(data=data, file=file, cut=clip.cut, num_bytes=len(data), tool=self.tool)

    def _unread(self, source: Source, name: str, error: StorageError) -> Outcome:
        """Tell a file that is not there from a disk that fails, which is ours to mend."""
        if self._names is None:  # only now: listing a large folder takes its time
            self._names = frozenset(source.names())
        cell = CELL.fullmatch(name)
        if (cell["file"] if cell else name) not in self._names:
            return own_outcome(Code.MEMBER_MISSING, text=str(error))
        if isinstance(error.__cause__, OSError) and error.__cause__.errno is not None:
            return classify(error)
        return own_outcome(Code.DECODE_ERROR, text=str(error))

"""Clips as objects below an S3 prefix (or any URL of a store)."""

import contextlib
from collections.abc import Iterator

from jobs.availability.classifier import classify
from jobs.availability.outcome import Code, Outcome
from jobs.catalogues.catalogue import ClipRef
from jobs.fetching.fetcher import SourceAudio
from jobs.fetching.member_name import member_name
from jobs.fetching.own_outcome import own_outcome
from shardwriter.errors import StorageError, TransientStorageError
from shardwriter.storage import S3Options, Store, open_store

MAX_OBJECT_BYTES = 1 << 29
_TOOL = "shardwriter.storage"


class S3Fetcher:
    """Reads `ClipRef.file` below a prefix; a broken transfer goes on where it stopped."""

    kind = "s3"

    def __init__(
        self,
        url: str,
        options: S3Options | None = None,
        *,
        max_object_bytes: int = MAX_OBJECT_BYTES,
    ) -> None:
        """Take the place; no connection is made.

        Args:
            url: `s3://bucket/prefix`.
            options: How it is reached.
            max_object_bytes: An object of more is refused, and never held.

        Raises:
            ConfigError: not the URL of a store.
        """
        self._url = url
        self._options = options
        self._max_object_bytes = max_object_bytes
        self._store: Store | None = None
        open_store(url, options)  # refuses a wrong URL now, not in a worker

    @contextlib.contextmanager
    def open(self) -> Iterator["S3Fetcher"]:
        """Open the store."""
        self._store = open_store(self._url, self._options)
        try:
            yield self
        finally:
            self._store = None

    def fetch(self, clip: ClipRef) -> SourceAudio | Outcome:
        """Return an object's bytes, or why there are none."""
        if self._store is None:
            raise RuntimeError("fetch was called outside `open`")
        file = member_name(clip, source=self._url)
        if isinstance(file, Outcome):
            return file
        try:
            data = self._store.read_range(file, 0, self._max_object_bytes + 1)
        except TransientStorageError as err:
            return _passing(err)
        except StorageError as err:
            return classify(err)  # it tells what is not there from what is not ours to read
        if len(data) > self._max_object_bytes:
            return own_outcome(
                Code.TOO_LONG, expected=f"at most {self._max_object_bytes} bytes", got="more"
            )
        return SourceAudio(data=data, file=file, cut=clip.cut, num_bytes=len(data), tool=_TOOL)


def _passing(error: TransientStorageError) -> Outcome:
    """Return a transient outcome for what the store itself calls passing."""
    outcome = classify(error)
    return outcome if outcome.code is not Code.UNKNOWN else own_outcome(Code.RESET, text=str(error))

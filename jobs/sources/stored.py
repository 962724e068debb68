"""A prefix on S3 as a source."""

from collections.abc import Iterable

from jobs.sources.source import NamedFiles, check_size
from shardwriter.storage import Store


class StoredSource(NamedFiles):
    """The objects below a store's URL."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.url)
        self._store = store

    def _list(self) -> Iterable[str]:
        return self._store.names("")

    def read(self, name: str) -> bytes:
        """Return an object's bytes."""
        check_size(self._store.size(name), file=f"{self.url}/{name}")
        return self._store.read(name)

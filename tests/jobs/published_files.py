"""Published metadata beside the checkout; it is not part of it, and tests of it may be skipped."""

import gzip
import os
from pathlib import Path

import pytest

from jobs.sources.source import NamedFiles

DATASETS = Path(
    os.environ.get("MELSTREAM_DATASETS", Path(__file__).parents[2].parent / "shared" / "datasets")
)
needs_published_files = pytest.mark.skipif(
    not DATASETS.is_dir(),
    reason="no published metadata in ../shared/datasets, nor where MELSTREAM_DATASETS says",
)


class ListedSource(NamedFiles):
    """A source of some files, and of the mere names of many others."""

    def __init__(self, names: list[str], files: dict[str, bytes]) -> None:
        super().__init__("listed")
        self._listed = names
        self._files = files

    def _list(self) -> list[str]:
        return [*self._listed, *self._files]

    def read(self, name: str) -> bytes:
        return self._files[name]


def unpacked(folder: Path, *names: str) -> dict[str, bytes]:
    """Files that lie there gzipped."""
    return {name: gzip.decompress((folder / f"{name}.gz").read_bytes()) for name in names}

"""A dataset, described: what it holds, how to get it, what is known of it, how it is read."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files

from jobs.catalogues.catalogue import Catalogue, KnownLeak
from jobs.catalogues.counts import ExpectedCounts
from jobs.sources import Source

_ARCHIVES = "data/archives.tsv"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFile:
    """A file as published."""

    file: str
    url: str
    """Where it was published; empty for a file that is put together from its parts."""
    num_bytes: int | None = None
    md5: str | None = None
    sha256: str | None = None
    note: str = ""
    """What stands in the way, e.g. a registration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A choice that a dataset offers; the command makes a flag `--NAME` of it."""

    name: str
    help: str
    choices: tuple[str, ...] = ()
    """Allowed values; none: any text."""
    default: str = ""
    metavar: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """All that the common path needs to know of a dataset."""

    name: str
    """What the command calls it; also the first part of its clips' ids."""
    title: str
    summary: str
    """One line: how many clips of how many classes, and what they are."""
    num_classes: int
    size: str
    """How much there is to download, in words: it is not published for all."""
    licence: str
    citation: str
    homepage: str
    how_to_get: str
    layout: str
    """What the source has to look like, one path a line."""
    read: Callable[[Source, Mapping[str, str]], Catalogue]
    """Reads the catalogue. Gets every option; the source is `NoFiles` if all is on the web."""
    options: tuple[Option, ...] = ()
    expected: tuple[ExpectedCounts, ...] = ()
    """The published counts, by what was chosen."""
    targets: Mapping[str, str] = field(default_factory=dict)
    """What can be learned beside the labels: name of a metadata column, and what it holds. Columns
    of one value a clip become targets of the samples, see `jobs.catalogues.targets`."""
    faults: tuple[str, ...] = ()
    """What is known to be odd or broken in the published files."""
    leaks: tuple[KnownLeak, ...] = ()
    archives_of: str = ""
    """The dataset whose published files these are; empty: its own."""
    has_videos: bool = False
    """Whether clips can be fetched from YouTube."""

    @property
    def num_clips(self) -> int:
        """How many clips the whole set holds: the largest of the published counts."""
        return max((counts.num_clips for counts in self.expected), default=0)

    @property
    def archives(self) -> tuple[PublishedFile, ...]:
        """The files as published, with their checksums."""
        return _archives().get(self.archives_of or self.name, ())


def _archives() -> dict[str, tuple[PublishedFile, ...]]:
    """Return the table of archives that lies in the package, by name of dataset."""
    text = (files("jobs.catalogues") / _ARCHIVES).read_text(encoding="utf-8")
    found: dict[str, tuple[PublishedFile, ...]] = {}
    for row in csv.DictReader(text.splitlines(), delimiter="\t"):
        archive = PublishedFile(
            file=row["file"],
            url=row["url"],
            num_bytes=int(row["num_bytes"]) if row["num_bytes"] else None,
            md5=row["md5"] or None,
            sha256=row["sha256"] or None,
            note=row["note"],
        )
        found[row["dataset"]] = (*found.get(row["dataset"], ()), archive)
    return found

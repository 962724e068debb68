"""What a person sees of datasets and catalogues, as rows of name and text."""

from collections.abc import Iterable

from jobs.catalogues.catalogue import Catalogue
from jobs.catalogues.counts import ExpectedCounts
from jobs.catalogues.description import Dataset, Option, PublishedFile
from jobs.catalogues.split_file import SPLITS
from shardwriter.keys import from_key
from shardwriter.overlaps import DuplicateAudio

Rows = list[tuple[str, str]]


def overview(datasets: Iterable[Dataset]) -> Rows:
    """Return a row for each dataset: what it holds, and how much there is to get."""
    return [
        (dataset.name, f"{dataset.title}: {dataset.summary}; {dataset.size}")
        for dataset in datasets
    ]


def description(dataset: Dataset) -> Rows:
    """Return all that is known of a dataset: what to get, how it must lie, what to expect."""
    rows = [
        ("holds", dataset.summary),
        ("classes", f"{dataset.num_classes:,}" if dataset.num_classes else ""),
        ("licence", dataset.licence),
        ("citation", dataset.citation),
        ("homepage", dataset.homepage),
        ("size", dataset.size),
        ("how to get it", dataset.how_to_get),
    ]
    rows = [(name, text) for name, text in rows if text]  # of a folder of one's own little is known
    rows += [("file", _file(file)) for file in dataset.archives]
    rows += [("layout", line) for line in dataset.layout.splitlines()]
    rows += [("option", _option(option)) for option in (*dataset.options, SPLITS)]
    rows += [("counts", _counts(expected)) for expected in dataset.expected]
    rows += [("target", f"{name}: {what}") for name, what in dataset.targets.items()]
    rows += [("known fault", fault) for fault in dataset.faults]
    rows += [("known leak", leak.what) for leak in dataset.leaks]
    before = ["", *(name for name, _ in rows)]
    return [
        ("" if name == last else name, text)
        for (name, text), last in zip(rows, before, strict=False)
    ]


def _file(file: PublishedFile) -> str:
    checksum = f"sha256 {file.sha256}" if file.sha256 else f"md5 {file.md5}" if file.md5 else ""
    parts = (file.url or file.file, checksum, f"({file.note})" if file.note else "")
    return "  ".join(part for part in parts if part)


def _option(option: Option) -> str:
    values = "|".join(option.choices) or option.metavar or "TEXT"
    default = f" (default: {option.default})" if option.default else ""
    return f"--{option.name} {values}: {option.help}{default}"


def _counts(expected: ExpectedCounts) -> str:
    splits = ", ".join(f"{split} {num:,}" for split, num in expected.num_by_split.items())
    return f"{expected.name}: {expected.num_clips:,} clips ({splits})"


def shortcomings(catalogue: Catalogue) -> Rows:
    """Return a row for every count that is not as published, and for what is missing beside it."""
    rows = [("not as published", str(difference)) for difference in catalogue.differences]
    return rows + [("note", warning) for warning in catalogue.warnings]


def split_duplicates(
    catalogue: Catalogue, duplicates: Iterable[DuplicateAudio]
) -> tuple[list[DuplicateAudio], list[DuplicateAudio]]:
    """Return the clips with equal audio that are known to be so, and those that are not."""
    known_sets = [clips for leak in catalogue.leaks for clips in leak.clips]
    known: list[DuplicateAudio] = []
    unknown: list[DuplicateAudio] = []
    for duplicate in duplicates:
        pair = {from_key(duplicate.key), from_key(duplicate.same_as_key)}
        is_known = any(pair <= clips for clips in known_sets)
        (known if is_known else unknown).append(duplicate)
    return known, unknown

"""Any folder of audio: with a csv whose columns are named, or with a folder for each class."""

import collections
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

from jobs.catalogues.catalogue import Catalogue, ClipRef
from jobs.catalogues.counts import ExpectedCounts
from jobs.catalogues.description import Dataset, Option
from jobs.catalogues.listed_clips import (
    FILE_COLUMNS,
    LABEL_COLUMNS,
    NO_LABELS,
    AudioFiles,
    Columns,
    choose_column,
    foldered_clip,
    listed_clip,
    optional_column,
)
from jobs.catalogues.order import mixed
from jobs.catalogues.reading import assemble, optional_file, published_file
from jobs.catalogues.tables import TableForm, read_header, read_table
from jobs.sources import Source
from shardwriter.errors import ConfigError

_DELIMITERS: Final = {"comma": ",", "tab": "\t", "semicolon": ";", "space": " "}
_DELIMITER_BY_SUFFIX: Final = {".tsv": "\t"}
LICENCE: Final = Option(name="licence", help="of the audio, for the manifest (default: not stated)")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,39}", re.ASCII)


def _read(source: Source, options: Mapping[str, str]) -> Catalogue:
    name = dataset_name(options["name"], source)
    files = AudioFiles(source)
    if options["csv"]:
        clips, where = _listed(source, options, files, name=name)
    else:
        clips, where = _foldered(options, files, name=name), source.url
    catalogue = own_catalogue(
        DATASET, clips, name=name, vocabulary=_vocabulary(options), where=where
    )
    return replace(catalogue, licence=options[LICENCE.name] or catalogue.licence)


def dataset_name(chosen: str, source: Source) -> str:
    """Return what a set is called that has no name of its own: as chosen, or as its folder.

    Raises:
        ConfigError: not a name that ids can begin with.
    """
    name = chosen or re.sub(r"[^A-Za-z0-9_-]+", "-", PurePosixPath(source.url).stem).strip("-")
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"a dataset is called by 1 to 40 letters, digits, _ and -, got {name!r}; choose a name"
        )
    return name


def own_catalogue(
    dataset: Dataset,
    clips: list[ClipRef],
    *,
    name: str,
    vocabulary: tuple[str, ...],
    where: str,
) -> Catalogue:
    """Return the catalogue of clips of which nothing is published: no count can differ.

    Args:
        dataset: How they were read.
        clips: In order.
        name: What the set is called.
        vocabulary: Labels in order of ids; empty: those that occur, sorted.
        where: The list, for messages.

    Raises:
        ConfigError: there is no clip, or a label that the vocabulary lacks.
    """
    labels = {label for clip in clips for label in clip.labels}
    unknown = sorted(labels.difference(vocabulary)) if vocabulary else []
    if unknown:
        raise ConfigError(f"{where} has labels that the vocabulary lacks: {', '.join(unknown[:5])}")
    counts = collections.Counter(clip.split for clip in clips)
    catalogue = assemble(
        dataset,
        clips,
        labels=vocabulary or tuple(sorted(labels)),
        expected=ExpectedCounts(name=name, num_by_split=counts),
        where=where,
    )
    # A row that is there twice is a rejection already, and no difference from what is published.
    return replace(catalogue, name=name, title=name, differences=())


def _listed(
    source: Source, options: Mapping[str, str], files: AudioFiles, *, name: str
) -> tuple[list[ClipRef], str]:
    data, where, folder = _table(source, options["csv"])
    suffix = PurePosixPath(options["csv"]).suffix
    delimiter = _DELIMITERS.get(options["delimiter"]) or _DELIMITER_BY_SUFFIX.get(suffix, ",")
    names = read_header(data, TableForm(columns=(), delimiter=delimiter), where=where)
    columns = _columns(names, options, where=where)
    clips = [
        listed_clip(
            row.values,
            columns,
            dataset=name,
            file=files.find(row[columns.file], folder=folder),
            split="train",
            where=f"{where} line {row.line}",
        )
        for row in read_table(data, TableForm(columns=names, delimiter=delimiter), where=where)
    ]
    return mixed(clips), where


def _table(source: Source, name: str) -> tuple[bytes, str, str]:
    """Return a table in the source or on disk, its place, and its folder in the source."""
    held = optional_file(source, name)
    if held is None and Path(name).is_file():
        return Path(name).read_bytes(), name, ""
    data, where = held or published_file(source, name, layout=DATASET.layout)
    folder = where.removeprefix(f"{source.url}/").rpartition("/")[0]
    return data, where, folder


def _columns(names: tuple[str, ...], options: Mapping[str, str], *, where: str) -> Columns:
    file = choose_column(names, options["file"], FILE_COLUMNS, what="the file", where=where)
    label = None
    if options["label"] != NO_LABELS:
        usual = [name for name in LABEL_COLUMNS if name != file]
        label = choose_column(names, options["label"], usual, what="the label", where=where)
    return Columns(
        file=file,
        label=label,
        split=optional_column(names, options["split"], "split", where=where),
        fold=optional_column(names, options["fold"], "fold", where=where),
        group=optional_column(names, options["group"], "group", where=where),
        separator=options["separator"],
    )


def _foldered(options: Mapping[str, str], files: AudioFiles, *, name: str) -> list[ClipRef]:
    if options["label"] not in ("", NO_LABELS):
        raise ConfigError(
            f"without a csv the label is the folder's name, or {NO_LABELS}; got a column "
            f"{options['label']!r}"
        )
    has_labels = options["label"] != NO_LABELS
    return mixed(foldered_clip(file, dataset=name, has_labels=has_labels) for file in files.names)


def _vocabulary(options: Mapping[str, str]) -> tuple[str, ...]:
    if not options["vocabulary"]:
        return ()
    try:
        text = Path(options["vocabulary"]).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"{options['vocabulary']}: {err}") from err
    labels = tuple(line.strip() for line in text.splitlines() if line.strip())
    if len(set(labels)) != len(labels):
        raise ConfigError(f"{options['vocabulary']} lists a label twice")
    return labels


DATASET = Dataset(
    name="folder",
    title="a folder of audio",
    summary="any folder, archive or S3 prefix of audio, with a csv or a folder for each class",
    num_classes=0,
    size="yours",
    licence="not stated",
    citation="",
    homepage="",
    how_to_get="it is yours",
    layout="a csv of a row a clip: a file column, and maybe label, split, fold and group columns\n"
    "or without a csv: [<split>/]<class>/<file>",
    read=_read,
    options=(
        Option(name="csv", help="the table, in the source or on disk", metavar="FILE"),
        Option(name="name", help="of the dataset (default: that of the folder)"),
        Option(
            name="file",
            help=f"column of the file's path, name or stem (default: {', '.join(FILE_COLUMNS)})",
            metavar="COLUMN",
        ),
        Option(
            name="label",
            help=f"column of the labels (default: {', '.join(LABEL_COLUMNS)}); none: clips have "
            "none, as of a noise dataset",
            metavar="COLUMN",
        ),
        Option(name="separator", help="between several labels in a cell (default: one label)"),
        Option(name="split", help="column of the split (default: split)", metavar="COLUMN"),
        Option(name="fold", help="column of the fold (default: fold)", metavar="COLUMN"),
        Option(
            name="group",
            help="column of what must not be in two splits (default: group)",
            metavar="COLUMN",
        ),
        Option(
            name="delimiter",
            help="of the csv; auto: a tab in a .tsv, else a comma",
            choices=("auto", *_DELIMITERS),
            default="auto",
        ),
        Option(
            name="vocabulary",
            help="the labels in order of ids, a line each (default: those that occur, sorted)",
            metavar="FILE",
        ),
        LICENCE,
    ),
)

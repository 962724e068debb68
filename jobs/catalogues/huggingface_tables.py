"""Clips of a Hugging Face dataset in tables: parquet as on the Hub, arrow as saved to disk."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from jobs.catalogues.catalogue import ClipRef
from jobs.catalogues.huggingface_features import Features, read_features
from jobs.catalogues.listed_clips import SPLIT_NAMES, clip_id
from jobs.sources import Source
from jobs.sources.row_files import SUFFIXES, RowFile, cell_name
from shardwriter.errors import ConfigError
from shardwriter.schema import MANIFEST_NAME

_SHARD = re.compile(r"(?P<split>\w+(?:[.-]\w+)*?)-\d{5}-of-\d{5}(?:-[0-9a-f]+)?", re.ASCII)
_CACHED = re.compile(r"cache-[0-9a-f]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOptions:
    """What the user chose."""

    name: str
    """First part of ids."""
    label: str
    group: str
    files: str
    """Glob of the tables to read; empty: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableClips:
    """What tables hold."""

    clips: list[ClipRef]
    names: tuple[str, ...]
    """The classes in order of ids; empty: labels are not numbered."""


def table_names(source: Source, pattern: str = "") -> list[str]:
    """Return the tables of a source, in order of names.

    The caches of `datasets` are none, nor is what `melstream index` wrote beside tars.
    """
    names = source.names()
    ours = ("index/", "availability/") if MANIFEST_NAME in names else ()
    return [
        name
        for name in names
        if name.endswith(SUFFIXES)
        and not name.startswith(ours)
        and not _CACHED.fullmatch(PurePosixPath(name).stem)
        and (not pattern or fnmatchcase(name, pattern))
    ]


def open_table(source: Source, name: str) -> RowFile:
    """Open a table of a folder on disk.

    Raises:
        ConfigError: the source is no folder, or the table can't be read.
    """
    path = Path(source.url) / name
    if not path.is_file():
        raise ConfigError(f"{source.url}/{name}: tables are read from a folder on disk; copy them")
    return RowFile(path)


def split_of(name: str) -> str:
    """Return the split of a table, by its name.

    `train-00000-of-00005` names it, as does the folder of `bal_train/00.parquet` or
    `test/data-00000-of-00001.arrow`; else a word such as `valid` does, and `train` if none.
    """
    path = PurePosixPath(name)
    shard = _SHARD.fullmatch(path.stem)
    own = shard["split"] if shard else path.stem
    if own in ("data", "part") or own.isdecimal():
        own = path.parent.name or "train"
        return SPLIT_NAMES.get(own, own) if own not in ("data", "default") else "train"
    if shard:
        return own
    words = [word for part in path.with_suffix("").parts for word in re.split(r"[\W_]+", part)]
    return next((SPLIT_NAMES[word] for word in reversed(words) if word in SPLIT_NAMES), "train")


def read_tables(source: Source, options: TableOptions) -> TableClips:
    """Return the clips of all tables that have an audio column, in the order of their rows.

    Raises:
        ConfigError: no table has one, or two number their classes in different ways.
    """
    clips: list[ClipRef] = []
    names: tuple[str, ...] = ()
    places: dict[str, int] = {}
    for name in table_names(source, options.files):
        file = open_table(source, name)
        where = f"{source.url}/{name}"
        features = read_features(file.schema, label=options.label, where=where)
        if features is None:
            continue
        if clips and features.names != names:
            raise ConfigError(f"{where} numbers its classes otherwise than the tables before it")
        names = features.names
        clips += _Rows(name, where, features, options).clips(file, places)
    if not clips:
        raise ConfigError(f"{source.url} holds no table with a column of audio bytes")
    return TableClips(clips=clips, names=names)


@dataclass(frozen=True, slots=True)
class _Rows:
    """How the rows of one table are read."""

    file: str
    where: str
    features: Features
    options: TableOptions

    def clips(self, table: RowFile, places: dict[str, int]) -> Iterator[ClipRef]:
        """Yield the clips; `places` counts the rows of each split over its tables."""
        split = split_of(self.file)
        for row, values in enumerate(_values(table, self._columns())):
            place = places[split] = places.get(split, -1) + 1
            path = values.get(f"{self.features.audio}.path")
            yield ClipRef(
                id=clip_id(self.options.name, f"{split}/{place:08d}.row"),
                file=cell_name(self.file, row, self.features.audio),
                split=split,
                labels=self._labels(values, row),
                group=self._group(values),
                metadata={name: values[name] for name in self.features.others}
                | ({"path": path} if path else {}),
            )

    def _columns(self) -> list[str]:
        features = self.features
        columns = [*features.others]
        if features.label is not None:
            columns.append(features.label)
        if features.has_paths:
            columns.append(f"{features.audio}.path")
        if self.options.group and self.options.group not in columns:
            raise ConfigError(f"{self.where} has no column {self.options.group!r} for the group")
        return columns

    def _group(self, values: Mapping[str, Any]) -> str | None:
        group = values[self.options.group] if self.options.group else None
        return None if group in (None, "") else str(group)

    def _labels(self, values: Mapping[str, Any], row: int) -> tuple[str, ...]:
        if self.features.label is None:
            return ()
        value = values[self.features.label]
        items = value if isinstance(value, list) else [value]
        # -1 and null: the labels of a test part are kept secret.
        known = [item for item in items if item is not None and item != -1]
        if not self.features.names:
            return tuple(dict.fromkeys(str(item) for item in known))
        try:
            return tuple(dict.fromkeys(self._name(item) for item in known))
        except (IndexError, TypeError) as err:
            raise ConfigError(
                f"{self.where} row {row}: label {value!r} is none of the "
                f"{len(self.features.names)} classes' numbers"
            ) from err

    def _name(self, number: int) -> str:
        if number < 0:
            raise IndexError(number)
        return self.features.names[number]


def _values(table: RowFile, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows without their audio."""
    if not columns:
        yield from ({} for _ in range(table.num_rows))
        return
    batch: pa.RecordBatch
    for batch in table.columns(columns).to_batches(max_chunksize=10_000):
        yield from batch.to_pylist()

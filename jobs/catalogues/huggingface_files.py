"""Clips of an AudioFolder: files, with metadata.csv or metadata.jsonl beside them or without."""

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from jobs.catalogues.catalogue import ClipRef
from jobs.catalogues.listed_clips import (
    LABEL_COLUMNS,
    NO_LABELS,
    SPLIT_NAMES,
    AudioFiles,
    Columns,
    choose_column,
    foldered_clip,
    listed_clip,
    optional_column,
)
from jobs.catalogues.tables import TableForm, read_header, read_table, table_error
from jobs.sources import Source

_METADATA: Final = ("metadata.csv", "metadata.jsonl")
_FILE: Final = "file_name"


def audio_folder_clips(
    source: Source, *, dataset: str, label: str, group: str
) -> Iterator[ClipRef]:
    """Yield the clips of an AudioFolder.

    Args:
        source: Where it lies.
        dataset: First part of ids.
        label: Column of the labels; empty: one of a usual name, `none`: none. Without metadata
            the label is the folder's name.
        group: Column of the group; empty: `group`, if there is one.

    Raises:
        ConfigError: metadata of another form.
    """
    files = AudioFiles(source)
    tables = [name for name in source.names() if PurePosixPath(name).name in _METADATA]
    if not tables:
        for name in files.names:
            yield foldered_clip(name, dataset=dataset, has_labels=label != NO_LABELS)
    for name in tables:
        folder = name.rpartition("/")[0]
        split = next((SPLIT_NAMES[part] for part in folder.split("/") if part in SPLIT_NAMES), "")
        columns: Columns | None = None
        for where, row in _rows(source, name):
            columns = columns or _columns(row, label=label, group=group, where=where)
            called = str(row[columns.file])
            yield listed_clip(
                {**row, columns.file: f"{folder}/{called}" if folder else called},
                columns,
                dataset=dataset,
                file=files.find(called, folder=folder),
                split=split or "train",
                where=where,
            )


def _rows(source: Source, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    data, where = source.read(name), f"{source.url}/{name}"
    if name.endswith(".csv"):
        columns = read_header(data, TableForm(columns=()), where=where)
        for row in read_table(data, TableForm(columns=columns), where=where):
            yield f"{where} line {row.line}", row.values
        return
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as err:
            raise table_error(where, f"is not JSON: {err}", line=number) from err
        if not isinstance(values, dict) or not isinstance(values.get(_FILE), str):
            raise table_error(where, f"expected an object with {_FILE}", line=number)
        yield f"{where} line {number}", values


def _columns(row: Mapping[str, Any], *, label: str, group: str, where: str) -> Columns:
    chosen = None
    if label != NO_LABELS:
        chosen = choose_column(row, label, LABEL_COLUMNS, what="the label", where=where)
    return Columns(
        file=choose_column(row, _FILE, (), what="the file", where=where),
        label=chosen,
        split=optional_column(row, "", "split", where=where),
        group=optional_column(row, group, "group", where=where),
    )

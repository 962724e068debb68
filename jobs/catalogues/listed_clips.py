"""Clips of sets that nobody described: by a table's columns, or by the folders they lie in."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from jobs.catalogues.catalogue import ClipRef
from jobs.sources import Source
from shardwriter.errors import ConfigError
from shardwriter.keys import to_key

AUDIO_SUFFIXES: Final = frozenset(
    {
        *(".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".webm", ".mp4"),
        *(".aiff", ".aif", ".au", ".wma", ".mkv"),
    }
)
SPLIT_NAMES: Final = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
"""What folders and files are called that hold a split."""
FILE_COLUMNS: Final = ("file_name", "filename", "file", "path", "fname", "slice_file_name", "audio")
LABEL_COLUMNS: Final = ("label", "labels", "class", "category", "tags", "genre")
NO_LABELS: Final = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which column says what; None: none does."""

    file: str
    label: str | None
    split: str | None = None
    fold: str | None = None
    group: str | None = None
    separator: str = ""
    """Between several labels in a cell; empty: a cell is one label."""


class AudioFiles:
    """The audio files of a source, found by what tables call them."""

    def __init__(self, source: Source) -> None:
        self.names = [name for name in source.names() if is_audio(name)]
        self._all = frozenset(self.names)
        self._by_end: dict[str, str | None] = {}
        for name in self.names:
            path = PurePosixPath(name)
            for end in (path.name, path.stem):
                self._by_end[end] = None if end in self._by_end else name

    def find(self, called: str, *, folder: str) -> str | None:
        """Return the file of this path, seen from a table's folder or the top; or of this name.

        A name or stem that two files have finds neither.
        """
        for name in (f"{folder}/{called}" if folder else called, called):
            name = name.removeprefix("./").replace("/./", "/")
            if name in self._all:
                return name
        return self._by_end.get(PurePosixPath(called.replace("\\", "/")).name)


def is_audio(name: str) -> bool:
    """Return whether a file is audio by its name; hidden ones are not."""
    path = PurePosixPath(name)
    return path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".")


def clip_id(dataset: str, path: str) -> str:
    """Return the id of a clip: its path without suffix, or a hash of it where that is too long."""
    stem = path.removesuffix(PurePosixPath(path).suffix)
    identity = f"{dataset}/{stem}"
    try:
        to_key(identity)
    except ValueError:
        return f"{dataset}/{hashlib.blake2b(path.encode(), digest_size=16).hexdigest()}"
    return identity


def choose_column(
    names: Iterable[str], chosen: str, usual: Iterable[str], *, what: str, where: str
) -> str:
    """Return the chosen column, or the first of the usual ones that is there.

    Raises:
        ConfigError: there is none.
    """
    there = tuple(names)
    for name in (chosen,) if chosen else usual:
        if name in there:
            return name
    raise ConfigError(
        f"{where} has no column {chosen or 'of a usual name'} for {what}; name one of "
        f"{', '.join(there)}"
    )


def optional_column(names: Iterable[str], chosen: str, usual: str, *, where: str) -> str | None:
    """Return the chosen column, which must be there, or the usual one, which may be missing."""
    there = tuple(names)
    if chosen:
        return choose_column(there, chosen, (), what=usual, where=where)
    return usual if usual in there else None


def listed_clip(
    row: Mapping[str, Any],
    columns: Columns,
    *,
    dataset: str,
    file: str | None,
    split: str,
    where: str,
) -> ClipRef:
    """Return the clip of a row; columns without a task become metadata.

    Args:
        row: Its values.
        columns: Which of them say what.
        dataset: First part of its id.
        file: Where it lies, None if nowhere.
        split: Where the row names none.
        where: The row, for messages.

    Raises:
        ConfigError: the file column is empty, or a fold is no number.
    """
    path = str(row[columns.file])
    if not path:
        raise ConfigError(f"{where}: {columns.file} is empty")
    fold = str(row[columns.fold]) if columns.fold else ""
    if fold and not (fold.isdecimal() and fold.isascii()):
        raise ConfigError(f"{where}: {columns.fold} is {fold!r}, expected a whole number")
    taken = {columns.label, columns.split, columns.fold, columns.group}
    group = str(row[columns.group]) if columns.group else ""
    return ClipRef(
        id=clip_id(dataset, path.lstrip("/")),
        file=file,
        split=(str(row[columns.split]) if columns.split else "") or split,
        labels=_labels(row[columns.label], columns.separator) if columns.label else (),
        fold=int(fold) if fold else None,
        group=group or None,
        metadata={name: value for name, value in row.items() if name not in taken},
    )


def _labels(value: Any, separator: str) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    if separator:
        values = [part for item in values for part in str(item).split(separator)]
    names = (str(item).strip() for item in values if item is not None)
    return tuple(dict.fromkeys(name for name in names if name))


def foldered_clip(name: str, *, dataset: str, has_labels: bool) -> ClipRef:
    """Return the clip of a file in a folder named by its class, maybe in one named by its split."""
    folders = PurePosixPath(name).parts[:-1]
    splits = [SPLIT_NAMES[folder.lower()] for folder in folders if folder.lower() in SPLIT_NAMES]
    label = folders[-1] if folders else ""
    return ClipRef(
        id=clip_id(dataset, name),
        file=name,
        split=splits[0] if splits else "train",
        labels=(label,) if has_labels and label else (),
    )

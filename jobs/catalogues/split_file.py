"""A file that says which clip belongs to which split, in place of the published splits.

A csv with the columns `clip_id,split`, or `clip_id,split,fold`; `melstream split` makes one. Every
dataset takes it by the option `splits`.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from jobs.catalogues.catalogue import Catalogue
from jobs.catalogues.description import Option
from jobs.catalogues.tables import Row, TableForm, read_header, read_table, table_error
from shardwriter.errors import ConfigError
from shardwriter.shard_names import check_split

SPLITS: Final = Option(
    name="splits",
    help="csv with the columns clip_id,split (and fold), as `melstream split` writes it, in place "
    "of the splits as published",
    metavar="FILE",
)
_COLUMNS: Final = ("clip_id", "split")
_COLUMNS_WITH_FOLD: Final = (*_COLUMNS, "fold")


@dataclass(frozen=True, slots=True)
class Part:
    """Where a clip belongs."""

    split: str
    fold: int | None = None


def write_splits(parts: Mapping[str, Part]) -> bytes:
    """Return the file for these clips, in order of ids; it has a fold column if a clip has one."""
    has_folds = any(part.fold is not None for part in parts.values())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS_WITH_FOLD if has_folds else _COLUMNS)
    for clip, part in sorted(parts.items()):
        fold = "" if part.fold is None else str(part.fold)
        writer.writerow([clip, part.split, fold] if has_folds else [clip, part.split])
    return text.getvalue().encode()


def read_splits(data: bytes, *, where: str) -> dict[str, Part]:
    """Read what `write_splits` returned.

    Raises:
        ConfigError: other columns, a clip that is there twice, or a split that makes no folder.
    """
    columns = read_header(data, TableForm(columns=()), where=where)
    if columns not in (_COLUMNS, _COLUMNS_WITH_FOLD):
        raise table_error(where, f"expected clip_id,split or clip_id,split,fold, got {columns}")
    parts: dict[str, Part] = {}
    for row in read_table(data, TableForm(columns=columns), where=where):
        if row["clip_id"] in parts:
            raise row.error(f"{row['clip_id']!r} is there twice")
        parts[row["clip_id"]] = _part(row)
    return parts


def _part(row: Row) -> Part:
    fold = row.values.get("fold", "")
    if fold and not (fold.isdecimal() and fold.isascii()):
        raise row.error(f"fold is {fold!r}, expected a whole number")
    try:
        check_split(row["split"])
    except ValueError as err:
        raise row.error(str(err)) from err
    return Part(row["split"], int(fold) if fold else None)


def with_splits(catalogue: Catalogue, path: Path) -> Catalogue:
    """Return the catalogue with the splits and folds of a file.

    A clip that the file lacks is left out, and the catalogue says so: `melstream split` lists what
    a first ingest wrote, and not what was damaged or absent. What else the file lists is no matter.

    Raises:
        ConfigError: the file can't be read, or lists none of the clips.
    """
    try:
        parts = read_splits(path.read_bytes(), where=str(path))
    except OSError as err:
        raise ConfigError(f"{path}: {err.strerror}") from err
    moved = []
    missing = []
    for clip in catalogue.clips:
        part = parts.get(clip.id)
        if part is None:
            missing.append(clip.id)
        else:
            moved.append(replace(clip, split=part.split, fold=part.fold))
    clips = replace(catalogue, clips=tuple(moved))
    if not missing:
        return clips
    lacks = (
        f"{path} lacks {len(missing):,} of {len(missing) + len(moved):,} clips, the first is "
        f"{missing[0]}"
    )
    if not moved:
        raise ConfigError(f"{lacks}; make it for the same dataset and options")
    return replace(clips, warnings=(*catalogue.warnings, f"{lacks}: they are left out"))

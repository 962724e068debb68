"""`melstream verify --groups`: does a test part hold what was trained on?

Two things leak: a group (a speaker, an artist, a recording) with clips in two splits or folds, and
the same audio in two. Both are found from the shards' indexes, without reading audio. What the
dataset's publishers are known to have let through is said to be known; it is theirs, and stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from jobs.catalogues.catalogue import KnownLeak
from jobs.catalogues.registry import DATASETS
from jobs.console import complain, say
from shardwriter.keys import from_key
from shardwriter.manifest import load_manifest
from shardwriter.overlaps import (
    DuplicateAudio,
    StraddlingGroup,
    find_duplicates,
    find_straddling_groups,
    overlap_columns,
)
from shardwriter.publish import load_idx
from shardwriter.storage import S3Options, open_store

_MAX_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaks:
    """What lies in two splits or folds; a part is called `train`, or `train fold 3`."""

    groups: tuple[StraddlingGroup, ...]
    duplicates: tuple[DuplicateAudio, ...]
    known_groups: tuple[StraddlingGroup, ...]
    known_duplicates: tuple[DuplicateAudio, ...]
    num_clips: int
    num_without_group: int
    num_without_hash: int
    """Clips whose audio was never decoded, so that it can't be compared."""


def check_groups(url: str, *, s3: S3Options | None = None) -> int:
    """Look for leaks and print them; return 0 if there is none but known ones, else 1.

    Args:
        url: The dataset. Only its indexes are read.
        s3: How to reach S3.
    """
    store = open_store(url, s3)
    manifest = load_manifest(store)
    tables = [_by_part(shard.split, load_idx(store, shard.tar)) for shard in manifest.shards]
    known = known_leaks(tables)
    leaks = find_leaks(tables, known)
    for leak in known:
        say(f"known: {leak.what}")
    for line in leak_lines(leaks)[:_MAX_SHOWN]:
        complain(f"  {line}")
    num_new = len(leaks.groups) + len(leaks.duplicates)
    if num_new > _MAX_SHOWN:
        complain(f"  ... and {num_new - _MAX_SHOWN} more")
    say(f"{url}: {_summary(leaks)}")
    return 1 if num_new else 0


def find_leaks(tables: Sequence[pa.Table], known: Sequence[KnownLeak]) -> Leaks:
    """Return what lies in two parts, and which of it is known.

    Args:
        tables: Columns key, group, pcm_hash and split, for each shard.
        known: What the published splits are known to share.
    """
    groups = find_straddling_groups(tables)
    crossing = [found for found in find_duplicates(tables) if found.split != found.same_as_split]
    known_names = frozenset[str]().union(*(leak.groups for leak in known))
    known_clips = [clips for leak in known for clips in leak.clips]

    def is_known(found: DuplicateAudio) -> bool:
        pair = {_identity(found.key), _identity(found.same_as_key)}
        return any(pair <= clips for clips in known_clips)

    return Leaks(
        groups=tuple(found for found in groups if found.group not in known_names),
        duplicates=tuple(found for found in crossing if not is_known(found)),
        known_groups=tuple(found for found in groups if found.group in known_names),
        known_duplicates=tuple(found for found in crossing if is_known(found)),
        num_clips=sum(len(table) for table in tables),
        num_without_group=sum(table["group"].null_count for table in tables),
        num_without_hash=sum(table["pcm_hash"].null_count for table in tables),
    )


def known_leaks(tables: Sequence[pa.Table]) -> tuple[KnownLeak, ...]:
    """Return the known leaks of the dataset that the first clip's id names, if it names one."""
    first = next((table["key"][0].as_py() for table in tables if len(table)), "")
    name = _identity(first).partition("/")[0]
    return next((dataset.leaks for dataset in DATASETS if dataset.name == name), ())


def leak_lines(leaks: Leaks) -> list[str]:
    """Return a line for everything that is not known."""
    lines = [
        f"group {found.group}: "
        + ", ".join(f"{part} {count}" for part, count in found.num_clips.items())
        for found in leaks.groups
    ]
    return lines + [
        f"{_identity(found.key)} ({found.split}) sounds exactly as "
        f"{_identity(found.same_as_key)} ({found.same_as_split})"
        for found in leaks.duplicates
    ]


def _by_part(split: str, idx: pa.Table) -> pa.Table:
    """Return what the searches need; where clips have folds, these are parts of their split."""
    table = overlap_columns(split, idx)
    fold = pc.cast(idx["fold"], pa.string())
    parts = pc.binary_join_element_wise(table["split"], fold, " fold ")
    column = pc.if_else(pc.is_null(fold), table["split"], parts)
    return table.set_column(table.schema.get_field_index("split"), "split", column)


def _identity(key: str) -> str:
    try:
        return from_key(key)
    except ValueError:  # shards of others name their samples as they like
        return key


def _summary(leaks: Leaks) -> str:
    known = len(leaks.known_groups) + len(leaks.known_duplicates)
    text = (
        f"{_count(len(leaks.groups), 'group')} and {_count(len(leaks.duplicates), 'clip')} of "
        f"equal audio in two splits or folds"
    )
    if known:
        text += (
            f", and as known {_count(len(leaks.known_groups), 'group')} and "
            f"{_count(len(leaks.known_duplicates), 'clip')}"
        )
    text += f"; {leaks.num_clips:,} clips"
    if leaks.num_without_group:
        text += f", {leaks.num_without_group:,} of them without a group"
    if leaks.num_without_hash:
        text += f", {leaks.num_without_hash:,} never decoded, so not compared"
    return text


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"

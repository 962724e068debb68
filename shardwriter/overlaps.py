"""What should lie in one place and lies in two: groups that straddle splits, audio held twice.

Both are found from the shards' `.idx` tables alone, so an ingest that was interrupted finds the
same as one that was not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from shardwriter.json_form import canonical_json

GroupRule = Literal["ignore", "report", "refuse"]
"""What to do with a group (a speaker, a recording) that appears in two splits."""

GROUPS_NAME = "availability/groups.jsonl"
DUPLICATES_NAME = "availability/duplicates.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class StraddlingGroup:
    """A group whose clips lie in more than one split."""

    group: str
    num_clips: Mapping[str, int]
    """By split."""

    def to_json_bytes(self) -> bytes:
        """Return its row of the report."""
        return canonical_json({"group": self.group, "num_clips": dict(self.num_clips)}) + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateAudio:
    """A clip whose decoded samples are those of an earlier one."""

    key: str
    split: str
    same_as_key: str
    same_as_split: str

    def to_json_bytes(self) -> bytes:
        """Return its row of the report."""
        return canonical_json(asdict(self)) + b"\n"


def overlap_columns(split: str, idx: pa.Table) -> pa.Table:
    """Return the columns of a `.idx` table that the two searches need, and the split."""
    table = idx.select(["key", "group", "pcm_hash"])
    return table.append_column("split", pa.array([split] * len(table), pa.string()))


def find_straddling_groups(tables: Sequence[pa.Table]) -> tuple[StraddlingGroup, ...]:
    """Return the groups that lie in several splits, in order of their names.

    Args:
        tables: What `overlap_columns` returned, for each shard.
    """
    if not tables:
        return ()
    rows = pa.concat_tables(tables).select(["group", "split"]).drop_null()
    counts = rows.group_by(["group", "split"]).aggregate([([], "count_all")])
    num_splits = counts.group_by("group").aggregate([("split", "count")])
    straddling = num_splits.filter(pc.field("split_count") > 1)["group"]
    found: dict[str, dict[str, int]] = {}
    for row in _rows_with(counts, "group", straddling):
        found.setdefault(row["group"], {})[row["split"]] = row["count_all"]
    return tuple(
        StraddlingGroup(group=group, num_clips=dict(sorted(found[group].items())))
        for group in sorted(found)
    )


def find_duplicates(tables: Sequence[pa.Table]) -> tuple[DuplicateAudio, ...]:
    """Return the clips whose audio an earlier clip of the dataset has, in the tables' order.

    Args:
        tables: What `overlap_columns` returned, for each shard in the manifest's order.
    """
    if not tables:
        return ()
    rows = pa.concat_tables(tables)
    counts = rows.group_by("pcm_hash").aggregate([([], "count_all")])
    repeated = counts.filter(pc.field("count_all") > 1)["pcm_hash"].drop_null()
    first: dict[bytes, tuple[str, str]] = {}
    found = []
    for row in _rows_with(rows, "pcm_hash", repeated):
        place = (row["key"], row["split"])
        key, split = first.setdefault(row["pcm_hash"], place)
        if (key, split) != place:
            found.append(
                DuplicateAudio(
                    key=row["key"], split=row["split"], same_as_key=key, same_as_split=split
                )
            )
    return tuple(found)


def _rows_with(table: pa.Table, column: str, values: pa.ChunkedArray) -> list[dict[str, Any]]:
    chosen = pc.is_in(table[column], value_set=values.combine_chunks())
    rows: list[dict[str, Any]] = table.filter(chosen).to_pylist()
    return rows

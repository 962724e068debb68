"""Old attempts judged by the rules of today. The log stays; what changes lies beside it."""

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.availability.classifier import RULES_VERSION, classify_evidence
from jobs.availability.log_schema import EVIDENCE_COLUMNS
from jobs.availability.log_table import iterate_attempts, read_attempts
from jobs.availability.outcome import OUR_CODES, Code, Evidence
from jobs.availability.reduction import REDUCED_COLUMNS
from shardwriter.errors import ShardFormatError
from shardwriter.parquet import read_parquet
from shardwriter.storage import Store

_KEY: Final = ("run_id", "clip_id", "attempt", "time_utc")
RECLASSIFIED_SCHEMA: Final = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("attempt", pa.int32(), nullable=False),
        pa.field("time_utc", pa.string(), nullable=False),
        pa.field("old_code", pa.string(), nullable=False),
        pa.field("code", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
    ]
)
"""A row for each attempt whose code or group the rules of today change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReclassifySummary:
    """What judging anew came to."""

    rules_version: int
    num_attempts: int
    """In the log."""
    num_judged: int
    """Judged anew: those with evidence, by other rules, and not by our own checks."""
    changes: dict[tuple[str, str], int]
    """Attempts by (old code, new code), most first."""
    name: str
    """Where the changed rows are in the store."""

    @property
    def num_changed(self) -> int:
        """Attempts that get another code or group."""
        return sum(self.changes.values())


def reclassified_name(rules_version: int) -> str:
    """Return the store name of the rows that a version of the rules changes."""
    return f"availability/reclassified-v{rules_version}.parquet"


def reclassify(store: Store) -> ReclassifySummary:
    """Judge the attempts of older rules anew, and write which get another code.

    Messages whose code rests on our own look at the bytes, and attempts without evidence, keep
    theirs. So do those that only older rules knew: unknown is no better knowledge.
    """
    num_attempts = num_judged = 0
    changed: list[dict[str, Any]] = []
    columns = [*_KEY, "code", "group", "rules_version", *EVIDENCE_COLUMNS]
    for part in iterate_attempts(store, columns):
        num_attempts += len(part)
        old = part.filter(_may_change())
        num_judged += len(old)
        changed.extend(_changed_rows(old))
    sink = io.BytesIO()
    table = pa.Table.from_pylist(changed, schema=RECLASSIFIED_SCHEMA)
    pq.write_table(table, sink, compression="zstd")
    name = reclassified_name(RULES_VERSION)
    store.put(name, sink.getvalue(), replace=True)
    return ReclassifySummary(
        rules_version=RULES_VERSION,
        num_attempts=num_attempts,
        num_judged=num_judged,
        changes=dict(Counter((row["old_code"], row["code"]) for row in changed).most_common()),
        name=name,
    )


def read_judged_attempts(store: Store) -> pa.Table:
    """Return the attempts as `reduce_attempts` takes them, with the codes of today's rules.

    Where nothing was reclassified, or with other rules than today's, codes are those of the log.
    """
    attempts = read_attempts(store, REDUCED_COLUMNS)
    name = reclassified_name(RULES_VERSION)
    if not store.exists(name):
        return attempts
    try:
        changed = read_parquet(store.read(name)).cast(RECLASSIFIED_SCHEMA)
    except (pa.ArrowException, OSError, ValueError) as err:
        raise ShardFormatError(
            f"{store.url}/{name}: not a table of reclassified attempts: {err}; write it again with "
            "`melstream availability reclassify`"
        ) from err
    return apply_reclassified(attempts, changed)


def apply_reclassified(attempts: pa.Table, changed: pa.Table) -> pa.Table:
    """Return attempts with the codes and groups that a table of `RECLASSIFIED_SCHEMA` gives."""
    place = pc.index_in(_keys(attempts), value_set=_keys(changed).combine_chunks())
    for name in ("code", "group"):
        new = pc.coalesce(changed[name].combine_chunks().take(place), attempts[name])
        attempts = attempts.set_column(
            attempts.schema.get_field_index(name), attempts.schema.field(name), new
        )
    return attempts


def _keys(table: pa.Table) -> pa.ChunkedArray:
    texts = [pc.cast(table[name], pa.string()) for name in _KEY]
    return pc.binary_join_element_wise(*texts, "\x1f")


def _may_change() -> pc.Expression:
    has_evidence = (
        (pc.field("text") != "")
        | (pc.list_value_length(pc.field("exceptions")) > 0)
        | (pc.list_value_length(pc.field("playability")) > 0)
        | pc.field("http_status").is_valid()
    )
    is_ours = pc.field("code").isin(sorted(OUR_CODES))
    return has_evidence & ~is_ours & (pc.field("rules_version") != RULES_VERSION)


def _changed_rows(attempts: pa.Table) -> Iterator[dict[str, Any]]:
    for row in attempts.to_pylist():
        code, group = classify_evidence(_evidence(row))
        if code != Code.UNKNOWN and (code, group) != (row["code"], row["group"]):
            key = {name: row[name] for name in _KEY}
            yield key | {"old_code": row["code"], "code": code, "group": group}


def _evidence(row: dict[str, Any]) -> Evidence:
    values: dict[str, Any] = {name: row[name] for name in EVIDENCE_COLUMNS}
    for name, value in values.items():
        if isinstance(value, list):
            values[name] = tuple(value)
    return Evidence(**values)

"""The attempts log on disk: one flat row a try, the same as JSON line and as table."""

import json
import operator
from typing import Any, Final

import pyarrow as pa

from jobs.availability.attempt import Attempt, Vantage
from jobs.availability.outcome import Evidence

ATTEMPTS_FOLDER: Final = "availability/attempts"
ATTEMPTS_TABLE_NAME: Final = "availability/attempts.parquet"

_STRINGS = pa.list_(pa.field("item", pa.string(), nullable=False))

ATTEMPTS_SCHEMA: Final = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("attempt", pa.int32(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("video_id", pa.string()),
        pa.field("start_seconds", pa.float64()),
        pa.field("stop_seconds", pa.float64()),
        pa.field("time_utc", pa.string(), nullable=False),
        pa.field("code", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        # The evidence.
        pa.field("text", pa.string(), nullable=False),
        pa.field("exceptions", _STRINGS, nullable=False),
        pa.field("http_status", pa.int32()),
        pa.field("errno", pa.int32()),
        pa.field("is_media", pa.bool_(), nullable=False),
        pa.field("is_expected", pa.bool_()),
        pa.field("playability", _STRINGS, nullable=False),
        pa.field("countries", _STRINGS, nullable=False),
        pa.field("warnings", _STRINGS, nullable=False),
        pa.field("retry_after_seconds", pa.float64()),  # null in logs of before it was kept
        pa.field("expected", pa.string(), nullable=False),
        pa.field("got", pa.string(), nullable=False),
        # How and from where.
        pa.field("tool", pa.string(), nullable=False),
        pa.field("rules_version", pa.int32(), nullable=False),
        pa.field("region", pa.string(), nullable=False),
        pa.field("is_authenticated", pa.bool_(), nullable=False),
        pa.field("is_proxied", pa.bool_(), nullable=False),
        pa.field("client", pa.string(), nullable=False),
        pa.field("num_bytes", pa.int64(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("canary_state", pa.string(), nullable=False),
        pa.field("source_sha256", pa.string()),
        pa.field("pcm_sha256", pa.string()),
        pa.field("licence", pa.string()),
        pa.field("fetch_mode", pa.string()),  # null in logs of before it was kept
    ]
)
"""A field of `Attempt` a column, those of its evidence and vantage among them."""

EVIDENCE_COLUMNS: Final = ATTEMPTS_SCHEMA.names[
    ATTEMPTS_SCHEMA.get_field_index("text") : ATTEMPTS_SCHEMA.get_field_index("tool")
]


def _place_of(column: str) -> str:
    """Return where an attempt holds a column: `code`, `evidence.text`, `vantage.region`."""
    places = ((Attempt, ""), (Evidence, "evidence."), (Vantage, "vantage."))
    return next(f"{place}{column}" for kind, place in places if hasattr(kind, column))


_COLUMNS: Final = tuple(ATTEMPTS_SCHEMA.names)
_values_of = operator.attrgetter(*map(_place_of, _COLUMNS))


def to_row(attempt: Attempt) -> dict[str, Any]:
    """Return an attempt as a row of the log, in the order of the schema."""
    return dict(zip(_COLUMNS, _values_of(attempt), strict=True))


def to_line(attempt: Attempt) -> bytes:
    """Return an attempt as a line of JSON.

    Raises:
        ValueError: a number is not finite.
    """
    line = json.dumps(to_row(attempt), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return line.encode("utf-8", "replace") + b"\n"

"""Attempts, listings and logs by what matters in a test."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.availability.attempt import Attempt, Vantage
from jobs.availability.listing import LISTING_SCHEMA
from jobs.availability.log import ATTEMPTS_SCHEMA, AttemptsLog
from jobs.availability.log_schema import to_row
from jobs.availability.outcome import GROUPS, Code, Evidence
from shardwriter.storage import Store

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(hours: float) -> str:
    """A time so many hours after the first run began."""
    time = START + timedelta(hours=hours)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def attempt(clip_id: str = "a", code: Code = Code.OK, **fields: Any) -> Attempt:
    evidence = {
        name: fields.pop(name) for name in list(fields) if name in Evidence.__dataclass_fields__
    }
    defaults: dict[str, Any] = {
        "run_id": "run-1",
        "attempt": 1,
        "source": "youtube",
        "clip_id": clip_id,
        "video_id": None,
        "start_seconds": 30.0,
        "stop_seconds": 40.0,
        "time_utc": at(0),
        "code": code,
        "group": GROUPS[code],
        "evidence": Evidence(**evidence),
        "tool": "yt-dlp 2026.10.26",
        "rules_version": 1,
        "vantage": Vantage(),
        "client": "",
        "num_bytes": 1000,
        "seconds": 0.5,
        "canary_state": "ok",
    }
    return Attempt(**(defaults | fields))


def attempts_table(attempts: Iterable[Attempt]) -> pa.Table:
    return pa.Table.from_pylist([to_row(one) for one in attempts], schema=ATTEMPTS_SCHEMA)


def listing(clip_ids: Sequence[str]) -> pa.Table:
    rows = [
        {"clip_id": clip_id, "split": "train", "labels": ["dog"], "video_id": f"video-{clip_id}"}
        for clip_id in clip_ids
    ]
    return pa.Table.from_pylist(rows, schema=LISTING_SCHEMA)


def write_log(store: Store, attempts: Sequence[Attempt], folder: Path) -> None:
    """Publish attempts as the parts of their runs."""
    for run_id in sorted({one.run_id for one in attempts}):
        with AttemptsLog(store, run_id=run_id, worker="w0", journal_folder=folder) as log:
            for one in attempts:
                if one.run_id == run_id:
                    log.append(one)

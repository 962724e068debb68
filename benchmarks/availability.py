"""How long and how much memory the state of every clip takes, from a log of millions of attempts.

`python -m benchmarks.availability --attempts 2000000`
"""

import argparse
import itertools
import json
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from benchmarks.machine import write_results
from jobs.availability.attempt import Attempt, Vantage
from jobs.availability.classifier import classify
from jobs.availability.log import part_name, read_attempts
from jobs.availability.log_schema import to_line
from jobs.availability.outcome import Code, Evidence, Group, Outcome
from jobs.availability.reduction import REDUCED_COLUMNS, reduce_attempts
from jobs.availability.snapshot import write_snapshot
from shardwriter.storage import LocalStore

_ROWS_PER_PART = 10_000
_NUM_RUNS = 2
_START = datetime(2026, 1, 1, tzinfo=UTC)
_CLIP, _RUN, _TIME = "@clip@", "@run@", "@time@"
_FAILURES = (
    "ERROR: [youtube] abc: Private video. Sign in if you've been granted access to this video.",
    "ERROR: [youtube] abc: Video unavailable",
    "ERROR: [youtube] abc: Sign in to confirm you're not a bot.",
    "ERROR: [youtube] abc: Video unavailable. This video is no longer available because the "
    "YouTube account associated with this video has been terminated.",
)


def _lines() -> list[str]:
    """Return ten lines of a log, six of them alive, with marks for what differs."""
    ok = Outcome(code=Code.OK, group=Group.OK, evidence=Evidence(), rules_version=1)
    outcomes = [*[ok] * 6, *(classify(text) for text in _FAILURES)]
    return [to_line(_attempt(outcome)).decode() for outcome in outcomes]


def _attempt(outcome: Outcome) -> Attempt:
    digest = "0" * 64 if outcome.group == Group.OK else None
    return Attempt(
        run_id=_RUN, attempt=1, source="youtube", clip_id=_CLIP, video_id="abcdefghijk",
        start_seconds=30.0, stop_seconds=40.0, time_utc=_TIME, code=outcome.code,
        group=outcome.group, evidence=outcome.evidence, tool="yt-dlp 2026.10.26",
        rules_version=outcome.rules_version, vantage=Vantage(region="eu"), client="visionos",
        num_bytes=2_000_000, seconds=4.5, canary_state="ok", source_sha256=digest,
        pcm_sha256=digest,
    )  # fmt: skip


def _clip_id(number: int) -> str:
    return f"audioset/{number:011d}_30000"


def _rows(num_attempts: int) -> Iterator[str]:
    lines = _lines()
    for number in range(num_attempts):
        run, clip = number % _NUM_RUNS, number // _NUM_RUNS
        when = _START + timedelta(days=20 * run, milliseconds=clip)
        line = lines[clip * 7 % len(lines)].replace(_CLIP, _clip_id(clip))
        line = line.replace(_TIME, when.isoformat(timespec="milliseconds")[:23] + "Z")
        yield line.replace(_RUN, f"run-{run}")


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    """Make a log, read it, reduce it, write the snapshot; print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=2_000_000)
    num_attempts = parser.parse_args().attempts
    with tempfile.TemporaryDirectory() as folder:
        store = LocalStore(Path(folder))
        rows = _rows(num_attempts)
        for number in itertools.count():
            part = "".join(itertools.islice(rows, _ROWS_PER_PART))
            if not part:
                break
            store.put(part_name("run", "w0", number), part.encode())
        listing = pa.table({"clip_id": [_clip_id(number) for number in range(num_attempts)]})
        before = _peak_gb()
        steps: list[tuple[str, float, float]] = []

        def done(step: str, start: tuple[float, float]) -> tuple[float, float]:
            now = time.perf_counter(), time.process_time()
            steps.append((step, now[0] - start[0], now[1] - start[1]))
            return now

        start = time.perf_counter(), time.process_time()
        attempts = read_attempts(store, REDUCED_COLUMNS)
        start = done("read the log", start)
        snapshot = reduce_attempts(attempts, listing)
        start = done("reduce it to states", start)
        write_snapshot(store, "run", snapshot)
        done("write the snapshot", start)
    states = {row["values"]: row["counts"] for row in snapshot["state"].value_counts().to_pylist()}
    table = [(step, f"{wall:.1f} s", f"{cpu:.1f} s") for step, wall, cpu in steps]
    total = [sum(step[column] for step in steps) for column in (1, 2)]
    write_results(
        "availability",
        title=f"{num_attempts:,} attempts to the states of {num_attempts:,} listed clips",
        header=["step", "wall clock", "CPU"],
        rows=[*table, ("all", f"{total[0]:.1f} s", f"{total[1]:.1f} s")],
        notes=[
            f"Peak memory {_peak_gb():.2f} GB, of which {before:.2f} GB before the first step. "
            f"Load average of the last 5 minutes: {os.getloadavg()[1]:.1f}, one is the benchmark's."
        ],
        data={"steps": steps, "peak_gb": _peak_gb(), "states": states},
        command=f"python -m benchmarks.availability --attempts {num_attempts}",
    )
    print(json.dumps(states))


if __name__ == "__main__":
    main()

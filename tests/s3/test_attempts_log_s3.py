"""The attempts log and its snapshots on a real S3 server."""

from pathlib import Path

from jobs.availability.log import AttemptsLog, part_name, read_attempts, write_attempts_table
from jobs.availability.reduction import reduce_attempts
from jobs.availability.snapshot import read_snapshot, write_snapshot
from shardwriter.s3 import S3Store
from tests.jobs.availability.builders import at, attempt, attempts_table, listing


def test_parts_are_numbered_on_and_read_together(near: S3Store, tmp_path: Path) -> None:
    for worker in ("w0", "w1", "w0"):
        with AttemptsLog(
            near, run_id="run-1", worker=worker, journal_folder=tmp_path, rows_per_part=2
        ) as log:
            for clip in "abc":
                log.append(attempt(f"{worker}-{clip}"))
    names = sorted(near.names("availability/attempts"))
    expected = [("w0", 4), ("w1", 2)]
    assert names == [part_name("run-1", name, n) for name, count in expected for n in range(count)]
    assert read_attempts(near)["clip_id"].to_pylist() == [
        *("w0-a", "w0-b", "w0-c", "w0-a", "w0-b", "w0-c", "w1-a", "w1-b", "w1-c")
    ]
    assert write_attempts_table(near) == 9


def test_newest_snapshot_is_found(near: S3Store) -> None:
    tables = [
        reduce_attempts(attempts_table([attempt("a", time_utc=at(hours))]), listing(["a"]))
        for hours in (48, 24)
    ]
    for run_id, table in zip("ab", tables, strict=True):
        write_snapshot(near, run_id, table)
    assert read_snapshot(near).equals(tables[0])

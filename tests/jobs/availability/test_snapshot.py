"""Snapshots in a store: which is the newest, and what a damaged one says."""

from pathlib import Path

import pyarrow as pa
import pytest

from jobs.availability.reduction import reduce_attempts
from jobs.availability.snapshot import (
    read_snapshot,
    snapshot_name,
    snapshot_run_ids,
    write_snapshot,
)
from shardwriter.errors import ConfigError, ShardFormatError
from shardwriter.storage import LocalStore
from tests.jobs.availability.builders import at, attempt, attempts_table, listing


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "dataset")


def snapshot(hours: float) -> pa.Table:
    return reduce_attempts(attempts_table([attempt("a", time_utc=at(hours))]), listing(["a", "b"]))


def test_snapshot_comes_back_as_it_was_written(store: LocalStore) -> None:
    write_snapshot(store, "run-1", snapshot(0))
    assert read_snapshot(store, "run-1").equals(snapshot(0))
    assert read_snapshot(store).schema.metadata is None


def test_newest_snapshot_is_the_one_that_knows_the_newest_attempt(store: LocalStore) -> None:
    write_snapshot(store, "b", snapshot(48))
    write_snapshot(store, "a", snapshot(72))
    write_snapshot(store, "c", snapshot(24))
    assert snapshot_run_ids(store) == ["c", "b", "a"]
    assert read_snapshot(store).equals(snapshot(72))


def test_run_that_goes_on_replaces_its_snapshot(store: LocalStore) -> None:
    write_snapshot(store, "run-1", snapshot(0))
    write_snapshot(store, "run-1", snapshot(1))
    assert read_snapshot(store, "run-1").equals(snapshot(1))


def test_missing_snapshot_is_said(store: LocalStore) -> None:
    with pytest.raises(ConfigError, match="has no snapshot; a run writes one when it ends"):
        read_snapshot(store)
    with pytest.raises(ConfigError, match="has no snapshot of run 'x'"):
        read_snapshot(store, "x")


@pytest.mark.parametrize("keep", [0, 7, 300])
def test_damaged_snapshot_is_named(store: LocalStore, keep: int) -> None:
    write_snapshot(store, "run-1", snapshot(0))
    data = store.read(snapshot_name("run-1"))
    store.put(snapshot_name("run-1"), data[:keep], replace=True)
    for run_id in (None, "run-1"):
        with pytest.raises(ShardFormatError, match=r"snapshots/run-1\.parquet: not a snapshot"):
            read_snapshot(store, run_id)


def test_table_of_other_columns_is_refused(store: LocalStore) -> None:
    with pytest.raises(ValueError, match="not a snapshot"):
        write_snapshot(store, "run-1", pa.table({"clip_id": ["a"]}))

"""Runs of a dataset, and the snapshots they left, by the words of a user."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from jobs.availability.listing import LISTING_NAME, read_listing
from jobs.availability.snapshot import read_snapshot, snapshot_run_ids
from shardwriter.errors import ConfigError
from shardwriter.storage import Store

# The other hashes and times are most of the bytes, and a report may hold two snapshots.
_COLUMNS = ["clip_id", "state", "code", "last_attempt", "verdict_strength", "pcm_sha256"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """A run's snapshot."""

    url: str
    run_id: str
    snapshot: pa.Table
    """Columns of `SNAPSHOT_SCHEMA` that are told, compared or listed."""


def load_run(store: Store, run_id: str | None = None) -> Run:
    """Load a run's snapshot, or the latest.

    Raises:
        ConfigError: the dataset has no snapshot, or none of this name.
        ShardFormatError: the snapshot is damaged.
    """
    known = snapshot_run_ids(store)
    if not known:
        raise ConfigError(
            f"{store.url} has no availability snapshot: either no dataset is there, or its ingest "
            "kept no log of what it tried; run `melstream ingest` on it"
        )
    if run_id is not None and run_id not in known:
        raise ConfigError(f"{store.url} has no run {run_id!r}; it has: {', '.join(known)}")
    chosen = run_id or known[-1]
    return Run(
        url=store.url,
        run_id=chosen,
        snapshot=read_snapshot(store, chosen, columns=_COLUMNS).select(_COLUMNS),
    )


def run_before(store: Store, run_id: str) -> str | None:
    """Return the run that came before another, None for the first or one that is not known."""
    known = snapshot_run_ids(store)
    place = known.index(run_id) if run_id in known else 0
    return known[place - 1] if place else None


def in_split(store: Store, snapshot: pa.Table, split: str) -> pa.Table:
    """Return the rows of the clips that the dataset lists in a split.

    Raises:
        ConfigError: there is no listing, or no such split in it.
    """
    listing, _ = read_listing(store)
    rows = listing.filter(pc.field("split") == split)
    if not len(rows):
        known = ", ".join(sorted(pc.unique(listing["split"]).to_pylist()))
        raise ConfigError(f"{store.url}/{LISTING_NAME} has no split {split!r}; it has: {known}")
    return snapshot.filter(pc.is_in(snapshot["clip_id"], value_set=rows["clip_id"]))

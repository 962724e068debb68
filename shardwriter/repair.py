"""Rebuild `.idx`, `index/<split>.parquet`, parts and `dataset.json` from the tars alone."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from shardwriter.errors import ConfigError, ShardFormatError
from shardwriter.index import idx_table, idx_to_bytes, read_idx, total_seconds
from shardwriter.json_form import Json, check_version, parse_json
from shardwriter.manifest import Manifest, build_manifest, load_manifest
from shardwriter.publish import put_indexes
from shardwriter.rebuild import DatasetTraits, RebuiltShard
from shardwriter.schema import MANIFEST_NAME, Settings, ShardEntry
from shardwriter.shard_names import TarName, idx_name, index_name, part_name
from shardwriter.storage import Store

_PROVENANCE: Json = {
    "note": "dataset.json was lost and rebuilt from the tars; how the audio was made is not known"
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDataset:
    """What manifest and parts still say of a dataset."""

    manifest: Manifest | None
    entries: Mapping[str, ShardEntry]
    """The manifest's, or without one those of the parts; by name of the tar."""
    changes: tuple[str, ...]
    """What was found to be unreadable, and counts as lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What a repair changed, and what it would not touch."""

    changes: tuple[str, ...]
    refusals: tuple[str, ...]
    """Tars that are damaged or not those of the manifest; while there are any, the splits'
    indexes and `dataset.json` stay as they are."""


def load_known(store: Store) -> KnownDataset:
    """Load what there is of manifest and parts; a damaged one counts as lost."""
    changes = []
    manifest = None
    try:
        manifest = load_manifest(store)
    except ConfigError:
        changes.append(f"{MANIFEST_NAME} is not there")
    except ShardFormatError as err:
        changes.append(f"{MANIFEST_NAME} is damaged: {err}")
    if manifest is not None:
        return KnownDataset(
            manifest=manifest,
            entries={entry.tar: entry for entry in manifest.shards},
            changes=(),
        )
    entries = {}
    for name in sorted(store.names("parts/")):
        try:
            row = parse_json(store.read(name), where=f"{store.url}/{name}")
            check_version(row, where=f"{store.url}/{name}")
            entry = ShardEntry.from_json(row, where=f"{store.url}/{name}")
            entries[entry.tar] = entry
        except ShardFormatError as err:
            changes.append(f"{name} is damaged: {err}")
    return KnownDataset(manifest=None, entries=entries, changes=tuple(changes))


def tars_to_read(store: Store, known: KnownDataset) -> list[str]:
    """Return the tars of the manifest; without one, all that are there or that a part names.

    Raises:
        ConfigError: there is no tar.
    """
    if known.manifest is not None:
        return [entry.tar for entry in known.manifest.shards]
    there = {name for name in store.names("") if TarName.parse(name)}
    tars = sorted(there | known.entries.keys())
    if not tars:
        raise ConfigError(f"{store.url} holds no shard (<split>/<name>-NNNNNN.tar) to index")
    return tars


def repair_indexes(
    store: Store, known: KnownDataset, shards: Iterable[RebuiltShard | str]
) -> Repair:
    """Write what is lost or wrong; the caller holds the store's lock.

    A tar whose bytes are not those of the manifest (or of its part) is never given an index that
    makes it look right: it is refused.

    Args:
        store: Where the dataset lies.
        known: What `load_known` returned.
        shards: The rebuilt shards, one by one; for a tar that can't be read, why.

    Raises:
        ConfigError: without a manifest, the shards don't belong to one dataset.
        StorageError: the store can't be written.
    """
    changes, refusals = list(known.changes), []
    entries: list[ShardEntry] = []
    traits = DatasetTraits()
    for shard in shards:
        if isinstance(shard, str):
            refusals.append(shard)
            continue
        problem = _refusal(store, known, shard)
        if problem is not None:
            refusals.append(problem)
            continue
        entry, idx_change = _repair_idx(store, known, shard)
        entries.append(entry)
        changes += idx_change
        traits.add(shard)
    if refusals:
        return Repair(changes=tuple(changes), refusals=tuple(refusals))
    if known.manifest is None:
        settings, lost = traits.settings()
        changes += lost
        if any(entry.settings_digest != settings.digest for entry in known.entries.values()):
            changes.append(
                "the settings in the parts were others than the tars tell (labels or classes that "
                "no clip has, how the audio was processed): an ingest can't go on in this dataset"
            )
    else:
        settings = known.manifest.settings
    changes += _repair_rest(store, known, entries, settings)
    return Repair(changes=tuple(changes), refusals=())


def _refusal(store: Store, known: KnownDataset, shard: RebuiltShard) -> str | None:
    entry = known.entries.get(shard.tar)
    if entry is None or (entry.sha256, entry.num_bytes) == (shard.sha256, shard.num_bytes):
        return None
    listed = MANIFEST_NAME if known.manifest is not None else part_name(shard.tar)
    return (
        f"{store.url}/{shard.tar}: expected {entry.num_bytes} bytes with SHA-256 {entry.sha256}, "
        f"got {shard.num_bytes} with {shard.sha256}; the tar is not the one that {listed} lists: "
        f"restore it, or remove {MANIFEST_NAME} and parts/ if you know that the tars are right"
    )


def _repair_idx(
    store: Store, known: KnownDataset, shard: RebuiltShard
) -> tuple[ShardEntry, list[str]]:
    """Write the shard's `.idx` if it is not what the tar says; return the entry as it should be."""
    name = idx_name(shard.tar)
    expected = known.entries.get(shard.tar)
    held, state = _held_idx(store, name, shard)
    if state is None and expected is not None:
        same = hashlib.sha256(held).hexdigest() == expected.idx_sha256
        state = None if same else "is not the one of its part"
    if state is not None:
        held = idx_to_bytes(shard.rows)
        store.put(name, held, replace=True)
    entry = ShardEntry(
        tar=shard.tar,
        split=shard.split,
        num_samples=len(shard.rows),
        num_bytes=shard.num_bytes,
        duration_seconds=total_seconds(shard.rows),
        sha256=shard.sha256,
        idx_sha256=hashlib.sha256(held).hexdigest(),
        settings_digest="",  # follows when the settings are known
    )
    return entry, [] if state is None else [f"{name} {state}: rebuilt"]


def _held_idx(store: Store, name: str, shard: RebuiltShard) -> tuple[bytes, str | None]:
    """Return the `.idx` that is there, and what is wrong with it."""
    if not store.exists(name):
        return b"", "was missing"
    held = store.read(name)
    try:
        table = read_idx(held, where=name)
    except ShardFormatError:
        return held, "was damaged"
    return held, None if table.equals(idx_table(shard.rows)) else "differed from its tar"


def _repair_rest(
    store: Store, known: KnownDataset, entries: Sequence[ShardEntry], settings: Settings
) -> list[str]:
    """Write parts, the splits' indexes and the manifest where they differ."""
    changes = []
    ready = [replace(entry, settings_digest=settings.digest) for entry in entries]
    for entry in ready:
        changes += _put_if_other(store, part_name(entry.tar), entry.to_json_bytes())
    before = {split: _sha256_of(store, index_name(split)) for split in {e.split for e in ready}}
    index_sha256, _ = put_indexes(store, ready)
    for split, sha256 in index_sha256.items():
        if before[split] != sha256:
            changes.append(f"{index_name(split)} {_state(before[split])}: rebuilt")
    manifest = build_manifest(
        settings,
        ready,
        index_sha256=index_sha256,
        provenance=known.manifest.provenance if known.manifest is not None else _PROVENANCE,
    )
    return changes + _put_if_other(store, MANIFEST_NAME, manifest.to_json_bytes())


def _put_if_other(store: Store, name: str, data: bytes) -> list[str]:
    held = _sha256_of(store, name)
    if held == hashlib.sha256(data).hexdigest():
        return []
    store.put(name, data, replace=True)
    return [f"{name} {_state(held)}: rebuilt"]


def _state(held_sha256: str | None) -> str:
    return "was missing" if held_sha256 is None else "differed from the shards"


def _sha256_of(store: Store, name: str) -> str | None:
    return hashlib.sha256(store.read(name)).hexdigest() if store.exists(name) else None

"""What follows when shards are there: which of them make the dataset, its indexes, its manifest."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from shardwriter.errors import ConfigError, GroupStraddlesError, ShardFormatError
from shardwriter.index import idx_to_bytes, merge_idx, read_idx
from shardwriter.json_form import Json
from shardwriter.manifest import Manifest, build_manifest, load_manifest, load_parts
from shardwriter.overlaps import (
    DUPLICATES_NAME,
    GROUPS_NAME,
    DuplicateAudio,
    GroupRule,
    StraddlingGroup,
    find_duplicates,
    find_straddling_groups,
    overlap_columns,
)
from shardwriter.schema import MANIFEST_NAME, Settings, ShardEntry
from shardwriter.shard_names import TarName, idx_name, index_name, part_name
from shardwriter.storage import Store
from shardwriter.tarshard import TarShard

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldShards:
    """The shards of a target that are done."""

    entries: tuple[ShardEntry, ...]
    """Those that make the dataset: no clip lies in two of them."""
    keys: frozenset[str]
    split_of_group: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What publishing a manifest found."""

    manifest: Manifest
    straddling_groups: tuple[StraddlingGroup, ...]
    duplicates: tuple[DuplicateAudio, ...]


def load_held(store: Store, settings: Settings) -> HeldShards:
    """Load what is done in a target, and refuse what can't be gone on with.

    Two writers that should not have worked at once, or a machine that was given up and came back,
    may have written a clip twice. Then the first shard counts: one of the published manifest
    before others, otherwise in order of name. The other is left out whole; a clip that only it
    held counts as not written.

    Raises:
        ConfigError: shards of other settings.
        ShardFormatError: a part or an index is damaged, or one of the manifest's is not there.
        StorageError: the store can't be read.
    """
    published = _published_shards(store)  # before the parts, which other writers may add to
    entries = load_parts(store)
    _refuse_other_settings(store, entries, settings)
    for shard in published:
        if shard not in entries:
            raise ShardFormatError(
                f"{store.url}/{part_name(shard.tar)} is not there or contradicts "
                f"{MANIFEST_NAME}: copy it again, or ingest to another target"
            )
    keys: set[str] = set()
    split_of_group: dict[str, str] = {}
    accepted = []
    was_published = {shard.tar for shard in published}
    for entry in sorted(entries, key=lambda entry: (entry.tar not in was_published, entry.tar)):
        table = load_idx(store, entry.tar)
        own_keys = table.column("key").to_pylist()
        if not keys.isdisjoint(own_keys):
            logger.warning(
                "shard left out url=%s tar=%s: another shard holds clips of it, two writers were "
                "at work; it may be removed with its part",
                store.url,
                entry.tar,
            )
            continue
        keys.update(own_keys)
        groups = pc.unique(table.column("group")).drop_null().to_pylist()
        split_of_group.update(dict.fromkeys(groups, entry.split))
        accepted.append(entry)
    accepted.sort(key=lambda entry: entry.tar)
    return HeldShards(entries=tuple(accepted), keys=frozenset(keys), split_of_group=split_of_group)


def load_held_of_lane(store: Store, settings: Settings, lane: str) -> HeldShards:
    """Load what one of several writers has done; of the others it takes no notice."""
    entries = [entry for entry in load_parts(store, lane=lane) if _lane_of(entry) == lane]
    _refuse_other_settings(store, entries, settings)
    tables = [load_idx(store, entry.tar) for entry in entries]
    keys = frozenset(key for table in tables for key in table.column("key").to_pylist())
    return HeldShards(entries=tuple(entries), keys=keys, split_of_group={})


def publish_manifest(
    store: Store,
    settings: Settings,
    entries: Sequence[ShardEntry],
    *,
    provenance: Json,
    group_rule: GroupRule = "report",
) -> Published:
    """Write the splits' indexes, what overlaps, and `dataset.json` last.

    Raises:
        ConfigError: there is no shard.
        GroupStraddlesError: a group lies in two splits, and `group_rule` forbids it.
        StorageError: the store can't be written.
    """
    if not entries:
        raise ConfigError(
            f"no sample was written to {store.url}, so there is no dataset to publish"
        )
    index_sha256, overlaps = put_indexes(store, entries)
    duplicates = find_duplicates(overlaps)
    straddling = find_straddling_groups(overlaps) if group_rule != "ignore" else ()
    if straddling and group_rule == "refuse":
        raise _straddles(straddling[0], overlaps)
    for name, rows in ((DUPLICATES_NAME, duplicates), (GROUPS_NAME, straddling)):
        if rows:
            store.put(name, b"".join(row.to_json_bytes() for row in rows), replace=True)
    manifest = build_manifest(
        settings,
        entries,
        index_sha256=index_sha256,
        provenance={**provenance, **store.provenance()},
    )
    store.put(MANIFEST_NAME, manifest.to_json_bytes(), replace=True)
    return Published(manifest=manifest, straddling_groups=straddling, duplicates=duplicates)


def publish_shard(
    store: Store, shard: TarShard, *, put_tar: Callable[[], str], split: str, settings: Settings
) -> ShardEntry:
    """Publish a shard: the tar, then its index, then the part that says it is done.

    Args:
        store: Where to.
        shard: What was written; it is closed here.
        put_tar: Puts the shard's file into the store, and returns its name there.
        split: The split of all of its samples.
        settings: Of the dataset.
    """
    sha256 = shard.close()
    num_bytes = shard.path.stat().st_size
    tar = put_tar()
    idx = idx_to_bytes(shard.rows)
    entry = ShardEntry(
        tar=tar,
        split=split,
        num_samples=len(shard.rows),
        num_bytes=num_bytes,
        duration_seconds=shard.duration_seconds,
        sha256=sha256,
        idx_sha256=hashlib.sha256(idx).hexdigest(),
        settings_digest=settings.digest,
    )
    store.put(idx_name(tar), idx)
    store.put(part_name(tar), entry.to_json_bytes())
    return entry


def merge_lanes(
    store: Store, settings: Settings, *, provenance: Json, group_rule: GroupRule = "report"
) -> Published:
    """Publish the shards of all writers as one dataset; any number may do so at once.

    The same shards give the same bytes, so it doesn't matter who is last. Whoever finds that
    shards came while it was at it starts again: the manifest that stays lists them all.

    Raises:
        ConfigError: there is no shard, or some are of other settings.
        GroupStraddlesError: a group lies in two splits, and `group_rule` forbids it.
        ShardFormatError: a part or an index is damaged.
        StorageError: the store can't be read or written.
    """
    while True:
        before = set(store.names("parts/"))
        held = load_held(store, settings)
        published = publish_manifest(
            store, settings, held.entries, provenance=provenance, group_rule=group_rule
        )
        if set(store.names("parts/")) == before:
            return published


def load_idx(store: Store, tar: str) -> pa.Table:
    """Load a shard's own index.

    Raises:
        StorageError: it is not there.
        ShardFormatError: it is damaged.
    """
    name = idx_name(tar)
    return read_idx(store.read(name), where=f"{store.url}/{name}")


def put_indexes(
    store: Store, entries: Sequence[ShardEntry]
) -> tuple[dict[str, str], list[pa.Table]]:
    """Write `index/<split>.parquet` of every split from the shards' `.idx` files.

    Returns:
        The SHA-256 of each split's index, and for each shard, in the manifest's order, what
        `shardwriter.overlaps` needs.
    """
    sha256: dict[str, str] = {}
    overlaps: list[pa.Table] = []
    for split in sorted({entry.split for entry in entries}):
        tars = sorted(entry.tar for entry in entries if entry.split == split)
        tables = [(tar, load_idx(store, tar)) for tar in tars]
        index = merge_idx(tables)
        store.put(index_name(split), index, replace=True)
        sha256[split] = hashlib.sha256(index).hexdigest()
        overlaps.extend(overlap_columns(split, table) for _, table in tables)
    return sha256, overlaps


def _straddles(found: StraddlingGroup, overlaps: Sequence[pa.Table]) -> GroupStraddlesError:
    other_split, split, *_ = found.num_clips
    rows = pa.concat_tables(overlaps)
    is_one = pc.and_(pc.equal(rows["group"], found.group), pc.equal(rows["split"], split))
    key = rows.filter(is_one)["key"][0].as_py()
    return GroupStraddlesError(group=found.group, key=key, split=split, other_split=other_split)


def _published_shards(store: Store) -> tuple[ShardEntry, ...]:
    try:
        return load_manifest(store).shards
    except (ConfigError, ShardFormatError):
        return ()  # none yet, or a damaged one, which the parts will replace


def _lane_of(entry: ShardEntry) -> str:
    tar = TarName.parse(entry.tar)
    return tar.lane if tar else ""


def _refuse_other_settings(store: Store, entries: Sequence[ShardEntry], settings: Settings) -> None:
    for entry in entries:
        if entry.settings_digest != settings.digest:
            raise ConfigError(
                f"{store.url}/{entry.tar} was written with other settings (name, audio "
                "format, processing or labels); use the same settings to go on, or choose "
                "another target"
            )

"""An index, parts and a manifest beside shards that others made; the shards stay untouched."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from shardwriter.audio_format import FOREIGN_CODEC, AudioFormat
from shardwriter.errors import ConfigError, StorageError
from shardwriter.foreign import ForeignShard
from shardwriter.foreign_labels import (
    LabelError,
    build_vocabulary,
    label_ids,
)
from shardwriter.index import IndexRow, idx_to_bytes, index_rows, read_idx, total_seconds
from shardwriter.json_form import Json
from shardwriter.manifest import Manifest, build_manifest
from shardwriter.publish import put_indexes
from shardwriter.schema import (
    MANIFEST_NAME,
    ForeignFormat,
    Rejection,
    RejectionReason,
    Settings,
    ShardEntry,
)
from shardwriter.shard_names import idx_name, part_name
from shardwriter.storage import Store

_AS_FOUND = AudioFormat(
    codec=FOREIGN_CODEC, sample_rate_hz=0, num_channels=0, bits_per_sample=0, frame_num_samples=0
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignIndex:
    """What indexing foreign shards came to."""

    manifest: Manifest
    rejections: tuple[Rejection, ...]
    num_ignored_members: int
    audio_kinds: Mapping[tuple[str, int, int], int]
    """Clips by (container, sample rate in Hz, channels)."""


def index_foreign(
    store: Store,
    split_of: Mapping[str, str],
    scanned: Iterable[ForeignShard],
    *,
    name: str,
    foreign: ForeignFormat,
    vocabulary: tuple[str, ...] | None,
    provenance: Json,
) -> ForeignIndex:
    """Write `.idx`, index, parts and manifest for foreign shards; the caller holds the lock.

    The rows wait in the store's scratch folder until the vocabulary is known, so that every byte
    of the shards is read once and memory is bounded by the labels.

    Args:
        store: Where the tars lie; the index goes beside them.
        split_of: Split of each tar.
        scanned: What `scan_foreign_shard` returned for each tar.
        name: Name of the dataset.
        foreign: How the shards were read.
        vocabulary: The labels in order of their ids; None: those that occur.
        provenance: For `dataset.json`; what audio there is goes in too.

    Raises:
        ConfigError: no usable sample, or labels that make no vocabulary.
        StorageError: the index can't be written.
    """
    shards: list[ForeignShard] = []
    kinds: Counter[tuple[str, int, int]] = Counter()
    for shard in scanned:
        kinds.update(shard.audio_kinds)
        _save_rows(store, len(shards), shard)
        shards.append(replace(shard, rows=()))
    if not kinds:
        reasons = Counter(refused.reason.value for shard in shards for refused in shard.rejections)
        raise ConfigError(f"{store.url}: no sample has audio and a label; refused: {dict(reasons)}")
    labels = vocabulary or build_vocabulary(row for shard in shards for row in shard.labels)
    settings = Settings(name=name, audio=_AS_FOUND, labels=labels, foreign=foreign)
    entries: list[ShardEntry] = []
    rejections: list[Rejection] = []
    for number, shard in enumerate(shards):
        numbered = number_labels(shard, _load_rows(store, number), labels)
        rejections += numbered.rejections
        if numbered.rows:
            entries.append(put_foreign_shard(store, numbered, settings, split_of[shard.tar]))
    index_sha256, _ = put_indexes(store, entries)
    manifest = build_manifest(
        settings,
        entries,
        index_sha256=index_sha256,
        provenance={**provenance, "audio": _describe(kinds), "num_rejected": len(rejections)},
    )
    store.put(MANIFEST_NAME, manifest.to_json_bytes(), replace=True)
    return ForeignIndex(
        manifest=manifest,
        rejections=tuple(rejections),
        num_ignored_members=sum(shard.num_ignored_members for shard in shards),
        audio_kinds=kinds,
    )


def number_labels(
    shard: ForeignShard, rows: Sequence[IndexRow], vocabulary: Sequence[str]
) -> ForeignShard:
    """Return the shard with label ids in its rows; what the vocabulary lacks is rejected."""
    positions = {label: position for position, label in enumerate(vocabulary)}
    numbered, labels, rejections = [], [], list(shard.rejections)
    for row, row_labels in zip(rows, shard.labels, strict=True):
        try:
            numbered.append(replace(row, label_ids=label_ids(row_labels, positions)))
            labels.append(row_labels)
        except LabelError as err:
            rejections.append(
                Rejection(
                    clip_id=row.key,
                    stage="index",
                    reason=RejectionReason.BAD_LABEL,
                    detail=f"{shard.tar}: {err}",
                )
            )
    return replace(shard, rows=tuple(numbered), labels=tuple(labels), rejections=tuple(rejections))


def put_foreign_shard(
    store: Store, shard: ForeignShard, settings: Settings, split: str
) -> ShardEntry:
    """Write a foreign shard's `.idx` and part."""
    idx = idx_to_bytes(shard.rows)
    entry = ShardEntry(
        tar=shard.tar,
        split=split,
        num_samples=len(shard.rows),
        num_bytes=shard.num_bytes,
        duration_seconds=total_seconds(shard.rows),
        sha256=shard.sha256,
        idx_sha256=hashlib.sha256(idx).hexdigest(),
        settings_digest=settings.digest,
    )
    store.put(idx_name(shard.tar), idx, replace=True)
    store.put(part_name(shard.tar), entry.to_json_bytes(), replace=True)
    return entry


def _save_rows(store: Store, number: int, shard: ForeignShard) -> None:
    path = store.scratch_folder / f"{number}.parquet"
    try:
        path.write_bytes(idx_to_bytes(shard.rows))
    except OSError as err:
        raise StorageError(f"{path}: {err.strerror}") from err


def _load_rows(store: Store, number: int) -> list[IndexRow]:
    path = store.scratch_folder / f"{number}.parquet"
    rows = index_rows(read_idx(path.read_bytes(), where=str(path)))
    path.unlink()
    return rows


def _describe(kinds: Mapping[tuple[str, int, int], int]) -> list[dict[str, object]]:
    return [
        {
            "container": container,
            "sample_rate_hz": sample_rate_hz,
            "num_channels": num_channels,
            "num_clips": count,
        }
        for (container, sample_rate_hz, num_channels), count in sorted(kinds.items())
    ]

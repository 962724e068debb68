"""Check a foreign shard: read it again as it was indexed, and compare."""

import hashlib
from collections.abc import Container, Iterator, Sequence

from shardwriter.foreign import ForeignShard, scan_foreign_shard
from shardwriter.foreign_index import number_labels
from shardwriter.index import IDX_SCHEMA, IndexRow, index_rows, read_idx
from shardwriter.schema import ForeignFormat, Settings, ShardEntry
from shardwriter.shard_names import idx_name
from shardwriter.storage import Store


def foreign_problems(
    store: Store,
    settings: Settings,
    foreign: ForeignFormat,
    shard: ShardEntry,
    *,
    decode: Container[int],
) -> Iterator[str]:
    """Yield how a foreign shard differs from its index and its manifest entry.

    Args:
        store: Where the dataset lies.
        settings: The manifest's settings.
        foreign: Their part about foreign shards.
        shard: The manifest's entry.
        decode: Places in the shard of the samples that are decoded too.

    Raises:
        ShardFormatError: the tar or its index is damaged.
        StorageError: one of them can't be read.
    """
    where = f"{store.url}/{shard.tar}"
    scanned = scan_foreign_shard(store, shard.tar, foreign, decode=decode)
    if scanned.num_bytes != shard.num_bytes:
        yield f"{where}: expected {shard.num_bytes} bytes, got {scanned.num_bytes}"
    if scanned.sha256 != shard.sha256:
        yield f"{where}: expected SHA-256 {shard.sha256}, got {scanned.sha256}"
    name = idx_name(shard.tar)
    idx = store.read(name)
    if hashlib.sha256(idx).hexdigest() != shard.idx_sha256:
        yield f"{store.url}/{name}: its SHA-256 is not the one in the manifest"
    held = number_labels(scanned, scanned.rows, settings.labels)
    yield from _differences(index_rows(read_idx(idx, where=f"{store.url}/{name}")), held, where)


def _differences(indexed: Sequence[IndexRow], held: ForeignShard, where: str) -> Iterator[str]:
    missing = {row.key: row for row in indexed}
    for rejection in held.rejections:
        if missing.pop(rejection.clip_id, None) is not None:
            yield f"{where}: sample {rejection.clip_id!r} is {rejection.reason}: {rejection.detail}"
    for row in held.rows:
        expected = missing.pop(row.key, None)
        here = f"{where} at byte {row.audio_offset}: sample {row.key!r}"
        if expected is None:
            yield f"{here} is not in the .idx"
        elif expected != row:
            differing = [
                column
                for column in (*IDX_SCHEMA.names, "targets")
                if getattr(expected, column) != getattr(row, column)
            ]
            yield f"{here}: the .idx has other values for {', '.join(differing)}"
    for key in missing:
        yield f"{where}: sample {key!r} of the .idx is not in the tar"

"""What follows when shards are there: the splits' indexes from the shards' own."""

import hashlib
from collections.abc import Sequence

import pyarrow as pa

from shardwriter.index import merge_idx, read_idx
from shardwriter.overlaps import overlap_columns
from shardwriter.schema import ShardEntry, idx_name, index_name
from shardwriter.storage import Store


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

"""Shards' `.idx` files that say other things than the writer's."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from loader.dataset import DatasetIndex
from shardwriter.index import idx_to_bytes, index_rows, read_idx
from shardwriter.manifest import load_manifest
from shardwriter.schema import MANIFEST_NAME
from shardwriter.shard_names import idx_name
from shardwriter.storage import open_store
from tests.loader.builders import set_column


def move_frames(
    url: str, index: DatasetIndex, move: Callable[[list[int]], list[int]], shard: int = 0
) -> DatasetIndex:
    """Write a shard's `.idx` with other frame offsets, and return an index that has its hash."""
    path = Path(url, idx_name(index.tars[shard]))
    table = read_idx(path.read_bytes(), where="")
    values = [move(row) for row in table["frame_offsets"].to_pylist()]
    data = idx_to_bytes(index_rows(set_column(table, "frame_offsets", values)))
    path.write_bytes(data)
    hashes = list(index.idx_sha256s)
    hashes[shard] = hashlib.sha256(data).hexdigest()
    return replace(index, idx_sha256s=tuple(hashes))


def move_all_frames(url: str, index: DatasetIndex, move: Callable[[list[int]], list[int]]) -> None:
    """Do so in all shards, and publish a manifest that has their hashes."""
    for shard in range(len(index.tars)):
        index = move_frames(url, index, move, shard)
    store = open_store(url)
    manifest = load_manifest(store)
    shards = tuple(
        replace(entry, idx_sha256=sha256)
        for entry, sha256 in zip(manifest.shards, index.idx_sha256s, strict=True)
    )
    data = replace(manifest, shards=shards).to_json_bytes()
    store.put(MANIFEST_NAME, data, replace=True)

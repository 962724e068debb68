"""Indices without a dataset behind them, for what only looks at arrays."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from loader.dataset import DatasetIndex
from shardwriter.storage import open_store


def make_index(
    labels_of_clips: Sequence[Sequence[int]],
    *,
    num_labels: int,
    clips_per_shard: int = 10,
    groups: Sequence[int] | None = None,
    dataset_of_shard: Sequence[int] | None = None,
) -> DatasetIndex:
    """Clips with these label ids, in shards of so many."""
    num = len(labels_of_clips)
    num_shards = -(-num // clips_per_shard)
    counts = [len(ids) for ids in labels_of_clips]
    datasets = [0] * num_shards if dataset_of_shard is None else dataset_of_shard
    return DatasetIndex(
        stores=tuple(open_store(f"/nowhere/{n}") for n in range(max(datasets) + 1)),
        digest="d" * 64,
        labels=tuple(f"label-{number}" for number in range(num_labels)),
        sample_rate_hz=8000,
        tars=tuple(f"train/x-{shard:06d}.tar" for shard in range(num_shards)),
        tar_num_bytes=(clips_per_shard,) * num_shards,
        tar_sha256s=("0" * 64,) * num_shards,
        idx_sha256s=("0" * 64,) * num_shards,
        dataset_of_shard=np.array(datasets, dtype=np.int32),
        shard_N=(np.arange(num) // clips_per_shard).astype(np.int32),
        audio_offset_N=np.zeros(num, dtype=np.int64),
        audio_num_bytes_N=np.ones(num, dtype=np.int64),
        audio_crc32c_N=np.zeros(num, dtype=np.uint32),
        num_samples_N=np.full(num, 8000, dtype=np.int64),
        fold_N=np.zeros(num, dtype=np.int32),
        group_N=np.array(groups if groups is not None else [-1] * num, dtype=np.int32),
        label_starts=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        label_ids=np.array([i for ids in labels_of_clips for i in ids], dtype=np.int32),
        keys=pa.array([f"clip-{number}" for number in range(num)], pa.large_string()),
    )

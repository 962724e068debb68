"""A split of a dataset as planning needs it: arrays, one entry a sample, no Python object each.

Axes: N samples of the selection, B rows of a batch, K labels of the vocabulary.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shardwriter.errors import ConfigError, ShardFormatError
from shardwriter.index import read_index
from shardwriter.manifest import Manifest, load_manifest
from shardwriter.schema import ShardEntry, index_name
from shardwriter.storage import Store

NO_FOLD = -(2**31)
"""Stands in `fold_N` for a sample without a fold."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DatasetIndex:
    """The selected samples of one split, in the order of its index."""

    url: str
    digest: str
    """The manifest's identity of the content."""
    split: str
    labels: tuple[str, ...]
    """The vocabulary: a label's id is its position."""
    sample_rate_hz: int
    tars: tuple[str, ...]
    """The split's shards; `shard_N` counts in it."""
    tar_num_bytes: tuple[int, ...]
    tar_sha256s: tuple[str, ...]
    shard_N: NDArray[np.int32]
    audio_offset_N: NDArray[np.int64]
    audio_num_bytes_N: NDArray[np.int64]
    audio_crc32c_N: NDArray[np.uint32]
    num_samples_N: NDArray[np.int64]
    fold_N: NDArray[np.int32]
    label_starts: NDArray[np.int64]
    """N + 1 positions: sample i's labels are `label_ids[label_starts[i] : label_starts[i + 1]]`."""
    label_ids: NDArray[np.int32]
    keys: pa.LargeStringArray

    def __len__(self) -> int:
        return len(self.shard_N)

    def keys_of(self, rows_B: NDArray[np.int64]) -> tuple[str, ...]:
        """Return the keys of some rows."""
        return tuple(self.keys.take(pa.array(rows_B)).to_pylist())

    def targets_of(self, rows_B: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the labels of some rows as a multi-hot array (B, K) of 0 and 1."""
        target_BK = np.zeros((len(rows_B), len(self.labels)), dtype=np.float32)
        for place, row in enumerate(rows_B):
            ids = self.label_ids[self.label_starts[row] : self.label_starts[row + 1]]
            target_BK[place, ids] = 1.0
        return target_BK

    def where(self, row: int) -> str:
        """Say where the audio of a row lies, for messages."""
        return (
            f"{self.url}/{self.tars[self.shard_N[row]]}: sample {self.keys[row]}, "
            f"audio at byte {self.audio_offset_N[row]}"
        )


def open_dataset(store: Store, *, split: str, folds: Sequence[int] | None) -> DatasetIndex:
    """Load the manifest and a split's index, and keep the samples of some folds.

    Rows of shards that the manifest doesn't list are left out: an ingest that tops up the
    dataset publishes the new index a moment before the new manifest.

    Args:
        store: Where the dataset lies.
        split: The split to load.
        folds: Folds to keep; `None` keeps every sample.

    Raises:
        ConfigError: no dataset, split or fold of that name, or nothing is left, or the samples
            have different rates.
        ShardFormatError: manifest and index contradict each other, or one is damaged.
    """
    manifest = load_manifest(store)
    entries = manifest.shards_of(split)
    where = f"{store.url}/{index_name(split)}"
    data = store.read(index_name(split))
    table = read_index(data, where=where)
    tars = pa.array([entry.tar for entry in entries], pa.string())
    shard = pc.index_in(table["shard"], value_set=tars)
    if shard.null_count:
        table, shard = table.filter(shard.is_valid()), shard.drop_null()
    elif hashlib.sha256(data).hexdigest() != manifest.splits[split].index_sha256:
        raise ShardFormatError(
            f"{where} is not the file that the manifest was published with (its SHA-256 "
            "differs): it is damaged or was edited; copy or ingest the dataset again"
        )
    shard_N = _to_numpy(shard, np.int32)
    _check_counts(shard_N, entries, where=where)
    # Shards come in the manifest's order, because that is the order its digest identifies.
    rows = np.argsort(shard_N, kind="stable")
    fold_N = _to_numpy(table["fold"].fill_null(NO_FOLD), np.int32)
    if folds is not None:
        rows = rows[_rows_of_folds(fold_N[rows], folds, split=split)]
    index = _select(manifest, table, shard_N, fold_N, rows, store=store, split=split)
    _check_bounds(index, entries, where=where)
    return index


def _select(
    manifest: Manifest,
    table: Any,
    shard_N: NDArray[np.int32],
    fold_N: NDArray[np.int32],
    rows: NDArray[np.int64],
    *,
    store: Store,
    split: str,
) -> DatasetIndex:
    if not len(rows):
        raise ConfigError(f"split {split!r} of {store.url} has no samples; choose another split")
    table = table.take(pa.array(rows))
    entries = manifest.shards_of(split)
    label_lists = table["label_ids"].combine_chunks()
    counts_N = _to_numpy(pc.list_value_length(label_lists), np.int64)
    return DatasetIndex(
        url=store.url,
        digest=manifest.digest,
        split=split,
        labels=manifest.settings.labels,
        sample_rate_hz=_single_rate(table["sample_rate_hz"], split=split, url=store.url),
        tars=tuple(entry.tar for entry in entries),
        tar_num_bytes=tuple(entry.num_bytes for entry in entries),
        tar_sha256s=tuple(entry.sha256 for entry in entries),
        shard_N=shard_N[rows],
        audio_offset_N=_to_numpy(table["audio_offset"], np.int64),
        audio_num_bytes_N=_to_numpy(table["audio_num_bytes"], np.int64),
        audio_crc32c_N=_to_numpy(table["audio_crc32c"], np.uint32),
        num_samples_N=_to_numpy(table["num_samples"], np.int64),
        fold_N=fold_N[rows],
        label_starts=np.concatenate(([0], np.cumsum(counts_N))),
        # A null id would become an id outside of the vocabulary, which is refused below.
        label_ids=_to_numpy(label_lists.flatten().fill_null(-1), np.int32),
        keys=table["key"].cast(pa.large_string()).combine_chunks(),
    )


def _check_counts(shard_N: NDArray[np.int32], entries: Sequence[ShardEntry], *, where: str) -> None:
    counts = np.bincount(shard_N, minlength=len(entries))
    for entry, count in zip(entries, counts, strict=True):
        if count != entry.num_samples:
            raise ShardFormatError(
                f"{where}: {entry.tar} has {count} samples there and {entry.num_samples} in the "
                "manifest; copy the whole dataset again, or ingest it again"
            )


def _check_bounds(index: DatasetIndex, entries: Sequence[ShardEntry], *, where: str) -> None:
    shard_num_bytes = np.array([entry.num_bytes for entry in entries], dtype=np.int64)
    ends_N = index.audio_offset_N + index.audio_num_bytes_N
    is_outside_N = (index.audio_offset_N < 0) | (ends_N > shard_num_bytes[index.shard_N])
    if is_outside_N.any():
        row = int(np.argmax(is_outside_N))
        raise ShardFormatError(
            f"{where}: {index.where(row)} to {ends_N[row]} is outside of the shard's "
            f"{shard_num_bytes[index.shard_N[row]]} bytes"
        )
    if (index.num_samples_N < 1).any():
        row = int(np.argmin(index.num_samples_N))
        raise ShardFormatError(f"{where}: {index.where(row)} has no samples")
    ids = index.label_ids
    if len(ids) and not 0 <= ids.min() <= ids.max() < len(index.labels):
        raise ShardFormatError(
            f"{where}: label ids from {ids.min()} to {ids.max()}, the vocabulary has "
            f"{len(index.labels)} labels"
        )


def _rows_of_folds(
    fold_N: NDArray[np.int32], folds: Sequence[int], *, split: str
) -> NDArray[np.int64]:
    existing = [int(fold) for fold in np.unique(fold_N) if fold != NO_FOLD]
    absent = sorted(set(folds) - set(existing))
    if absent:
        has = f"has the folds {existing}" if existing else "has no folds: leave folds at None"
        raise ConfigError(f"no sample of split {split!r} is in fold {absent}; the split {has}")
    return np.flatnonzero(np.isin(fold_N, list(folds)))


def _single_rate(rates: Any, *, split: str, url: str) -> int:
    distinct = sorted(pc.unique(rates).to_pylist())
    if len(distinct) > 1:
        raise ConfigError(
            f"split {split!r} of {url} mixes the sample rates {distinct} Hz, a batch has one; "
            "ingest the dataset at one rate"
        )
    return int(distinct[0])


def _to_numpy(column: Any, dtype: type[np.generic]) -> NDArray[Any]:
    return np.ascontiguousarray(column.to_numpy(), dtype=dtype)

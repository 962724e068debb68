"""The samples of datasets as planning needs them: arrays, no Python object for each sample.

Axes: N samples of the selection, B rows of a batch, K labels of the vocabulary.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from loader.arrow_arrays import as_numpy, int64_array, string_array, texts_at
from loader.filters import kept_by_targets, kept_rows
from loader.targets import TargetColumn, load_targets
from shardwriter.errors import ConfigError, ShardFormatError
from shardwriter.index import read_index
from shardwriter.manifest import Manifest, load_manifest
from shardwriter.schema import FeatureFormat, ShardEntry
from shardwriter.shard_names import index_name
from shardwriter.storage import Store

NO_FOLD = -(2**31)
"""Stands in `fold_N` for a sample without a fold."""
NO_GROUP = -1
"""Stands in `group_N` for a sample without a group."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DatasetIndex:
    """The selected samples of one or more datasets, in the order of their indices."""

    stores: tuple[Store, ...]
    """Where each dataset lies."""
    digest: str
    """Identity of the content: the manifest's, or a hash of several."""
    labels: tuple[str, ...]
    """The vocabulary: a label's id is its position."""
    sample_rate_hz: int
    tars: tuple[str, ...]
    """The shards; `shard_N` counts in them."""
    tar_num_bytes: tuple[int, ...]
    tar_sha256s: tuple[str, ...]
    idx_sha256s: tuple[str, ...]
    """Of the shards' own indices."""
    dataset_of_shard: NDArray[np.int32]
    """Each shard's place in `stores`."""
    shard_N: NDArray[np.int32]
    audio_offset_N: NDArray[np.int64]
    audio_num_bytes_N: NDArray[np.int64]
    audio_crc32c_N: NDArray[np.uint32]
    num_samples_N: NDArray[np.int64]
    fold_N: NDArray[np.int32]
    group_N: NDArray[np.int32]
    """What the catalogue keeps together, e.g. a speaker: a number from 0, or `NO_GROUP`."""
    label_starts: NDArray[np.int64]
    """N + 1 positions: sample i's labels are `label_ids[label_starts[i] : label_starts[i + 1]]`."""
    label_ids: NDArray[np.int32]
    keys: pa.LargeStringArray
    targets: Mapping[str, TargetColumn] = field(default_factory=dict)
    """What there is beside the labels, by name."""
    features: FeatureFormat | None = None
    """What the shards hold in place of audio; lengths and rate are the audio's all the same."""
    has_single_labels: bool = field(init=False)
    """Whether every sample has exactly one label."""

    def __post_init__(self) -> None:
        is_single = bool((np.diff(self.label_starts) == 1).all())
        object.__setattr__(self, "has_single_labels", is_single)

    def __len__(self) -> int:
        return len(self.shard_N)

    @property
    def dataset_N(self) -> NDArray[np.int32]:
        """Each sample's dataset, as a place in `stores`."""
        return self.dataset_of_shard[self.shard_N]

    def keys_of(self, rows_B: NDArray[np.int64]) -> tuple[str, ...]:
        """Return the keys of some rows."""
        return texts_at(self.keys, rows_B)

    def targets_of(self, rows_B: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the labels of some rows as a multi-hot array (B, K) of 0 and 1."""
        target_BK = np.zeros((len(rows_B), len(self.labels)), dtype=np.float32)
        starts_B = self.label_starts[rows_B]
        counts_B = self.label_starts[rows_B + 1] - starts_B
        # The labels of all rows, one behind the other: where each stands in `label_ids`.
        ends_B = np.cumsum(counts_B)
        at = np.arange(counts_B.sum()) + np.repeat(starts_B - (ends_B - counts_B), counts_B)
        target_BK[np.repeat(np.arange(len(rows_B)), counts_B), self.label_ids[at]] = 1.0
        return target_BK

    def single_labels_of(self, rows_B: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Return the one label of some rows; None unless every sample of the index has one."""
        if not self.has_single_labels:
            return None
        return self.label_ids[self.label_starts[rows_B]].astype(np.int64)

    def where(self, row: int) -> str:
        """Say where the audio of a row lies, for messages."""
        shard = self.shard_N[row]
        return (
            f"{self.stores[self.dataset_of_shard[shard]].url}/{self.tars[shard]}: "
            f"sample {self.keys[row]}, audio at byte {self.audio_offset_N[row]}"
        )


def open_dataset(
    store: Store,
    *,
    split: str | Sequence[str],
    folds: Sequence[int] | None,
    include_labels: Sequence[str] | None = None,
    exclude_labels: Sequence[str] = (),
    min_seconds: float | None = None,
    include_targets: Mapping[str, Sequence[str]] | None = None,
) -> DatasetIndex:
    """Load the manifest and the index of one or more splits, and keep some of the samples.

    Rows of shards that the manifest doesn't list are left out: an ingest that tops up the
    dataset publishes the new index a moment before the new manifest.

    Args:
        store: Where the dataset lies.
        split: The split to load; several are read one after the other.
        folds: Folds to keep; `None` keeps every sample.
        include_labels: Keep samples with at least one of these; `None` keeps every sample.
        exclude_labels: Leave out samples with any of these.
        min_seconds: Leave out shorter clips.
        include_targets: Keep samples whose class targets are among these; `None` keeps all.

    Raises:
        ConfigError: no dataset, split, fold, label or class of that name, or nothing is left, or
            the samples have different rates.
        ShardFormatError: manifest and index contradict each other, or one is damaged.
    """
    manifest = load_manifest(store)
    splits = (split,) if isinstance(split, str) else tuple(split)
    parts = [_load_split(store, manifest, name) for name in splits]
    entries = [entry for part in parts for entry in part.entries]
    table = pa.concat_tables([part.table for part in parts], promote_options="default")
    starts = np.cumsum([0] + [len(part.entries) for part in parts[:-1]])
    shard_N = np.concatenate(
        [part.shard_N + start for part, start in zip(parts, starts, strict=True)]
    ).astype(np.int32)
    # Shards come in the manifest's order, because that is the order its digest identifies.
    rows = np.argsort(shard_N, kind="stable")
    where = f"split {' + '.join(map(repr, splits))} of {store.url}"
    is_kept_N = kept_rows(
        table,
        manifest.settings.labels,
        folds=folds,
        include_labels=include_labels,
        exclude_labels=exclude_labels,
        min_seconds=min_seconds,
        where=where,
    )
    targets = load_targets(table, manifest.settings, where=where)
    is_kept_N &= kept_by_targets(targets, include_targets or {}, where=where)
    rows = rows[is_kept_N[rows]]
    if not len(rows):
        raise ConfigError(
            f"{where} has no samples, or none that all filters keep; choose another split, or "
            "fewer filters"
        )
    index = replace(
        _select(manifest, entries, table.take(int64_array(rows)), shard_N[rows], store, where),
        targets={
            name: replace(column, values_N=column.values_N[rows])
            for name, column in targets.items()
        },
    )
    _check_bounds(index, entries, where=where)
    return index


@dataclass(frozen=True, slots=True, kw_only=True)
class _Split:
    """The rows of a split's index, and which of its shards each is in."""

    entries: tuple[ShardEntry, ...]
    table: Any
    shard_N: NDArray[np.int32]


def _load_split(store: Store, manifest: Manifest, split: str) -> _Split:
    entries = manifest.shards_of(split)
    where = f"{store.url}/{index_name(split)}"
    data = store.read(index_name(split))
    table = read_index(data, where=where)
    tars = string_array([entry.tar for entry in entries]).cast(pa.string())
    shard = pc.index_in(table["shard"], value_set=tars)
    if shard.null_count:
        table, shard = table.filter(shard.is_valid()), shard.drop_null()
    elif hashlib.sha256(data).hexdigest() != manifest.splits[split].index_sha256:
        raise ShardFormatError(
            f"{where} is not the file that the manifest was published with (its SHA-256 "
            "differs): it is damaged or was edited; copy or ingest the dataset again"
        )
    shard_N = as_numpy(shard, np.int32)
    _check_counts(shard_N, entries, where=where)
    return _Split(entries=entries, table=table, shard_N=shard_N)


def _select(
    manifest: Manifest,
    entries: Sequence[ShardEntry],
    table: Any,
    shard_N: NDArray[np.int32],
    store: Store,
    where: str,
) -> DatasetIndex:
    label_lists = table["label_ids"].combine_chunks()
    counts_N = as_numpy(pc.list_value_length(label_lists), np.int64)
    groups = pc.dictionary_encode(table["group"]).combine_chunks()
    return DatasetIndex(
        stores=(store,),
        digest=manifest.digest,
        labels=manifest.settings.labels,
        sample_rate_hz=_single_rate(table["sample_rate_hz"], where=where),
        tars=tuple(entry.tar for entry in entries),
        tar_num_bytes=tuple(entry.num_bytes for entry in entries),
        tar_sha256s=tuple(entry.sha256 for entry in entries),
        idx_sha256s=tuple(entry.idx_sha256 for entry in entries),
        dataset_of_shard=np.zeros(len(entries), dtype=np.int32),
        shard_N=shard_N,
        audio_offset_N=as_numpy(table["audio_offset"], np.int64),
        audio_num_bytes_N=as_numpy(table["audio_num_bytes"], np.int64),
        audio_crc32c_N=as_numpy(table["audio_crc32c"], np.uint32),
        num_samples_N=as_numpy(table["num_samples"], np.int64),
        fold_N=as_numpy(table["fold"], np.int32, null=NO_FOLD),
        group_N=as_numpy(groups.indices, np.int32, null=NO_GROUP),
        label_starts=np.concatenate(([0], np.cumsum(counts_N))),
        # A null id would become an id outside of the vocabulary, which is refused below.
        label_ids=as_numpy(label_lists.flatten(), np.int32, null=-1),
        keys=table["key"].cast(pa.large_string()).combine_chunks(),
        features=manifest.settings.features,
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


def _single_rate(rates: Any, *, where: str) -> int:
    distinct = sorted(pc.unique(rates).to_pylist())
    if len(distinct) > 1:
        raise ConfigError(
            f"{where} mixes the sample rates {distinct} Hz, a batch has one; ingest its source at "
            "one (`melstream ingest ... --sample-rate HZ`; tars of others: `melstream ingest "
            "huggingface --source FOLDER`)"
        )
    return int(distinct[0])

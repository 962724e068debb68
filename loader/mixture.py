"""Several datasets as one index: labels joined by name. Pure but for opening the datasets.

Axes: N samples of all datasets, K labels of the joint vocabulary.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from loader.dataset import NO_GROUP, DatasetIndex, open_dataset
from loader.dataset_config import DatasetConfig
from loader.label_map import with_mapped_labels
from loader.targets import merge_targets
from shardwriter.errors import ConfigError
from shardwriter.schema import FeatureFormat
from shardwriter.storage import Store, open_store


def open_stores(
    selections: Sequence[DatasetConfig], given: Store | Sequence[Store] | None
) -> Sequence[Store]:
    """Return where the datasets lie: the stores that are given, or new ones by their URLs.

    Raises:
        ValueError: there are more or fewer than datasets.
    """
    if given is None:
        return [open_store(selection.url) for selection in selections]
    stores = given if isinstance(given, Sequence) else [given]
    if len(stores) != len(selections):
        raise ValueError(f"{len(stores)} stores for {len(selections)} datasets: give one for each")
    return stores


def open_datasets(stores: Sequence[Store], selections: Sequence[DatasetConfig]) -> DatasetIndex:
    """Load the selected samples of each dataset, one after the other in one index.

    Raises:
        ConfigError: a dataset, split, fold or label is not there, nothing is selected of one, or
            their sample rates differ.
        ShardFormatError: a manifest and its index contradict each other, or one is damaged.
    """
    indices = [_open(store, selection) for store, selection in zip(stores, selections, strict=True)]
    return indices[0] if len(indices) == 1 else merge(indices)


def _open(store: Store, selection: DatasetConfig) -> DatasetIndex:
    index = open_dataset(
        store,
        split=selection.splits,
        folds=selection.folds,
        include_labels=selection.include_labels,
        exclude_labels=selection.exclude_labels,
        min_seconds=selection.min_seconds,
        include_targets=selection.include_targets,
    )
    return with_mapped_labels(index, selection.label_map) if selection.label_map else index


def merge(indices: Sequence[DatasetIndex]) -> DatasetIndex:
    """Return one index over all samples; rows, shards and groups are renumbered in this order.

    A label is its name: labels of the same name become one. The joint vocabulary is the first
    dataset's, followed by what each further one adds, in its order; so it is with the classes of
    targets. Groups of different datasets are different groups.

    Raises:
        ConfigError: the sample rates differ, or the kinds of a target, or some hold features and
            others audio or other features.
    """
    rates = {index.stores[0].url: index.sample_rate_hz for index in indices}
    if len(set(rates.values())) > 1:
        shown = ", ".join(f"{url}: {rate} Hz" for url, rate in rates.items())
        raise ConfigError(
            f"datasets of different sample rates can't share a batch ({shown}); ingest them at one"
        )
    features = _same_features(indices)
    labels = tuple(dict.fromkeys(label for index in indices for label in index.labels))
    id_by_label = {label: number for number, label in enumerate(labels)}
    label_ids = [
        np.array([id_by_label[label] for label in index.labels], dtype=np.int32)[index.label_ids]
        for index in indices
    ]
    num_stores = np.cumsum([0] + [len(index.stores) for index in indices])
    num_shards = np.cumsum([0] + [len(index.tars) for index in indices])
    num_groups = np.cumsum([0] + [int(index.group_N.max(initial=-1)) + 1 for index in indices])
    num_ids = np.cumsum([0] + [len(index.label_ids) for index in indices])
    digests = "\n".join(index.digest for index in indices)
    return DatasetIndex(
        stores=tuple(store for index in indices for store in index.stores),
        digest=hashlib.sha256(digests.encode()).hexdigest(),
        labels=labels,
        sample_rate_hz=indices[0].sample_rate_hz,
        tars=tuple(tar for index in indices for tar in index.tars),
        tar_num_bytes=tuple(size for index in indices for size in index.tar_num_bytes),
        tar_sha256s=tuple(sha256 for index in indices for sha256 in index.tar_sha256s),
        idx_sha256s=tuple(sha256 for index in indices for sha256 in index.idx_sha256s),
        dataset_of_shard=_shifted([index.dataset_of_shard for index in indices], num_stores),
        shard_N=_shifted([index.shard_N for index in indices], num_shards),
        audio_offset_N=np.concatenate([index.audio_offset_N for index in indices]),
        audio_num_bytes_N=np.concatenate([index.audio_num_bytes_N for index in indices]),
        audio_crc32c_N=np.concatenate([index.audio_crc32c_N for index in indices]),
        num_samples_N=np.concatenate([index.num_samples_N for index in indices]),
        fold_N=np.concatenate([index.fold_N for index in indices]),
        group_N=_shifted([index.group_N for index in indices], num_groups),
        label_starts=np.concatenate(
            [[0], *(index.label_starts[1:] + num_ids[i] for i, index in enumerate(indices))]
        ),
        label_ids=np.concatenate(label_ids),
        keys=pa.concat_arrays([index.keys for index in indices]),
        targets=merge_targets([index.targets for index in indices], [len(i) for i in indices]),
        features=features,
    )


def _same_features(indices: Sequence[DatasetIndex]) -> FeatureFormat | None:
    """Return what the datasets hold in place of audio.

    Raises:
        ConfigError: not all hold the same.
    """
    features = [index.features for index in indices]
    if len({None if each is None else each.digest for each in features}) > 1:
        shown = ", ".join(
            f"{index.stores[0].url}: "
            + ("audio" if index.features is None else f"features of {index.features.preset}")
            for index in indices
        )
        raise ConfigError(
            f"datasets of audio and of features, or of different features, can't share a batch "
            f"({shown}); cache the features of all with one preset, or load the audio of all"
        )
    return features[0]


def _shifted(arrays: Sequence[NDArray[np.int32]], starts: NDArray[np.int64]) -> NDArray[np.int32]:
    """Number each array's entries behind those of the arrays before; `NO_GROUP` stays."""
    return np.concatenate(
        [
            np.where(array == NO_GROUP, NO_GROUP, array + int(start)).astype(np.int32)
            for array, start in zip(arrays, starts[:-1], strict=True)
        ]
    )

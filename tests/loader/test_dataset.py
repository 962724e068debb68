import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from loader.dataset import NO_FOLD, open_dataset
from shardwriter.errors import ConfigError, ShardFormatError, StorageError
from shardwriter.schema import MANIFEST_NAME
from shardwriter.shard_names import index_name
from shardwriter.storage import open_store
from tests.loader.builders import (
    LABELS,
    NUM_CLIPS,
    RATE_HZ,
    clip_fold,
    clip_key,
    clip_labels,
    clip_pcm,
    make_dataset,
    rewrite_index,
    set_column,
)


def test_index_holds_what_was_written(dataset_url: str) -> None:
    index = open_dataset(open_store(dataset_url), split="train", folds=None)
    numbers = range(NUM_CLIPS)
    rows = np.arange(NUM_CLIPS)
    assert len(index) == NUM_CLIPS
    assert index.keys_of(rows) == tuple(clip_key(number) for number in numbers)
    assert index.shard_N.tolist() == [number // 3 for number in numbers]
    assert index.num_samples_N.tolist() == [len(clip_pcm(number)) for number in numbers]
    assert index.fold_N.tolist() == [clip_fold(number) for number in numbers]
    assert (index.labels, index.sample_rate_hz, len(index.tars)) == (LABELS, RATE_HZ, 8)


def test_targets_are_multi_hot(dataset_url: str) -> None:
    index = open_dataset(open_store(dataset_url), split="train", folds=None)
    rows = np.array([5, 0, 4, 4])
    target_BK = index.targets_of(rows)
    assert target_BK.dtype == np.float32
    expected = [[float(label in clip_labels(row)) for label in LABELS] for row in rows.tolist()]
    assert target_BK.tolist() == expected
    assert target_BK.sum(axis=1).tolist() == [2, 0, 1, 1]


def test_folds_keep_their_samples_only(dataset_url: str) -> None:
    index = open_dataset(open_store(dataset_url), split="train", folds=(4, 2))
    kept = [number for number in range(NUM_CLIPS) if clip_fold(number) in (2, 4)]
    rows = np.arange(len(index))
    assert index.keys_of(rows) == tuple(clip_key(number) for number in kept)
    assert index.num_samples_N.tolist() == [len(clip_pcm(number)) for number in kept]
    expected = [[float(label in clip_labels(number)) for label in LABELS] for number in kept]
    assert index.targets_of(rows).tolist() == expected


def test_fold_that_is_not_there_is_refused_with_those_that_are(dataset_url: str) -> None:
    with pytest.raises(ConfigError, match=r"fold \[6, 7\]; the split has the folds \[1, 2, 3, 4"):
        open_dataset(open_store(dataset_url), split="train", folds=(1, 7, 6))


def test_folds_of_a_dataset_without_any_are_refused(tmp_path: Path) -> None:
    store = open_store(make_dataset(tmp_path, num_clips=2, has_folds=False))
    assert open_dataset(store, split="train", folds=None).fold_N.tolist() == [NO_FOLD, NO_FOLD]
    with pytest.raises(ConfigError, match="has no folds: leave folds at None"):
        open_dataset(store, split="train", folds=(1,))


def test_unknown_split_is_refused_with_the_known(dataset_url: str) -> None:
    with pytest.raises(ConfigError, match="no split 'eval'; it has: train"):
        open_dataset(open_store(dataset_url), split="eval", folds=None)


def test_folder_without_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no dataset at"):
        open_dataset(open_store(str(tmp_path)), split="train", folds=None)


def test_missing_index_is_an_error_with_its_name(own_dataset_url: str) -> None:
    Path(own_dataset_url, index_name("train")).unlink()
    with pytest.raises(StorageError, match=r"index/train\.parquet"):
        open_dataset(open_store(own_dataset_url), split="train", folds=None)


def test_index_other_than_the_published_is_refused(own_dataset_url: str) -> None:
    path = Path(own_dataset_url, index_name("train"))
    other = make_dataset(Path(own_dataset_url).parent / "other", num_clips=22)
    shutil.copy(Path(other, index_name("train")), path)
    with pytest.raises(ShardFormatError, match="SHA-256"):
        open_dataset(open_store(own_dataset_url), split="train", folds=None)


def test_dataset_that_is_being_topped_up_is_read_as_its_manifest_says(tmp_path: Path) -> None:
    url = make_dataset(tmp_path, num_clips=6)
    old_manifest = Path(url, MANIFEST_NAME).read_bytes()
    make_dataset(tmp_path, numbers=range(6, 9))
    assert len(open_dataset(open_store(url), split="train", folds=None)) == 9
    Path(url, MANIFEST_NAME).write_bytes(old_manifest)
    index = open_dataset(open_store(url), split="train", folds=None)
    assert index.keys_of(np.arange(6)) == tuple(clip_key(number) for number in range(6))
    assert len(index) == 6


def test_rows_come_in_the_manifests_order_of_shards(own_dataset_url: str) -> None:
    reversed_shards = [
        row for shard in reversed(range(8)) for row in range(3 * shard, 3 * shard + 3)
    ]
    places = [row for row in reversed_shards if row < NUM_CLIPS]
    rewrite_index(own_dataset_url, lambda table: table.take(pa.array(places)))
    index = open_dataset(open_store(own_dataset_url), split="train", folds=None)
    assert index.keys_of(np.arange(NUM_CLIPS)) == tuple(clip_key(n) for n in range(NUM_CLIPS))


def last_value(name: str, value: object) -> Callable[[pa.Table], pa.Table]:
    """An edit that changes the last row's value in one column."""
    return lambda table: set_column(table, name, [*table[name].to_pylist()[:-1], value])


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda table: table.slice(1), r"000000\.tar has 2 samples there and 3 in the manifest"),
        (last_value("audio_offset", 10**9), "is outside of the shard's"),
        (last_value("audio_offset", -1), "is outside of the shard's"),
        (last_value("num_samples", 0), "has no samples"),
        (last_value("label_ids", [5]), "label ids from 0 to 5, the vocabulary has 5"),
        (last_value("label_ids", [None]), "label ids from -1"),
    ],
)
def test_index_that_contradicts_the_manifest_is_refused(
    own_dataset_url: str, edit: Callable[[pa.Table], pa.Table], message: str
) -> None:
    rewrite_index(own_dataset_url, edit)
    with pytest.raises(ShardFormatError, match=message):
        open_dataset(open_store(own_dataset_url), split="train", folds=None)


def test_selection_of_several_sample_rates_is_refused(own_dataset_url: str) -> None:
    rewrite_index(own_dataset_url, last_value("sample_rate_hz", 16_000))
    with pytest.raises(ConfigError, match=r"mixes the sample rates \[8000, 16000\] Hz"):
        open_dataset(open_store(own_dataset_url), split="train", folds=None)
    # The last clip is in fold 3: without it there is one rate.
    assert open_dataset(open_store(own_dataset_url), split="train", folds=(1, 2)).sample_rate_hz

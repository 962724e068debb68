"""Several datasets in one loader."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import DatasetConfig, LoaderConfig, ShardLoader, World
from loader.dataset import DatasetIndex, open_dataset
from loader.mixture import merge
from shardwriter import AudioFormat, CleanClip, Settings, ShardWriter
from shardwriter.errors import ConfigError
from shardwriter.storage import open_store
from tests.loader.builders import (
    LABELS,
    RATE_HZ,
    clip_id,
    clip_key,
    clip_labels,
    clip_pcm,
    interleave,
    real_keys,
)

OTHER_LABELS = ("rain", "drill", "bark")


def make_other(folder: Path, *, rate_hz: int = RATE_HZ, numbers: range = range(200, 210)) -> str:
    """Clips of another vocabulary, which shares some names with the first under other ids."""
    settings = Settings(
        name="other", audio=AudioFormat(sample_rate_hz=rate_hz), labels=OTHER_LABELS
    )
    with ShardWriter(str(folder), settings, max_samples_per_shard=4) as writer:
        for number in numbers:
            labels = (OTHER_LABELS[number % 3],)
            writer.write_clip(
                CleanClip(
                    id=clip_id(number),
                    split="train",
                    pcm_T=clip_pcm(number),
                    labels=labels,
                    group=f"speaker-{number % 4}",
                )
            )
    return str(folder)


@pytest.fixture(scope="module")
def other_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_other(tmp_path_factory.mktemp("other"))


def opened(url: str) -> DatasetIndex:
    return open_dataset(open_store(url), split="train", folds=None)


def mixed_loaders(
    first: str, second: str, size: int = 1, *, weights: Any = (None, None), **settings: Any
) -> list[ShardLoader]:
    datasets = (
        DatasetConfig(url=first, split="train", weight=weights[0]),
        DatasetConfig(url=second, split="train", weight=weights[1]),
    )
    defaults = {"batch_size": 3, "crop_seconds": 0.02, "tail": "pad"}
    config = LoaderConfig(datasets=datasets, **{**defaults, **settings})
    return [
        ShardLoader(config, world=World(rank=rank, size=size, local_rank=rank))
        for rank in range(size)
    ]


def test_labels_of_one_name_become_one_and_new_ones_come_behind(
    dataset_url: str, other_url: str
) -> None:
    index = merge([opened(dataset_url), opened(other_url)])
    assert index.labels == (*LABELS, "drill")
    numbers = [*range(23), *range(200, 210)]
    assert index.keys_of(np.arange(33)) == tuple(clip_key(number) for number in numbers)
    for row, target_K in enumerate(index.targets_of(np.arange(33))):
        number = numbers[row]
        labels = clip_labels(number) if number < 200 else (OTHER_LABELS[number % 3],)
        assert {index.labels[k] for k in np.flatnonzero(target_K)} == set(labels)


def test_rows_shards_and_groups_are_renumbered_and_stores_kept(
    dataset_url: str, other_url: str
) -> None:
    parts = [opened(other_url), opened(dataset_url), opened(other_url)]
    index = merge(parts)
    assert index.dataset_N.tolist() == [0] * 10 + [1] * 23 + [2] * 10
    assert [store.url for store in index.stores] == [part.stores[0].url for part in parts]
    assert index.tars == tuple(tar for part in parts for tar in part.tars)
    assert set(index.group_N[:10].tolist()) == {0, 1, 2, 3}
    assert set(index.group_N[10:33].tolist()) == {-1}
    assert set(index.group_N[33:].tolist()) == {4, 5, 6, 7}
    for row in (0, 9, 10, 32, 33, 42):
        part, within = (parts[0], row) if row < 10 else (parts[1], row - 10)
        part, within = (part, within) if row < 33 else (parts[2], row - 33)
        assert index.where(row) == part.where(within)


def test_digest_depends_on_each_dataset_and_their_order(dataset_url: str, other_url: str) -> None:
    first, second = opened(dataset_url), opened(other_url)
    digests = {merge(parts).digest for parts in ([first, second], [second, first], [first, first])}
    assert len(digests) == 3


def test_datasets_of_different_rates_are_refused_with_both(
    dataset_url: str, tmp_path: Path
) -> None:
    other = make_other(tmp_path, rate_hz=16000, numbers=range(200, 202))
    with pytest.raises(ConfigError, match=r"different sample rates .*: 8000 Hz, .*: 16000 Hz"):
        mixed_loaders(dataset_url, other)


@pytest.mark.parametrize("size", [1, 3])
def test_without_weights_every_clip_of_all_datasets_comes_once(
    dataset_url: str, other_url: str, size: int
) -> None:
    loaders = mixed_loaders(dataset_url, other_url, size)
    keys = real_keys(interleave([list(loader) for loader in loaders]))
    assert sorted(keys) == sorted(clip_key(n) for n in [*range(23), *range(200, 210)])
    assert len(loaders[0]) == math.ceil(33 / (3 * size))


def test_audio_comes_from_the_store_of_its_dataset(dataset_url: str, other_url: str) -> None:
    numbers = {clip_key(number): number for number in [*range(23), *range(200, 210)]}
    loader = mixed_loaders(dataset_url, other_url, crop="start", crop_seconds=None)[0]
    num_seen = 0
    for batch in loader:
        lengths = batch.num_samples_B.tolist()
        for key, wave_T, length in zip(batch.keys, batch.wave_BT, lengths, strict=True):
            assert wave_T[:length].tolist() == clip_pcm(numbers[key]).tolist()
            num_seen += 1
    assert num_seen == 33


def test_weights_set_the_shares_of_the_epoch(dataset_url: str, other_url: str) -> None:
    loader = mixed_loaders(dataset_url, other_url, weights=(1, 3), epoch_size=60)[0]
    for _ in range(3):
        keys = real_keys(loader)
        num_other = sum(key >= clip_key(200) for key in keys)
        assert (len(keys), num_other) == (60, 45)


@pytest.mark.parametrize(("epoch_size", "num_draws"), [("shortest", 20), ("longest", 46)])
def test_epoch_ends_when_the_shortest_or_longest_dataset_is_used_up(
    dataset_url: str, other_url: str, epoch_size: Any, num_draws: int
) -> None:
    loader = mixed_loaders(dataset_url, other_url, weights=(1, 1), epoch_size=epoch_size)[0]
    keys = real_keys(loader)
    assert len(keys) == num_draws
    complete = set(map(clip_key, range(200, 210) if epoch_size == "shortest" else range(23)))
    assert complete <= set(keys)


def test_stores_that_are_open_already_are_taken_in_the_order_of_the_datasets(
    dataset_url: str, other_url: str
) -> None:
    config = LoaderConfig(
        datasets=(
            DatasetConfig(url="s3://first", split="train"),
            DatasetConfig(url="s3://second", split="train"),
        ),
        batch_size=3,
        crop_seconds=0.02,
    )
    world = World(rank=0, size=1, local_rank=0)
    stores = [open_store(dataset_url), open_store(other_url)]
    assert len(ShardLoader(config, world=world, store=stores).index) == 33
    with pytest.raises(ValueError, match="1 stores for 2 datasets"):
        ShardLoader(config, world=world, store=stores[0])

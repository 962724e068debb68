"""Which samples of a dataset are used: splits, folds, labels, length."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader.dataset import open_dataset
from shardwriter.errors import ConfigError
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
    make_loader,
    real_keys,
)


def keys_with(url: str, **filters: Any) -> list[str]:
    defaults = {"split": "train", "folds": None}
    index = open_dataset(open_store(url), **{**defaults, **filters})
    return list(index.keys_of(np.arange(len(index))))


def keys_where(condition: Any) -> list[str]:
    return [clip_key(number) for number in range(NUM_CLIPS) if condition(number)]


def test_included_labels_keep_clips_with_any_of_them(dataset_url: str) -> None:
    wanted = {"bark", "wind"}
    kept = keys_with(dataset_url, include_labels=("bark", "wind"))
    assert kept == keys_where(lambda n: wanted & set(clip_labels(n)))
    assert 0 < len(kept) < NUM_CLIPS


def test_excluded_labels_leave_out_clips_with_any_of_them(dataset_url: str) -> None:
    kept = keys_with(dataset_url, exclude_labels=("rain", "siren"))
    assert kept == keys_where(lambda n: not {"rain", "siren"} & set(clip_labels(n)))


def test_shorter_clips_are_left_out_and_those_of_just_this_length_kept(dataset_url: str) -> None:
    least = len(clip_pcm(5))
    kept = keys_with(dataset_url, min_seconds=least / RATE_HZ)
    assert kept == keys_where(lambda n: len(clip_pcm(n)) >= least)
    assert clip_key(5) in kept


def test_filters_are_joined_by_and(dataset_url: str) -> None:
    kept = keys_with(
        dataset_url,
        folds=(1, 2, 3),
        include_labels=LABELS[:3],
        exclude_labels=("speech",),
        min_seconds=0.02,
    )
    assert kept == keys_where(
        lambda n: (
            clip_fold(n) <= 3
            and set(LABELS[:3]) & set(clip_labels(n))
            and "speech" not in clip_labels(n)
            and len(clip_pcm(n)) >= 160
        )
    )
    assert kept


def test_vocabulary_stays_whole_whatever_is_filtered(dataset_url: str) -> None:
    loader = make_loader(dataset_url, include_labels=("bark",), tail="pad")
    assert loader.labels == LABELS
    assert next(iter(loader)).target_BK.shape[1] == len(LABELS)


def test_unknown_label_is_refused_with_the_known(dataset_url: str) -> None:
    with pytest.raises(ConfigError, match=r"no label \['meow'\]; its 5 labels are: bark, rain"):
        keys_with(dataset_url, exclude_labels=("bark", "meow"))


def test_filters_that_leave_nothing_are_refused(dataset_url: str) -> None:
    with pytest.raises(ConfigError, match=r"split 'train' of .* no samples, or none that all"):
        keys_with(dataset_url, min_seconds=100.0)


def test_several_splits_are_read_as_one(own_dataset_url: str) -> None:
    make_dataset(Path(own_dataset_url), numbers=range(100, 107), split="eval")
    both = keys_with(own_dataset_url, split=("eval", "train"))
    assert both == [clip_key(n) for n in (*range(100, 107), *range(NUM_CLIPS))]
    loader = make_loader(own_dataset_url, split=("train", "eval"), tail="pad", batch_size=7)
    delivered = real_keys(loader)
    assert sorted(delivered) == sorted(both)
    other_way = make_loader(own_dataset_url, split=("eval", "train"), tail="pad", batch_size=7)
    assert real_keys(other_way) == delivered
    assert other_way.state_dict() == loader.state_dict()


def test_message_about_a_fold_names_all_splits(own_dataset_url: str) -> None:
    make_dataset(Path(own_dataset_url), numbers=range(100, 107), split="eval")
    with pytest.raises(ConfigError, match=r"split 'eval' \+ 'train' of .* is in fold \[9\]"):
        keys_with(own_dataset_url, split=("eval", "train"), folds=(9,))

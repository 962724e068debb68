import math
from typing import Any

import pytest

from loader import DatasetConfig, GroupBatches, InverseFrequency, LoaderConfig

VALID: dict[str, Any] = {"url": "x", "split": "train", "batch_size": 4, "crop_seconds": 1.0}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("url", ""),
        ("split", ""),
        ("batch_size", 0),
        ("batch_size", 4.0),
        ("batch_size", True),
        ("crop_seconds", 0),
        ("crop_seconds", -1.0),
        ("crop_seconds", math.inf),
        ("crop_seconds", math.nan),
        ("crop_seconds", "5"),
        ("crop", "middle"),
        ("seed", -1),
        ("seed", 2**64),
        ("shuffle", 1),
        ("folds", ()),
        ("folds", [1, 2]),
        ("folds", (1, 1)),
        ("folds", (1.5,)),
        ("tail", "keep"),
        ("num_threads", 0),
        ("prefetch_batches", 0),
        ("open_shards", 0),
        ("verify_checksums", None),
        ("pin_memory", "yes"),
        ("url", None),
        ("split", ()),
        ("split", ("train", "train")),
        ("include_labels", ()),
        ("include_labels", "bark"),
        ("exclude_labels", ["bark"]),
        ("min_seconds", 0),
        ("min_seconds", "1"),
        ("epoch_size", 0),
        ("epoch_size", 2**31),
        ("epoch_size", "longest"),
        ("epoch_size", "all"),
        ("num_streams", 0),
        ("min_spread", 0),
        ("resampling_buffer_bytes", -1),
        ("datasets", [1]),
        ("noise", "musan"),
        ("balance", "uniform"),
        ("group_batches", {"clips_per_group": 2}),
    ],
)
def test_wrong_setting_is_refused_with_its_name_and_value(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name) as error:
        LoaderConfig(**{**VALID, name: value})
    assert repr(value) in str(error.value)


def test_printed_config_names_every_setting() -> None:
    config = LoaderConfig(**VALID)
    for name in LoaderConfig.__dataclass_fields__:
        assert f"{name}=" in repr(config)


def test_config_takes_whole_seconds_and_none_as_crop() -> None:
    assert LoaderConfig(**{**VALID, "crop_seconds": 5}).crop_seconds == 5
    assert LoaderConfig(**{**VALID, "crop_seconds": None}).crop_seconds is None


def mixed(*weights: float | None, **settings: Any) -> LoaderConfig:
    datasets = tuple(
        DatasetConfig(url=f"/{n}", split="train", weight=weight) for n, weight in enumerate(weights)
    )
    return LoaderConfig(**{"batch_size": 4, "crop_seconds": 1.0, "datasets": datasets, **settings})


def test_single_dataset_and_its_filters_are_one_selection() -> None:
    config = LoaderConfig(**VALID, folds=(2, 1), exclude_labels=("rain",))
    expected = DatasetConfig(url="x", split="train", folds=(2, 1), exclude_labels=("rain",))
    assert config.selections == (expected,)
    assert config.weights is None
    assert expected.describe() == "train folds=1,2 exclude_labels=rain"


def test_several_datasets_are_taken_with_all_weights_or_none() -> None:
    assert mixed(None, None).weights is None
    assert mixed(1, 2.5).weights == (1, 2.5)
    with pytest.raises(ValueError, match="1 of 2 datasets have a weight; give one to each"):
        mixed(1, None)
    with pytest.raises(ValueError, match="weight must be a finite number above 0"):
        mixed(1, -1)
    assert mixed(1, 2, epoch_size="longest").epoch_size == "longest"


@pytest.mark.parametrize("name", ["url", "split", "min_seconds"])
def test_settings_of_the_single_dataset_beside_several_are_refused(name: str) -> None:
    value = 1.0 if name == "min_seconds" else "x"
    with pytest.raises(ValueError, match=f"{name}={value!r} and datasets are both set"):
        mixed(None, None, **{name: value})


def test_group_batches_take_no_other_sampling_and_fit_the_batch() -> None:
    groups = GroupBatches(clips_per_group=3)
    assert LoaderConfig(**{**VALID, "batch_size": 6}, group_batches=groups).group_batches == groups
    with pytest.raises(ValueError, match="batch_size=4 is no multiple of clips_per_group=3"):
        LoaderConfig(**VALID, group_batches=groups)
    with pytest.raises(ValueError, match="group_batches and balance are both set"):
        LoaderConfig(**{**VALID, "batch_size": 6}, group_batches=groups, balance=InverseFrequency())

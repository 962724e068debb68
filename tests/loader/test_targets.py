"""Named targets out of the loader: ids, numbers, mixtures, filters, groups and balance."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from loader import (
    AudioBatch,
    DatasetConfig,
    GroupBatches,
    InverseFrequency,
    LoaderConfig,
    ShardLoader,
    World,
)
from shardwriter.errors import ConfigError, LoaderStateError, ShardFormatError
from tests.loader.builders import LABELS as LABEL_NAMES
from tests.loader.builders import clip_key, interleave, make_loader, make_loaders, rewrite_index
from tests.loader.target_builders import (
    CITIES,
    SPEAKERS,
    expected_id,
    make_target_dataset,
    same_numbers,
    target_values,
)

NUMBER_OF = {clip_key(number): number for number in range(100)}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_target_dataset(tmp_path_factory.mktemp("targets"))


def numbers_of(batch: AudioBatch) -> list[int]:
    return [NUMBER_OF[key] for key in batch.keys]


@pytest.mark.parametrize("size", [1, 3])
def test_targets_come_by_name_with_ids_for_classes_and_floats_for_numbers(
    url: str, size: int
) -> None:
    batches = interleave([list(loader) for loader in make_loaders(url, size, tail="pad")])
    for batch in batches:
        assert {name: values.dtype for name, values in batch.targets.items()} == {
            "speaker": torch.int64,
            "city": torch.int64,
            "pitch": torch.float32,
        }
        for place, number in enumerate(numbers_of(batch)):
            assert batch.targets["speaker"][place] == expected_id(number, "speaker", SPEAKERS)
            assert batch.targets["city"][place] == expected_id(number, "city", CITIES)
            pitch = target_values(number).get("pitch")
            assert same_numbers(float(batch.targets["pitch"][place]), pitch)
    assert {number for batch in batches for number in numbers_of(batch)} == set(range(23))


def test_loader_names_the_classes_of_a_target(url: str) -> None:
    loader = make_loader(url)
    assert set(loader.target_names) == {"speaker", "city", "pitch"}
    assert loader.target_labels("speaker") == SPEAKERS
    with pytest.raises(ConfigError, match=r"no target 'device'; they have: "):
        loader.target_labels("device")
    with pytest.raises(ConfigError, match="'pitch' is a number"):
        loader.target_labels("pitch")


def test_dataset_without_targets_gives_none(dataset_url: str) -> None:
    loader = make_loader(dataset_url)
    assert loader.target_names == ()
    assert next(iter(loader)).targets == {}


def test_single_labels_come_as_ids_where_every_clip_has_one(url: str) -> None:
    for batch in make_loader(url):
        assert batch.label_B.dtype == torch.int64
        assert batch.label_B.tolist() == [number % 5 for number in numbers_of(batch)]
        assert torch.equal(batch.label_B, batch.target_BK.argmax(dim=1))


def test_single_label_of_clips_with_none_or_several_is_refused_with_a_way_out(
    dataset_url: str,
) -> None:
    batch = next(iter(make_loader(dataset_url)))
    with pytest.raises(AttributeError, match=r"exactly one label a clip.*use target_BK"):
        _ = batch.label_B
    assert not hasattr(batch, "label_B")


def test_targets_and_single_labels_move_with_the_batch(url: str) -> None:
    batch = next(iter(make_loader(url)))
    assert f"targets={', '.join(batch.targets)}, num_padding=0" in repr(batch)
    moved = batch.to("meta")
    assert {tensor.device.type for tensor in moved.targets.values()} == {"meta"}
    assert moved.label_B.device.type == "meta"


def mixed(first: str, second: str, **settings: Any) -> ShardLoader:
    datasets = (
        DatasetConfig(url=first, split="train"),
        DatasetConfig(url=second, split="train"),
    )
    config = LoaderConfig(
        datasets=datasets, **{"batch_size": 3, "crop_seconds": 0.02, "tail": "pad"} | settings
    )
    return ShardLoader(config, world=World(rank=0, size=1, local_rank=0))


def test_mixture_joins_classes_by_name_and_leaves_what_a_dataset_lacks_open(
    url: str, tmp_path: Path
) -> None:
    other = make_target_dataset(
        tmp_path, numbers=range(50, 60), speakers=("eve", "zoe", "bob", "ann"), with_city=False
    )
    loader = mixed(url, other)
    assert loader.target_labels("speaker") == (*SPEAKERS, "zoe")
    assert loader.target_labels("city") == CITIES
    num_seen = 0
    for batch in loader:
        for place, number in enumerate(numbers_of(batch)):
            assert batch.targets["speaker"][place] == expected_id(number, "speaker", SPEAKERS)
            city = expected_id(number, "city", CITIES) if number < 50 else -1
            assert batch.targets["city"][place] == city
            num_seen += 1
    assert num_seen == 33


def test_mixture_with_a_dataset_without_targets_has_none_for_its_clips(
    url: str, dataset_url: str
) -> None:
    loader = mixed(dataset_url, url, batch_size=46)
    batch = next(iter(loader))
    num_known = sum(expected_id(number, "speaker", SPEAKERS) >= 0 for number in range(23))
    assert int((batch.targets["speaker"] >= 0).sum()) == num_known
    assert int(batch.targets["pitch"].isnan().sum()) == 46 - num_known


def test_only_clips_of_the_wanted_classes_are_kept(url: str) -> None:
    loader = make_loader(url, include_targets={"city": ("milan",), "speaker": ("bob", "eve")})
    assert sorted(number for batch in loader for number in numbers_of(batch)) == [
        number for number in range(23) if number % 7 and number % 2 == 1 and number % 4 in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("include", "message"),
    [
        ({"device": ("a",)}, "no target 'device'"),
        ({"pitch": ("60",)}, "'pitch' is a number"),
        ({"city": ("rome",)}, r"target 'city' of .* has no class \['rome'\]"),
    ],
)
def test_filter_by_what_is_not_there_is_refused(
    url: str, include: dict[str, tuple[str, ...]], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make_loader(url, include_targets=include)


@pytest.mark.parametrize("include", [{}, {"city": "milan"}, {"city": ()}, {"": ("a",)}, "city"])
def test_filter_that_makes_no_sense_is_refused(url: str, include: Any) -> None:
    with pytest.raises(ValueError, match=r"target|must not be empty"):
        make_loader(url, include_targets=include)


def test_group_batches_by_a_target_hold_clips_of_one_class_together(url: str) -> None:
    loader = make_loader(
        url,
        batch_size=4,
        tail="pad",
        group_batches=GroupBatches(clips_per_group=2, by="target", target="speaker"),
        include_targets={"speaker": SPEAKERS},
    )
    for batch in loader:
        speakers = batch.targets["speaker"].view(2, 2)
        assert torch.equal(speakers[:, 0], speakers[:, 1])
    with pytest.raises(ConfigError, match=r"batches by target: 4 of 23 samples have no speaker"):
        make_loader(
            url,
            batch_size=4,
            group_batches=GroupBatches(clips_per_group=2, by="target", target="speaker"),
        )


@pytest.mark.parametrize("settings", [{"by": "target"}, {"target": "x"}])
def test_group_batches_need_the_name_of_a_target_with_by_target_only(
    settings: dict[str, Any],
) -> None:
    with pytest.raises(ValueError, match="belongs to by='target'"):
        GroupBatches(clips_per_group=2, **settings)


def test_balance_by_a_target_evens_out_its_classes(url: str) -> None:
    loader = make_loader(
        url,
        epoch_size=120,
        balance=InverseFrequency(target="speaker"),
        include_targets={"speaker": SPEAKERS},
    )
    counts = Counter(int(i) for batch in loader for i in batch.targets["speaker"])
    assert all(abs(counts[number] - 40) <= 1 for number in range(3)), counts
    exposure = loader.exposure(0)
    assert exposure.labels == SPEAKERS
    assert np.allclose(exposure.target_K, 40)
    with pytest.raises(ConfigError, match="no target 'device'"):
        make_loader(url, balance=InverseFrequency(target="device"))


def test_state_is_of_its_choice_of_classes(url: str) -> None:
    state = make_loader(url, include_targets={"city": ("milan",)}).state_dict()
    make_loader(url, include_targets={"city": ("milan",)}).load_state_dict(state)
    with pytest.raises(LoaderStateError, match="selection"):
        make_loader(url, include_targets={"city": ("lyon",)}).load_state_dict(state)


def edit_column(name: str, column: Any) -> Any:
    def edit(table: pa.Table) -> pa.Table:
        values = pa.array(column(table[name].to_pylist()))
        return table.set_column(table.schema.get_field_index(name), name, values)

    return edit


def test_index_with_an_id_outside_of_the_vocabulary_is_refused(tmp_path: Path) -> None:
    url = make_target_dataset(tmp_path)
    edit = edit_column("target.speaker", lambda ids: pa.array([7] * len(ids), pa.int32()))
    rewrite_index(url, edit)
    with pytest.raises(ShardFormatError, match="ids from 7 to 7, the vocabulary has 3"):
        make_loader(url)


def test_index_with_a_number_where_the_manifest_has_a_class_is_refused(tmp_path: Path) -> None:
    url = make_target_dataset(tmp_path)
    rewrite_index(url, edit_column("target.speaker", lambda ids: [0.5] * len(ids)))
    with pytest.raises(ShardFormatError, match="holds double, the manifest says that it is a cl"):
        make_loader(url)


def test_index_with_a_target_that_the_manifest_lacks_is_refused(tmp_path: Path) -> None:
    url = make_target_dataset(tmp_path)

    def edit(table: pa.Table) -> pa.Table:
        return table.append_column("target.z", pa.array([1.0] * len(table)))

    rewrite_index(url, edit)
    with pytest.raises(ShardFormatError, match=r"manifest knows nothing of \['target\.z'\]"):
        make_loader(url)


def test_splits_of_different_targets_are_read_as_one(tmp_path: Path) -> None:
    url = make_target_dataset(tmp_path, numbers=range(6))
    make_target_dataset(tmp_path, numbers=[7, 14], split="test")
    loader = make_loader(url, split=("test", "train"), batch_size=8)
    batch = next(iter(loader))
    assert int((batch.targets["speaker"] < 0).sum()) == 3
    assert set(loader.labels) == set(LABEL_NAMES)

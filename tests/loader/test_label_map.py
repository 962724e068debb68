"""Labels renamed, merged, split and dropped at load time."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader import DatasetConfig, LoaderConfig, ShardLoader, World
from loader.label_map import with_mapped_labels
from shardwriter.errors import ConfigError, LoaderStateError
from tests.loader.builders import LABELS, clip_key, clip_labels, make_loader
from tests.loader.index_builders import make_index
from tests.loader.target_builders import make_target_dataset

NAMES = st.sampled_from(["w", "x", "y", "label-0", "label-1"])
MAPS = st.dictionaries(
    st.sampled_from([f"label-{number}" for number in range(4)]),
    st.none() | NAMES | st.lists(NAMES, min_size=1, max_size=3, unique=True).map(tuple),
)


@settings(deadline=None)
@given(
    clips=st.lists(st.lists(st.integers(0, 3), max_size=4, unique=True), min_size=1, max_size=12),
    label_map=MAPS,
)
def test_each_clip_has_what_its_labels_are_mapped_to(
    clips: list[list[int]], label_map: dict[str, Any]
) -> None:
    def mapped(label: str) -> tuple[str, ...]:
        names = label_map.get(label, label)
        return () if names is None else (names,) if isinstance(names, str) else names

    index = make_index(clips, num_labels=4)
    if not any(mapped(label) for label in index.labels):
        with pytest.raises(ConfigError, match="drops every label"):
            with_mapped_labels(index, label_map)
        return
    got = with_mapped_labels(index, label_map)
    assert got.labels == tuple(
        dict.fromkeys(name for label in index.labels for name in mapped(label))
    )
    expected = [{name for i in ids for name in mapped(f"label-{i}")} for ids in clips]
    targets_NK = got.targets_of(np.arange(len(clips)))
    assert [{got.labels[k] for k in np.flatnonzero(row)} for row in targets_NK] == expected
    assert got.has_single_labels == all(len(names) == 1 for names in expected)
    assert np.diff(got.label_starts).tolist() == [len(names) for names in expected]


def test_batches_have_the_new_vocabulary_and_no_clip_is_left_out(dataset_url: str) -> None:
    names = {"bark": "animal", "rain": "weather", "wind": "weather", "siren": None}
    loader = make_loader(dataset_url, batch_size=23, label_map=names)
    assert loader.labels == ("animal", "weather", "speech")
    batch = next(iter(loader))
    for number in range(23):
        row = batch.target_BK[batch.keys.index(clip_key(number))]
        expected = {names.get(label, label) for label in clip_labels(number)} - {None}
        assert {loader.labels[k] for k in row.nonzero().flatten().tolist()} == expected


def test_filters_name_the_labels_of_the_dataset(dataset_url: str) -> None:
    loader = make_loader(dataset_url, include_labels=("rain",), label_map={"rain": "weather"})
    assert loader.labels == ("bark", "weather", "siren", "speech", "wind")
    with pytest.raises(ConfigError, match="no label"):
        make_loader(dataset_url, include_labels=("weather",), label_map={"rain": "weather"})


def test_datasets_meet_in_the_mapped_vocabulary(dataset_url: str, tmp_path: Any) -> None:
    config = LoaderConfig(
        datasets=(
            DatasetConfig(url=dataset_url, split="train", label_map={"bark": "dog"}),
            DatasetConfig(
                url=make_target_dataset(tmp_path), split="train", label_map={"speech": "dog"}
            ),
        ),
        batch_size=4,
        crop_seconds=0.02,
    )
    loader = ShardLoader(config, world=World(rank=0, size=1, local_rank=0))
    assert loader.labels == ("dog", "rain", "siren", "speech", "wind", "bark")


def test_map_of_a_label_that_is_not_there_is_refused(dataset_url: str) -> None:
    with pytest.raises(ConfigError, match=r"names 1 labels that .* the first is 'brak'.*bark"):
        make_loader(dataset_url, label_map={"brak": "dog"})


@pytest.mark.parametrize(
    "label_map", [{"bark": ""}, {"bark": ()}, {"bark": ("a", "a")}, {"bark": 1}, [("a", "b")]]
)
def test_map_that_makes_no_sense_is_refused(dataset_url: str, label_map: Any) -> None:
    with pytest.raises(ValueError, match="label_map"):
        make_loader(dataset_url, label_map=label_map)


def test_state_is_of_its_map_in_whatever_order_it_is_written(dataset_url: str) -> None:
    state = make_loader(dataset_url, label_map={"bark": "a", "rain": "b"}).state_dict()
    make_loader(dataset_url, label_map={"rain": "b", "bark": "a"}).load_state_dict(state)
    for other in (None, {"bark": "a", "rain": "c"}):
        with pytest.raises(LoaderStateError, match="selection"):
            make_loader(dataset_url, label_map=other).load_state_dict(state)


def test_state_stays_small_with_a_large_map(dataset_url: str) -> None:
    long = {label: label * 500 for label in LABELS}
    state = make_loader(dataset_url, label_map=long).state_dict()
    assert len(str(state)) < 1000

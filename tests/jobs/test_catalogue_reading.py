from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.catalogues.catalogue import Catalogue, ClipRef
from jobs.catalogues.counts import ExpectedCounts, count_differences
from jobs.catalogues.description import Dataset
from jobs.catalogues.order import mixed
from jobs.catalogues.reading import assemble, read_catalogue
from jobs.catalogues.registry import DATASETS, find_dataset
from jobs.sources import FolderSource
from shardwriter import RejectionReason
from shardwriter.errors import ConfigError

EXPECTED = ExpectedCounts(
    name="all",
    num_by_split={"train": 2, "test": 1},
    num_by_fold={1: 1},
    num_by_label={"a": 2, "b": 1},
    num_labels_by_split={"train": 2, "test": 1},
    num_classes=2,
)


def clip(number: int, *, split: str = "train", label: str = "a", fold: int | None = 1) -> ClipRef:
    return ClipRef(id=f"x/{number}", file=None, split=split, labels=(label,), fold=fold)


AS_PUBLISHED = [clip(1), clip(2, label="b", fold=None), clip(3, split="test", fold=None)]


def test_counts_as_published_differ_in_nothing() -> None:
    assert count_differences(AS_PUBLISHED, EXPECTED) == ()


def test_every_difference_is_listed_names_that_nobody_expected_too() -> None:
    clips = [clip(1, fold=2), clip(2, split="val", label="c")]
    assert [str(difference) for difference in count_differences(clips, EXPECTED)] == [
        "clips of split train: expected 2, got 1",
        "clips of split test: expected 1, got 0",
        "clips of split val: expected 0, got 1",
        "clips of fold 2: expected 0, got 1",
        "labels of split train: expected 2, got 1",
        "labels of split test: expected 1, got 0",
        "labels of split val: expected 0, got 1",
        "clips of class a: expected 2, got 1",
        "clips of class b: expected 1, got 0",
        "clips of class c: expected 0, got 1",
    ]


def test_what_is_not_published_is_not_compared() -> None:
    assert count_differences(AS_PUBLISHED, ExpectedCounts(name="x", num_by_split={})) != ()
    only_total = replace(EXPECTED, num_by_label={}, num_by_fold={}, num_labels_by_split={})
    assert count_differences([*AS_PUBLISHED], only_total) == ()


def test_equal_classes_are_compared_by_one_number() -> None:
    expected = ExpectedCounts(
        name="x", num_by_split={"train": 2, "test": 1}, num_each_label=1, num_classes=3
    )
    assert [str(difference) for difference in count_differences(AS_PUBLISHED, expected)] == [
        "clips of class a: expected 1, got 2",
        "classes: expected 3, got 2",
    ]


def test_clip_that_is_listed_again_is_a_rejection_and_counts_once() -> None:
    catalogue = assemble(
        DATASETS[0], [*AS_PUBLISHED, clip(1)], labels=("a", "b"), expected=EXPECTED, where="x.csv"
    )
    assert [found.id for found in catalogue.clips] == ["x/1", "x/2", "x/3"]
    (rejection,) = catalogue.rejections
    assert (rejection.clip_id, rejection.reason) == ("x/1", RejectionReason.DUPLICATE)
    assert rejection.detail == "x.csv lists it more than once; the first row is kept"
    assert catalogue.differences == ()


def test_list_without_a_clip_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"x\.csv lists no clip of all"):
        assemble(DATASETS[0], [], labels=(), expected=EXPECTED, where="x.csv")


def test_mixed_order_is_that_of_no_column_and_always_the_same() -> None:
    clips = [clip(number) for number in range(100)]
    once = [found.id for found in mixed(clips)]
    assert once == [found.id for found in mixed(reversed(clips))]
    assert once != sorted(once)
    assert sorted(once) == sorted(found.id for found in clips)


def test_options_are_checked_and_filled_in(tmp_path: Path) -> None:
    seen: list[Mapping[str, str]] = []

    def read(source: object, options: Mapping[str, str]) -> Catalogue:
        seen.append(options)
        return assemble(dataset, AS_PUBLISHED, labels=("a", "b"), expected=EXPECTED, where="x")

    dataset: Dataset = replace(find_dataset("esc50"), read=read)
    source = FolderSource(tmp_path)
    catalogue = read_catalogue(dataset, source)
    read_catalogue(dataset, source, {"subset": "esc10"})
    assert seen == [{"subset": "esc50"}, {"subset": "esc10"}]
    assert catalogue.leaks == dataset.leaks
    with pytest.raises(ConfigError, match="ESC-50 has no option 'split'; it has subset, splits"):
        read_catalogue(dataset, source, {"split": "train"})
    with pytest.raises(ConfigError, match="subset of ESC-50 is one of esc50, esc10, got 'esc5'"):
        read_catalogue(dataset, source, {"subset": "esc5"})
    with pytest.raises(ConfigError, match="ESC-50 is read from the files as published"):
        read_catalogue(dataset, None)


def test_every_dataset_is_described_in_full() -> None:
    assert len({dataset.name for dataset in DATASETS}) == len(DATASETS)
    own = [find_dataset(name) for name in ("folder", "huggingface")]  # of them nothing is published
    for dataset in (dataset for dataset in DATASETS if dataset not in own):
        assert find_dataset(dataset.name) is dataset
        for text in (dataset.title, dataset.summary, dataset.licence, dataset.citation):
            assert text
        assert dataset.homepage.startswith(("https://", "http://"))
        assert dataset.layout
        assert dataset.how_to_get
        assert dataset.num_clips > 0
        assert dataset.archives
        for option in dataset.options:
            assert not option.choices or option.default in option.choices


def test_unknown_dataset_is_told_which_there_are() -> None:
    with pytest.raises(ConfigError, match="no dataset is called 'esc'; there are esc50, "):
        find_dataset("esc")

"""A dataset that is added to: no shard of it changes."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from shardwriter.errors import StorageError
from shardwriter.manifest import load_manifest
from shardwriter.storage import LocalStore
from tests.shardwriter.builders import NUM_CLIPS, make_clip, make_clips, tree, write_dataset
from tests.shardwriter.writing import (
    FailingStore,
    read_split,
    shard_keys,
    write_all,
    write_and_fail,
    writer_on,
)


def test_top_up_adds_shards_and_changes_none(own_dataset: Path) -> None:
    before, keys = tree(own_dataset), shard_keys(own_dataset)
    manifest = write_dataset(own_dataset, make_clips(range(NUM_CLIPS + 6)))
    after = tree(own_dataset)
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {
        "availability/groups.jsonl",
        "dataset.json",
        "index/test.parquet",
        "index/train.parquet",
    }
    assert {name for name in set(after) - set(before) if name.endswith(".tar")} == {
        "test/made-000001.tar",
        "train/made-000003.tar",
        "train/made-000004.tar",
    }
    assert shard_keys(own_dataset).items() >= keys.items()
    assert sum(totals.num_samples for totals in manifest.splits.values()) == NUM_CLIPS + 6


def test_top_up_may_add_a_split(own_dataset: Path) -> None:
    clips = [replace(make_clip(number), split="eval") for number in range(20, 22)]
    manifest = write_dataset(own_dataset, clips)
    assert list(manifest.splits) == ["eval", "test", "train"]
    assert len(list(read_split(own_dataset, "eval"))) == 2


def test_top_up_with_nothing_new_changes_nothing(own_dataset: Path) -> None:
    before = tree(own_dataset)
    write_dataset(own_dataset)
    assert tree(own_dataset) == before


def test_top_up_may_have_other_limits(own_dataset: Path) -> None:
    before = tree(own_dataset)
    write_dataset(own_dataset, make_clips(range(30)), max_samples_per_shard=100)
    tars = {name for name in before if name.endswith(".tar")}
    assert {name: tree(own_dataset)[name] for name in tars} == {n: before[n] for n in tars}


def test_interrupted_top_up_leaves_the_dataset_as_it_was(own_dataset: Path) -> None:
    before, manifest = tree(own_dataset), load_manifest(LocalStore(own_dataset))
    write_and_fail(writer_on(own_dataset), make_clips(range(20, 29)))
    after = tree(own_dataset)
    assert before.items() <= after.items()
    assert load_manifest(LocalStore(own_dataset)) == manifest


TOPPED_UP = make_clips([*range(NUM_CLIPS), 11, 12, 13])


@pytest.fixture(scope="module")
def topped_up(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The tree after a top-up that nothing disturbed."""
    folder = shutil.copytree(dataset, tmp_path_factory.mktemp("topped_up") / "made")
    write_dataset(folder, TOPPED_UP)
    return tree(folder)


@pytest.mark.parametrize("fail_at", range(1, 10))
def test_top_up_that_fails_leaves_every_published_shard_and_its_manifest(
    own_dataset: Path, topped_up: dict[str, str], fail_at: int
) -> None:
    """Two new shards of three files, two indexes and the manifest are nine publications."""
    before, manifest = tree(own_dataset), load_manifest(LocalStore(own_dataset))
    writer = writer_on(FailingStore(own_dataset, fail_at=fail_at))
    with pytest.raises(StorageError, match="No space left"):
        write_all(writer, TOPPED_UP[NUM_CLIPS:])
    after = tree(own_dataset)
    assert load_manifest(LocalStore(own_dataset)) == manifest
    # A split's index may be the next one already; it lists the manifest's shards and more.
    assert {name for name in before if after.get(name) != before[name]} <= {
        "index/test.parquet",
        "index/train.parquet",
    }
    write_dataset(own_dataset, TOPPED_UP)
    assert tree(own_dataset) == topped_up

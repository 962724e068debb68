"""The grouping rule: a speaker or recording that lies in two splits."""

import json
from pathlib import Path

import pytest

from shardwriter.errors import GroupStraddlesError
from shardwriter.overlaps import GROUPS_NAME, StraddlingGroup
from tests.shardwriter.dataset_builders import clip, tree, write_dataset

LEAKING = [
    clip(0, group="ann"),
    clip(1, group="bob"),
    clip(2, split="test", group="ann"),
    clip(3, split="test"),
    clip(4, group="ann"),
]


def test_reported_group_names_its_splits_and_counts(tmp_path: Path) -> None:
    writer = write_dataset(tmp_path, LEAKING)
    found = StraddlingGroup(group="ann", num_clips={"test": 1, "train": 2})
    assert writer.straddling_groups == (found,)
    row = json.loads((tmp_path / GROUPS_NAME).read_text())
    assert row == {"group": "ann", "num_clips": {"test": 1, "train": 2}}


def test_refused_group_is_named_with_key_and_both_splits(tmp_path: Path) -> None:
    with pytest.raises(GroupStraddlesError, match=r"'made\+002'.*'test'.*'ann'.*'train'") as caught:
        write_dataset(tmp_path, LEAKING, group_rule="refuse")
    assert (caught.value.group, caught.value.key) == ("ann", "made+002")
    assert caught.value.splits == ("train", "test")
    assert tree(tmp_path) == {}


def test_refusal_holds_over_an_interruption(tmp_path: Path) -> None:
    write_dataset(tmp_path, LEAKING[:2], group_rule="refuse")
    with pytest.raises(GroupStraddlesError, match="'ann'"):
        write_dataset(tmp_path, LEAKING, group_rule="refuse")


def test_report_is_the_same_after_an_interruption(tmp_path: Path) -> None:
    write_dataset(tmp_path / "whole", LEAKING, clips_per_shard=1)
    write_dataset(tmp_path / "parts", LEAKING[:2], clips_per_shard=1)
    write_dataset(tmp_path / "parts", LEAKING, clips_per_shard=1)
    assert tree(tmp_path / "whole") == tree(tmp_path / "parts")


def test_ignored_groups_are_not_looked_for(tmp_path: Path) -> None:
    writer = write_dataset(tmp_path, LEAKING, group_rule="ignore")
    assert writer.straddling_groups == ()
    assert not (tmp_path / GROUPS_NAME).exists()


def test_groups_inside_of_one_split_are_no_leak(tmp_path: Path) -> None:
    writer = write_dataset(tmp_path, LEAKING[:2] + LEAKING[4:], group_rule="refuse")
    assert writer.straddling_groups == ()

"""Indexes, parts and manifest come back from the tars alone, byte for byte."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.verify import repair_index, verify
from shardwriter.errors import ConfigError, ShardFormatError
from shardwriter.manifest import load_manifest
from shardwriter.rebuild import rebuild_shard
from shardwriter.repair import Repair, load_known, repair_indexes, tars_to_read
from shardwriter.storage import LocalStore
from tests.shardwriter.dataset_builders import clip, tree, write_dataset


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    clips = [clip(number, group=f"g{number}") for number in range(8)]
    write_dataset(tmp_path / "data", [*clips, clip(8, split="test"), clip(9, sound=1)])
    return tmp_path / "data"


def repair(folder: Path) -> Repair:
    store = LocalStore(folder)
    with store.lock_for_writing():
        known = load_known(store)
        shards = [rebuild_shard(store, tar) for tar in tars_to_read(store, known)]
        return repair_indexes(store, known, shards)


def remove(folder: Path, *patterns: str) -> None:
    found = [path for pattern in patterns for path in folder.glob(pattern)]
    assert found
    for path in found:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize(
    "patterns",
    [
        ["train/made-000001.idx"],
        ["*/*.idx"],
        ["index"],
        ["index/test.parquet"],
        ["parts"],
        ["parts/train/made-000002.json"],
        ["*/*.idx", "index", "parts"],
    ],
)
def test_lost_files_come_back_byte_for_byte(dataset: Path, patterns: list[str]) -> None:
    before = tree(dataset)
    remove(dataset, *patterns)
    found = repair(dataset)
    assert found.changes
    assert not found.refusals
    assert tree(dataset) == before
    assert repair(dataset) == Repair(changes=(), refusals=())


def test_lost_manifest_comes_back_but_for_the_provenance(dataset: Path) -> None:
    before = load_manifest(LocalStore(dataset))
    remove(dataset, "dataset.json", "*/*.idx", "index", "parts")
    repair(dataset)
    after = load_manifest(LocalStore(dataset))
    assert after.digest == before.digest
    assert replace(after, provenance=before.provenance) == before
    assert verify(str(dataset)) == 0


def test_damaged_files_count_as_lost(dataset: Path) -> None:
    before = tree(dataset)
    (dataset / "train" / "made-000000.idx").write_bytes(b"PAR1 no parquet PAR1")
    (dataset / "index" / "train.parquet").write_bytes(b"")
    (dataset / "parts" / "train" / "made-000001.json").write_bytes(b"{}")
    assert len(repair(dataset).changes) == 3
    assert tree(dataset) == before


def test_damaged_manifest_is_rebuilt_and_said(dataset: Path) -> None:
    (dataset / "dataset.json").write_bytes(b"{")
    found = repair(dataset)
    assert found.changes[0].startswith("dataset.json is damaged")
    assert verify(str(dataset)) == 0


def test_wrong_index_is_corrected(dataset: Path) -> None:
    before = tree(dataset)
    other = (dataset / "train" / "made-000001.idx").read_bytes()
    (dataset / "train" / "made-000000.idx").write_bytes(other)
    assert verify(str(dataset)) == 1
    assert repair(dataset).changes == ("train/made-000000.idx differed from its tar: rebuilt",)
    assert tree(dataset) == before


@pytest.mark.parametrize("lost", ["train/made-000000.idx", "dataset.json"])
def test_tar_of_other_bytes_is_refused_while_manifest_or_part_is_there(
    dataset: Path, lost: str
) -> None:
    shutil.copy(dataset / "train" / "made-000001.tar", dataset / "train" / "made-000000.tar")
    remove(dataset, lost)
    before = tree(dataset)
    found = repair(dataset)
    assert len(found.refusals) == 1
    assert "made-000000.tar: expected" in found.refusals[0]
    assert "restore it, or remove dataset.json and parts/" in found.refusals[0]
    assert tree(dataset) == before


def test_command_repairs_and_refuses_damaged_tars(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    remove(dataset, "index", "train/made-000001.idx")
    assert repair_index(str(dataset)) == 0
    assert "train/made-000001.idx was missing: rebuilt" in capsys.readouterr().out
    tar = dataset / "train" / "made-000002.tar"
    tar.write_bytes(tar.read_bytes()[:-600])
    assert repair_index(str(dataset)) == 1
    assert "1 of 4 tars are refused" in capsys.readouterr().out


def test_label_that_no_clip_has_is_named_as_lost(tmp_path: Path) -> None:
    write_dataset(tmp_path, [clip(0), clip(2)])  # rain is in no clip
    remove(tmp_path, "dataset.json")
    found = repair(tmp_path)
    assert load_manifest(LocalStore(tmp_path)).settings.labels == ("bark", "lost-label-1", "siren")
    assert any("name of label 1" in change for change in found.changes)
    assert any("an ingest can't go on" in change for change in found.changes)


def test_folder_without_shards_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no shard"):
        repair(tmp_path)


def test_shard_with_a_label_of_another_clip_is_refused(dataset: Path) -> None:
    path = dataset / "train" / "made-000000.tar"
    data = path.read_bytes()
    assert data.count(b'"key":"made+000"') == 1
    path.write_bytes(data.replace(b'"key":"made+000"', b'"key":"made+999"'))
    with pytest.raises(ShardFormatError, match=r"made\+000.json is the label of 'made\+999'"):
        rebuild_shard(LocalStore(dataset), "train/made-000000.tar")


def test_two_datasets_in_one_folder_are_refused(dataset: Path) -> None:
    remove(dataset, "dataset.json", "parts")
    (dataset / "train" / "made-000000.tar").rename(dataset / "train" / "other-000000.tar")
    with pytest.raises(ConfigError, match="names \\['made', 'other'\\]"):
        repair(dataset)


def test_parts_hold_what_the_manifest_says(dataset: Path) -> None:
    remove(dataset, "parts")
    repair(dataset)
    row = json.loads((dataset / "parts" / "test" / "made-000000.json").read_text())
    assert row["settings_digest"] == load_manifest(LocalStore(dataset)).settings.digest

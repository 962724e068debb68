"""Named targets: from clips through shards and indexes and back, and what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from shardwriter import CleanClip, SampleRecord, Settings, encode_clip
from shardwriter.check import check_indexes, check_shards
from shardwriter.errors import ConfigError, ShardFormatError
from shardwriter.index import idx_to_bytes, index_rows, merge_idx, read_idx, read_index
from shardwriter.manifest import Manifest, load_manifest
from shardwriter.publish import load_idx
from shardwriter.rebuild import rebuild_shard
from shardwriter.repair import Repair, load_known, repair_indexes, tars_to_read
from shardwriter.storage import open_store
from shardwriter.targets import Target, TargetKind, class_target, number_target
from tests.shardwriter.builders import SETTINGS, make_clip, tree, write_dataset

SPEAKERS = ("ann", "bob", "çelik")
TARGETS = {"speaker": class_target(SPEAKERS), "pitch": number_target()}
WITH_TARGETS = replace(SETTINGS, targets=TARGETS)


def values_of(number: int) -> dict[str, Any]:
    """Every fifth clip has none; the first shard of `train` no pitch, all others a whole one."""
    if number % 5 == 4:
        return {}
    speaker = {"speaker": SPEAKERS[number % 3]}
    return speaker if number < 4 else {**speaker, "pitch": 60 + number}


def clip_with(number: int, **changes: Any) -> CleanClip:
    return replace(make_clip(number), targets=values_of(number), **changes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_dataset(tmp_path / "out", [clip_with(n) for n in range(11)], settings=WITH_TARGETS)
    return tmp_path / "out"


def problems_of(folder: Path) -> list[str]:
    store = open_store(str(folder))
    manifest = load_manifest(store)
    reports = check_shards(store, manifest, manifest.shards)
    return [p for report in reports for p in report.problems] + check_indexes(store, manifest)


def repaired(folder: Path) -> Repair:
    store = open_store(str(folder))
    known = load_known(store)
    tars = tars_to_read(store, known)
    return repair_indexes(store, known, (rebuild_shard(store, tar) for tar in tars))


def test_json_holds_names_and_the_index_ids_and_numbers(folder: Path) -> None:
    table = read_index((folder / "index/train.parquet").read_bytes(), where="x")
    numbers = [number for number in range(11) if number % 3 != 2]
    assert table["target.speaker"].to_pylist() == [
        SPEAKERS.index(values_of(n)["speaker"]) if values_of(n) else None for n in numbers
    ]
    assert table["target.pitch"].to_pylist() == [values_of(n).get("pitch") for n in numbers]
    assert table.schema.names[-2:] == ["target.pitch", "target.speaker"]
    assert table.schema.types[-2:] == [pa.float64(), pa.int32()]
    record = encode_clip(clip_with(7), WITH_TARGETS).record
    row = json.loads(record.to_json_bytes())
    assert row["targets"] == {"speaker": "bob", "pitch": 67}
    assert row["target_ids"] == {"speaker": 1}
    assert SampleRecord.from_json_bytes(record.to_json_bytes(), where="x") == record


def test_manifest_brings_the_vocabularies_back(folder: Path) -> None:
    manifest = load_manifest(open_store(str(folder)))
    assert manifest.settings == WITH_TARGETS
    assert manifest.settings.digest == WITH_TARGETS.digest != SETTINGS.digest


def test_dataset_with_targets_passes_its_check(folder: Path) -> None:
    assert problems_of(folder) == []


def test_same_clips_give_the_same_bytes_after_an_interruption_too(
    folder: Path, tmp_path: Path
) -> None:
    clips = [clip_with(number) for number in range(11)]
    other = tmp_path / "other"
    unwritable = replace(clips[6], targets={"speaker": "nobody"})
    with pytest.raises(ValueError, match="nobody"):
        write_dataset(other, [*clips[:6], unwritable], settings=WITH_TARGETS)
    write_dataset(other, clips, settings=WITH_TARGETS)
    assert tree(other) == tree(folder)


def test_dataset_without_targets_has_nothing_of_them_in_its_bytes(tmp_path: Path) -> None:
    manifest = write_dataset(tmp_path / "out")
    assert (
        manifest.settings.digest
        == Settings(name=SETTINGS.name, audio=SETTINGS.audio, labels=SETTINGS.labels).digest
    )
    for path in (tmp_path / "out").rglob("*"):
        assert not path.is_file() or b"target" not in path.read_bytes(), path


# Computed before datasets could have targets.
def test_digest_of_settings_without_targets_is_what_it_was() -> None:
    assert SETTINGS.digest == "6ea8885e6fe8672adec3ed0b5e13bdacb46303120a0e9e0f032548ebbe84dbcc"


@pytest.mark.parametrize("lost", ["idx", "everything"])
def test_repair_brings_back_every_byte_from_the_tars(folder: Path, lost: str) -> None:
    before = tree(folder)
    for path in folder.rglob("*.idx"):
        path.unlink()
    if lost == "everything":
        shutil.rmtree(folder / "index")
        shutil.rmtree(folder / "parts")
        (folder / "dataset.json").unlink()
    repair = repaired(folder)
    assert repair.refusals == ()
    after = tree(folder)
    differing = {name for name in before if before[name] != after[name]}
    assert differing <= ({"dataset.json"} if lost == "everything" else set())
    assert load_manifest(open_store(str(folder))).settings == WITH_TARGETS


def test_repair_names_the_classes_that_no_clip_tells(tmp_path: Path) -> None:
    clips = [replace(make_clip(0), targets={"speaker": "çelik"})]
    write_dataset(tmp_path, clips, settings=WITH_TARGETS)
    (tmp_path / "dataset.json").unlink()
    repair = repaired(tmp_path)
    assert "class 0 of target speaker is in no clip" in repair.changes
    speaker = load_manifest(open_store(str(tmp_path))).settings.targets["speaker"]
    assert speaker.labels == ("lost-speaker-0", "lost-speaker-1", "çelik")


def test_check_tells_targets_of_the_index_that_are_not_those_of_the_label(folder: Path) -> None:
    path = folder / "train/made-000000.idx"
    rows = index_rows(read_idx(path.read_bytes(), where="x"))
    rows[0] = replace(rows[0], targets={"speaker": 2})
    path.write_bytes(idx_to_bytes(rows))
    found = problems_of(folder)
    message = "the .idx says targets {'speaker': 2}, its JSON says {'speaker': 0}"
    assert any(message in problem for problem in found)


def test_check_tells_ids_that_are_not_those_of_the_manifest(folder: Path) -> None:
    store = open_store(str(folder))
    manifest = load_manifest(store)
    targets = {**TARGETS, "speaker": class_target(reversed(SPEAKERS))}
    edited = replace(manifest, settings=replace(manifest.settings, targets=targets))
    found = [p for report in check_shards(store, edited, edited.shards) for p in report.problems]
    assert any("target ids {'speaker': 0}, the manifest's vocabularies say" in p for p in found)


def test_target_that_is_a_class_here_and_a_number_there_makes_no_index(folder: Path) -> None:
    rows = index_rows(load_idx(open_store(str(folder)), "train/made-000000.tar"))
    numbered = [replace(row, targets={"speaker": 1.5}) for row in rows]
    tables = [read_idx(idx_to_bytes(part), where="x") for part in (rows, numbered)]
    with pytest.raises(ShardFormatError, match=r"a\.tar and later shards differ in their targets"):
        merge_idx([("a.tar", tables[0]), ("b.tar", tables[1])])


def test_shards_that_contradict_each_other_are_not_of_one_dataset(tmp_path: Path) -> None:
    for split, labels in (("test", ("ann", "bob")), ("train", ("bob", "ann"))):
        settings = replace(SETTINGS, targets={"speaker": class_target(labels)})
        clip = replace(make_clip(0), split=split, targets={"speaker": "ann"})
        write_dataset(tmp_path / split, [clip], settings=settings)
    shutil.copytree(tmp_path / "test" / "test", tmp_path / "train" / "test")
    (tmp_path / "train" / "dataset.json").unlink()
    shutil.rmtree(tmp_path / "train" / "parts")
    (tmp_path / "train" / "parts").mkdir()
    store = open_store(str(tmp_path / "train"))
    known = load_known(store)
    shards = [rebuild_shard(store, tar) for tar in tars_to_read(store, known)]
    shards[1].targets.add({"speaker": "bob"}, {"speaker": 0})
    with pytest.raises(ConfigError, match="class 0 of target speaker is"):
        repair_indexes(store, known, shards)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"speaker": "dan"}, r"target 'speaker' is 'dan', expected a class of its 3"),
        ({"speaker": 1}, r"target 'speaker' is 1, expected a class"),
        ({"pitch": "high"}, r"target 'pitch' is 'high', expected a number, finite"),
        ({"pitch": float("nan")}, r"target 'pitch' is nan, expected a number"),
        ({"pitch": True}, r"target 'pitch' is True, expected a number"),
        ({"city": "milan"}, r"no target 'city'; it has \['speaker', 'pitch'\]"),
    ],
)
def test_value_that_is_not_of_the_datasets_targets_is_refused(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        encode_clip(replace(make_clip(0), targets=values), WITH_TARGETS)


@pytest.mark.parametrize("name", ["", "9th", "a.b", "a b", "x" * 65, "ü"])
def test_name_that_makes_no_column_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a target's name is a letter"):
        replace(SETTINGS, targets={name: number_target()})


@pytest.mark.parametrize(
    ("kind", "labels"),
    [(TargetKind.CLASS, ()), (TargetKind.NUMBER, ("a",)), (TargetKind.CLASS, ("a", "a"))],
)
def test_vocabulary_that_does_not_fit_the_kind_is_refused(
    kind: TargetKind, labels: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match=r"vocabulary"):
        Target(kind=kind, labels=labels)


@pytest.mark.parametrize(
    "changes",
    [
        {"targets": {"speaker": None}},
        {"targets": {"speaker": ["ann"]}},
        {"targets": {"a.b": 1.0}},
        {"targets": []},
        {"target_ids": {}},
        {"target_ids": {"speaker": -1}},
        {"target_ids": {"speaker": 2**31}},
        {"target_ids": {"speaker": 0, "pitch": 1}},
        {"target_ids": {"speaker": True}},
    ],
)
def test_label_file_with_broken_targets_is_a_format_error(changes: dict[str, Any]) -> None:
    row = json.loads(encode_clip(clip_with(7), WITH_TARGETS).record.to_json_bytes()) | changes
    with pytest.raises(ShardFormatError, match="lacks or mistypes"):
        SampleRecord.from_json_bytes(json.dumps(row).encode(), where="x")


@pytest.mark.parametrize(
    "targets",
    [
        {"speaker": {"kind": "class", "labels": []}},
        {"speaker": {"kind": "vector", "labels": []}},
        {"speaker": {"kind": "class"}},
        {"a b": {"kind": "number", "labels": []}},
        [],
    ],
)
def test_manifest_with_broken_targets_is_a_format_error(folder: Path, targets: Any) -> None:
    row = json.loads((folder / "dataset.json").read_bytes()) | {"targets": targets}
    with pytest.raises(ShardFormatError, match=r"not a manifest of format 1|digest"):
        Manifest.from_json_bytes(json.dumps(row).encode(), where="x")

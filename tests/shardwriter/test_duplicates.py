"""Audio that is there twice under two keys is found, within and across splits and runs."""

import json
from pathlib import Path

from shardwriter.index import PCM_HASH_BYTES, read_idx
from shardwriter.overlaps import DUPLICATES_NAME, DuplicateAudio
from tests.shardwriter.dataset_builders import clip, tree, write_dataset

CLIPS = [
    clip(0),
    clip(1),
    clip(2, sound=0),
    clip(3, split="test", sound=1),
    clip(4),
    clip(5, sound=0),
]
FOUND = (
    DuplicateAudio(key="made+001", split="train", same_as_key="made+003", same_as_split="test"),
    DuplicateAudio(key="made+002", split="train", same_as_key="made+000", same_as_split="train"),
    DuplicateAudio(key="made+005", split="train", same_as_key="made+000", same_as_split="train"),
)


def test_duplicates_within_and_across_splits_are_listed(tmp_path: Path) -> None:
    writer = write_dataset(tmp_path, CLIPS)
    assert writer.duplicates == FOUND
    lines = (tmp_path / DUPLICATES_NAME).read_text().splitlines()
    assert [DuplicateAudio(**json.loads(line)) for line in lines] == list(FOUND)


def test_duplicates_are_found_across_runs(tmp_path: Path) -> None:
    write_dataset(tmp_path / "whole", CLIPS, clips_per_shard=1)
    for stop in (1, 3, len(CLIPS)):
        writer = write_dataset(tmp_path / "parts", CLIPS[:stop], clips_per_shard=1)
    assert writer.duplicates == FOUND
    assert tree(tmp_path / "whole") == tree(tmp_path / "parts")


def test_dataset_without_duplicates_has_no_report(tmp_path: Path) -> None:
    writer = write_dataset(tmp_path, CLIPS[:2])
    assert writer.duplicates == ()
    assert not (tmp_path / "availability").exists()


def test_index_of_a_shard_holds_the_beginning_of_the_hash(tmp_path: Path) -> None:
    write_dataset(tmp_path, CLIPS[:1])
    table = read_idx((tmp_path / "train" / "made-000000.idx").read_bytes(), where="x")
    (held,) = table.column("pcm_hash").to_pylist()
    assert len(held) == PCM_HASH_BYTES
    tar = (tmp_path / "train" / "made-000000.tar").read_bytes()
    assert b'"pcm_sha256":"' + held.hex().encode() in tar

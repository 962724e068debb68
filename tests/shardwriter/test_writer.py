"""ShardWriter: what is written is what is read, in the same bytes, and when a shard is full."""

import tarfile
from pathlib import Path

import numpy as np
import pytest

from shardwriter import CleanClip, ShardWriter, encode_clip
from shardwriter.index import read_index
from shardwriter.keys import to_key
from shardwriter.manifest import load_manifest
from shardwriter.storage import LocalStore
from shardwriter.tarshard import read_members
from tests.shardwriter.builders import (
    NUM_CLIPS,
    SETTINGS,
    make_clip,
    make_clips,
    tree,
    write_dataset,
)
from tests.shardwriter.writing import read_split

# What is written is what is read


@pytest.mark.parametrize("split", ["train", "test"])
def test_samples_come_back_bit_for_bit_and_in_order(dataset: Path, split: str) -> None:
    clips = [clip for clip in make_clips() if clip.split == split]
    held = list(read_split(dataset, split))
    assert len(held) == len(clips) > 2
    for clip, (record, pcm_T) in zip(clips, held, strict=True):
        np.testing.assert_array_equal(pcm_T, clip.pcm_T)
        assert record == encode_clip(clip, SETTINGS).record


def test_dataset_has_the_documented_files_and_no_other(dataset: Path) -> None:
    stems = ["test/made-000000", "train/made-000000", "train/made-000001", "train/made-000002"]
    expected = {"dataset.json", "index/test.parquet", "index/train.parquet"}
    expected.add("availability/groups.jsonl")  # these clips' groups lie in both splits
    for stem in stems:
        expected |= {f"{stem}.tar", f"{stem}.idx", f"parts/{stem}.json"}
    assert set(tree(dataset)) == expected


def test_index_lists_every_sample_with_its_shard(dataset: Path) -> None:
    table = read_index((dataset / "index" / "train.parquet").read_bytes(), where="index")
    clips = [clip for clip in make_clips() if clip.split == "train"]
    assert table.column("key").to_pylist() == [to_key(clip.id) for clip in clips]
    shards = [f"train/made-{place // 3:06d}.tar" for place in range(len(clips))]
    assert table.column("shard").to_pylist() == shards
    assert table.column("fold").to_pylist() == [clip.fold for clip in clips]
    assert table.column("group").to_pylist() == [clip.group for clip in clips]


def test_manifest_counts_samples_bytes_and_seconds(dataset: Path) -> None:
    totals = load_manifest(LocalStore(dataset)).splits["train"]
    clips = [clip for clip in make_clips() if clip.split == "train"]
    tars = list((dataset / "train").glob("*.tar"))
    assert (totals.num_shards, totals.num_samples) == (len(tars), len(clips)) == (3, 8)
    assert totals.num_bytes == sum(tar.stat().st_size for tar in tars)
    assert totals.duration_seconds == pytest.approx(sum(len(c.pcm_T) for c in clips) / 8000)


def test_writer_has_the_manifest_only_when_the_block_has_ended(tmp_path: Path) -> None:
    writer = ShardWriter(str(tmp_path / "made"), SETTINGS)
    with writer:
        writer.write_clip(make_clip(0))
        assert writer.manifest is None
    assert writer.manifest == load_manifest(LocalStore(tmp_path / "made"))


def test_provenance_is_kept(tmp_path: Path) -> None:
    write_dataset(tmp_path / "made", provenance={"tools": {"soxr": "1.0 ü"}})
    manifest = load_manifest(LocalStore(tmp_path / "made"))
    assert manifest.provenance == {"tools": {"soxr": "1.0 ü"}}


def test_same_samples_give_the_same_bytes(dataset: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "again")
    assert tree(tmp_path / "again") == tree(dataset)


def test_shards_do_not_depend_on_how_the_splits_are_interleaved(
    dataset: Path, tmp_path: Path
) -> None:
    write_dataset(tmp_path / "sorted", sorted(make_clips(), key=lambda clip: clip.split))
    assert tree(tmp_path / "sorted") == tree(dataset)


# When a shard is full


@pytest.mark.parametrize(("limit", "sizes"), [(1, [1] * 8), (3, [3, 3, 2]), (8, [8]), (99, [8])])
def test_shard_is_full_with_so_many_samples(tmp_path: Path, limit: int, sizes: list[int]) -> None:
    manifest = write_dataset(tmp_path / "made", max_samples_per_shard=limit)
    assert [shard.num_samples for shard in manifest.shards_of("train")] == sizes


def test_shard_is_full_when_it_has_reached_so_many_bytes(tmp_path: Path) -> None:
    manifest = write_dataset(tmp_path / "made", max_samples_per_shard=99, max_bytes_per_shard=6_000)
    sizes = [shard.num_samples for shard in manifest.shards_of("train")]
    assert sum(sizes) == 8
    assert len(sizes) > 1
    for shard in manifest.shards_of("train")[:-1]:
        *_, last = read_members((tmp_path / "made" / shard.tar).read_bytes(), where=shard.tar)
        whole = last.offset + -(-len(last.data) // 512) * 512
        assert 6_000 <= whole < 6_000 + 4_000  # over it by less than one sample


def test_sample_larger_than_a_shard_gets_one_of_its_own(tmp_path: Path) -> None:
    manifest = write_dataset(tmp_path / "made", max_bytes_per_shard=1)
    assert {shard.num_samples for shard in manifest.shards} == {1}
    assert len(manifest.shards) == NUM_CLIPS


def test_default_limit_keeps_many_clips_in_one_shard(tmp_path: Path) -> None:
    clips = [
        CleanClip(id=f"made/{number}", split="train", pcm_T=np.zeros(16, np.int16), labels=())
        for number in range(1001)
    ]
    with ShardWriter(str(tmp_path / "made"), SETTINGS) as writer:
        for clip in clips:
            writer.write_clip(clip)
    with tarfile.open(tmp_path / "made" / "train" / "made-000000.tar") as tar:
        assert len(tar.getnames()) == 2000

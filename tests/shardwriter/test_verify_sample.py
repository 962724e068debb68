"""Verifying with a sample: all bytes are hashed, some clips decoded, the same ones each time."""

import random
import tracemalloc
from pathlib import Path

import pytest

import shardwriter.check as check
from jobs.verify import verify
from shardwriter import CleanClip
from shardwriter.check import NO_CLIPS, check_shard, check_shards, choose_clips
from shardwriter.errors import ShardFormatError
from shardwriter.index import index_rows, read_idx, read_index
from shardwriter.manifest import load_manifest
from shardwriter.storage import LocalStore
from tests.shardwriter.dataset_builders import clip, noise, settings, write_dataset


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    write_dataset(tmp_path / "d", [clip(number) for number in range(10)])
    return tmp_path / "d"


def test_sample_is_seeded_uniform_and_bounded(dataset: Path) -> None:
    shards = load_manifest(LocalStore(dataset)).shards
    chosen = choose_clips(shards, 4, seed=1)
    assert chosen == choose_clips(shards, 4, seed=1)
    assert chosen != choose_clips(shards, 4, seed=2)
    assert sum(map(len, chosen)) == 4
    assert choose_clips(shards, 99, seed=0) == [{0, 1, 2}, {0, 1, 2}, {0, 1, 2}, {0}]
    hits = [0, 0, 0, 0]
    for seed in range(400):
        for number, places in enumerate(choose_clips(shards, 1, seed=seed)):
            hits[number] += len(places)
    assert all(90 < count < 150 for count in hits[:3])
    assert 20 < hits[3] < 65


def test_only_the_sample_is_decoded(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    decode = check._decode_member
    monkeypatch.setattr(
        check, "_decode_member", lambda *args: (decoded.append(1), decode(*args))[1]
    )
    assert verify(str(dataset), num_sampled=4) == 0
    assert len(decoded) == 4
    assert verify(str(dataset), decode=False) == 0
    assert len(decoded) == 4


def test_damage_outside_of_the_sample_is_found_by_the_hash(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = dataset / "train" / "made-000003.tar"
    data = bytearray(path.read_bytes())
    data[700] ^= 1
    path.write_bytes(data)
    assert verify(str(dataset), num_sampled=0 + 1, seed=5) == 1
    assert "SHA-256" in capsys.readouterr().err


def test_processes_find_the_same(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = dataset / "train" / "made-000001.tar"
    path.write_bytes(path.read_bytes()[:-1])
    outputs = []
    for num_workers in (1, 2):
        assert verify(str(dataset), num_workers=num_workers) == 1
        outputs.append([line for line in capsys.readouterr().err.splitlines() if "made" in line])
    assert outputs[0] == outputs[1] != []


def test_duplicates_are_notes_not_failures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = [clip(0, group="ann"), clip(1, sound=0), clip(2, split="test", group="ann")]
    write_dataset(tmp_path, clips)
    assert verify(str(tmp_path)) == 0
    output = capsys.readouterr().out
    assert "note: 1 clip with the audio of another clip, the first is made+001" in output
    assert "note: 1 groups lie in more than one split, the first is ann: test 1, train 1" in output


def test_memory_is_bounded_by_a_clip_not_by_the_shard(tmp_path: Path) -> None:
    long = [
        CleanClip(id=f"made/{n}", split="train", pcm_T=noise(n, num_samples=500_000), labels=())
        for n in range(40)
    ]
    write_dataset(tmp_path, long, clips_per_shard=100)
    store = LocalStore(tmp_path)
    (shard,) = load_manifest(store).shards
    assert shard.num_bytes > 32 << 20
    tracemalloc.start()
    report = check_shard(store, settings(), shard, decode=NO_CLIPS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.problems == ()
    assert peak < 24 << 20


def test_frame_offset_that_is_off_by_one_is_found(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "find_frame_offsets", lambda data, *, where: (1, 2))
    store = LocalStore(dataset)
    manifest = load_manifest(store)
    reports = list(check_shards(store, manifest, manifest.shards))
    assert all("frame offsets that differ" in report.problems[0] for report in reports)


@pytest.mark.parametrize("name", ["train/made-000000.idx", "index/train.parquet"])
def test_mutated_index_is_refused_or_read_and_nothing_else(dataset: Path, name: str) -> None:
    data = (dataset / name).read_bytes()
    rng = random.Random(name)
    num_refused = 0
    for _ in range(1500):
        mutated = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            mutated[rng.randrange(len(mutated))] = rng.randrange(256)
        if rng.random() < 0.2:
            del mutated[rng.randrange(len(mutated)) :]
        try:
            if name.endswith(".idx"):
                index_rows(read_idx(bytes(mutated), where="x"))
            else:
                read_index(bytes(mutated), where="x").to_pylist()
        except ShardFormatError:
            num_refused += 1
    assert num_refused > 100

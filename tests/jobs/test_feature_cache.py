"""`melstream cache-features`: the same bytes whoever makes them; other targets are refused."""

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs import cli
from jobs.feature_cache import FeatureCacheOptions, cache_features
from jobs.sync import SyncOptions, sync
from loader import World
from loader.features import LogMelConfig
from shardwriter import AudioFormat, CleanClip, Settings, ShardWriter
from shardwriter.errors import ConfigError, ShardFormatError
from shardwriter.index import read_idx
from shardwriter.manifest import load_manifest
from shardwriter.shard_names import idx_name
from shardwriter.storage import open_store
from tests.jobs.builders import tree, wav
from tests.jobs.feature_builders import NUM_CLIPS, cache, make_audio, make_features
from tests.jobs.shard_records import records_of


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_audio(tmp_path_factory.mktemp("audio") / "made")


@pytest.fixture(scope="module")
def features(audio: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made by one process; tests only read it."""
    return Path(make_features(audio, tmp_path_factory.mktemp("features") / "made"))


def test_records_splits_and_order_are_those_of_the_audio(audio: str, features: Path) -> None:
    ours, theirs = load_manifest(open_store(str(features))), load_manifest(open_store(audio))
    assert [(s.tar, s.num_samples) for s in ours.shards] == [
        (s.tar, s.num_samples) for s in theirs.shards
    ]
    changed = {"audio_offset", "audio_num_bytes", "audio_crc32c", "json_offset", "json_num_bytes"}
    changed |= {"json_crc32c", "frame_offsets"}
    for shard in ours.shards:
        mine, source = (
            read_idx((Path(folder) / idx_name(shard.tar)).read_bytes(), where="")
            for folder in (features, audio)
        )
        same = [name for name in source.column_names if name not in changed]
        assert mine.select(same).equals(source.select(same))
        assert "target.pitch" in same
    found = {record.id: record for record in records_of(features)}
    assert len(found) == NUM_CLIPS
    for record in records_of(Path(audio)):
        row = json.loads(found[record.id].to_json_bytes())
        assert row.pop("audio_suffix") == "mel.npy"
        expected = json.loads(record.to_json_bytes())
        assert expected.pop("audio_suffix") == "flac"
        assert row == expected


def test_the_manifest_says_how_the_features_were_made(audio: str, features: Path) -> None:
    row = json.loads((features / "dataset.json").read_text())
    stated = row["features"]
    assert (stated["preset"], stated["num_mels"], stated["frame_rate_hz"]) == ("small", 64, 50.0)
    assert LogMelConfig(**stated["parameters"]).hop_samples == 320
    made = row["provenance"]["features"]
    assert made["source_digest"] == load_manifest(open_store(audio)).digest
    assert made["device"] == "cpu"
    assert set(made["versions"]) == {"melstream", "torch", "numpy"}


def test_a_second_run_has_nothing_to_do_and_changes_nothing(audio: str, tmp_path: Path) -> None:
    first = cache(audio, tmp_path / "out")
    before = tree(tmp_path / "out")
    again = cache(audio, tmp_path / "out")
    assert (first.num_made, again.num_made, again.num_missing) == (5, 0, 0)
    assert tree(tmp_path / "out") == before


def test_ranks_in_any_order_make_the_same_bytes(audio: str, features: Path, tmp_path: Path) -> None:
    world = [World(rank=rank, size=3, local_rank=rank) for rank in range(3)]
    summaries = [cache(audio, tmp_path / "ranks", world=world[rank]) for rank in (2, 0, 1)]
    assert [summary.num_made for summary in summaries] == [1, 2, 2]
    assert [summary.manifest is None for summary in summaries] == [True, True, False]
    assert tree(tmp_path / "ranks") == tree(features)


def test_processes_make_the_same_bytes(audio: str, features: Path, tmp_path: Path) -> None:
    cache(audio, tmp_path / "workers", num_workers=2)
    assert tree(tmp_path / "workers") == tree(features)


@pytest.mark.slow
def test_under_torchrun_the_ranks_share_the_shards(
    audio: str, features: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    launcher = ["-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    command = ["-m", "jobs.cli", "cache-features", audio, "--out", str(out), "--workers", "0"]
    subprocess.run(
        [sys.executable, *launcher, "--nproc-per-node", "2", *command, "--device", "cpu"],
        check=True,
        capture_output=True,
        timeout=180,
    )
    assert tree(out) == tree(features)


def killed(audio: str, folder: Path, step: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.jobs.killed_feature_cache", audio, str(folder), str(step)],
        check=True,
        capture_output=True,
        text=True,
        timeout=550,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_killed_run_leaves_whole_shards_and_the_next_one_the_same_bytes(
    tmp_path: Path,
) -> None:
    found = killed(make_audio(tmp_path / "audio", num_clips=5), tmp_path, 53)
    assert found["num_points"] > 2
    assert found["problems"] == {}


@pytest.mark.slow
def test_a_run_that_is_killed_at_any_file_operation_leaves_whole_shards(tmp_path: Path) -> None:
    found = killed(make_audio(tmp_path / "audio", num_clips=5), tmp_path, 1)
    assert found["num_points"] > 60
    assert found["problems"] == {}


def test_splits_can_be_cached_one_after_the_other(
    audio: str, features: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = cache(audio, out, splits=("test",))
    assert first.manifest is not None
    assert list(first.manifest.splits) == ["test"]
    cache(audio, out, splits=("train",))
    assert tree(out) == tree(features)
    with pytest.raises(ConfigError, match="has no split 'eval'"):
        cache(audio, out, splits=("eval",))


def test_a_dataset_that_has_grown_is_topped_up(tmp_path: Path) -> None:
    url = make_audio(tmp_path / "audio", num_clips=6)
    cache(url, tmp_path / "out")
    settings = load_manifest(open_store(url)).settings
    with ShardWriter(url, settings, max_samples_per_shard=3) as writer:
        pcm_T = np.ones(2000, np.int16)
        writer.write_clip(CleanClip(id="made/new", split="train", pcm_T=pcm_T, labels=("hum",)))
    summary = cache(url, tmp_path / "out")
    assert (summary.num_made, summary.num_shards) == (1, 4)
    assert tree(tmp_path / "out") == tree(Path(make_features(url, tmp_path / "anew")))


def test_a_target_with_something_else_is_refused(audio: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    cache(audio, out, "ast", splits=("test",))
    with pytest.raises(ConfigError, match="is of another dataset or preset; choose another --out"):
        cache(audio, out, "ecapa")
    with pytest.raises(ConfigError, match="is of another dataset or preset"):
        cache(audio, Path(audio))
    other = make_audio(tmp_path / "other", seed=100)
    with pytest.raises(ConfigError, match=r"test/made-000000\.tar holds features of other clips"):
        cache(other, out, "ast")


def test_only_audio_of_our_own_is_taken(features: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds log-mels, preset small: .* already"):
        cache(str(features), tmp_path / "out")
    foreign = tmp_path / "foreign"
    (foreign / "train").mkdir(parents=True)
    with tarfile.open(foreign / "train" / "x-000000.tar", "w") as tar:
        for name, data in (("a.wav", wav(0.3)), ("a.cls", b"0")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    assert cli.main(["index", str(foreign)]) == 0
    with pytest.raises(ConfigError, match=r"shards that others made, .* ingest them first"):
        cache(str(foreign), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_front_end_that_would_cut_clips_is_refused(tmp_path: Path) -> None:
    settings = Settings(name="long", audio=AudioFormat(sample_rate_hz=48_000), labels=())
    with ShardWriter(str(tmp_path / "long"), settings) as writer:
        pcm_T = np.ones(480_001, dtype=np.int16)
        writer.write_clip(CleanClip(id="long/1", split="train", pcm_T=pcm_T, labels=()))
    with pytest.raises(ConfigError, match=r"takes the first 10 s of a clip, and long\+1 has 10"):
        cache(str(tmp_path / "long"), tmp_path / "out", "clap")


def test_a_damaged_shard_of_audio_is_an_error_and_publishes_nothing(tmp_path: Path) -> None:
    url = make_audio(tmp_path / "audio", num_clips=3)
    tar = Path(url) / "train/made-000000.tar"
    tar.write_bytes(tar.read_bytes().replace(b'"number":2', b'"number":7'))  # still a label
    with pytest.raises(ShardFormatError, match=r"made-000000\.tar: expected SHA-256"):
        cache(url, tmp_path / "out")
    assert [name for name in tree(tmp_path / "out") if not name.startswith(".")] == []


def test_the_command_tells_what_it_made_and_verify_inspect_doctor_and_sync_take_it(
    audio: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    command = ["cache-features", audio, "--out", out, "--preset", "ast", "--workers", "0"]
    assert cli.main([*command, "--device", "cpu", "--splits", "train,test"]) == 0
    assert (
        "log-mels, preset ast: float16, 128 bands, 100 frames a second" in capsys.readouterr().out
    )
    assert cli.main(["verify", out, "--workers", "0"]) == 0
    assert "14 clips" in (printed := capsys.readouterr().out)
    assert "labels and features agree" in printed
    assert cli.main(["inspect", out]) == 0
    assert "log-mels, preset ast" in capsys.readouterr().out
    png = tmp_path / "clip.png"
    assert cli.main(["inspect", out, "made/003.wav", "--png", str(png)]) == 0
    assert f"log-mel: {png}" in capsys.readouterr().out
    assert png.stat().st_size > 5000
    assert cli.main(["doctor", out, "--batch-size", "2", "--crop-seconds", "1"]) == 0
    assert "it would run" in capsys.readouterr().out
    copied = sync(SyncOptions(source=out, target=str(tmp_path / "copy"), quiet=True))
    assert (copied.num_shards, copied.problems) == (5, ())
    assert tree(tmp_path / "copy") == tree(Path(out))


def test_indexes_that_are_lost_are_made_again(audio: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    cache(audio, out)
    before = tree(out)
    (out / "index/train.parquet").unlink()
    (out / "train/made-000001.idx").unlink()
    assert cli.main(["verify", str(out), "--repair-index", "--workers", "0"]) == 0
    assert tree(out) == before


def test_asking_for_a_device_that_is_not_there_is_refused(audio: str, tmp_path: Path) -> None:
    options = FeatureCacheOptions(url=audio, out=str(tmp_path / "out"), device="cuda")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.cuda.is_available", lambda: False)
        with pytest.raises(ConfigError, match="this process sees no CUDA device"):
            cache_features(options, world=World())

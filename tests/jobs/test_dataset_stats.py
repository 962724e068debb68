"""`melstream stats`, alone and over two processes, against plain numpy over every clip."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jobs import cli
from jobs.front_end import FrontEnd, front_end_config, small_log_mel, with_statistics
from loader import LoaderConfig, ShardLoader, World
from loader.features import LogMel
from shardwriter import AudioFormat, CleanClip, Settings, ShardWriter
from shardwriter.errors import ConfigError, ShardFormatError
from shardwriter.storage import open_store
from tests.jobs.builders import TONE_HZ, TONE_LABELS, sound_of

pytestmark = pytest.mark.usefixtures("one_thread")

NUM_CLIPS = 37


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Clips of 0.2 to 1 s; the second half of every fifth is silent, and one is silent all over."""
    folder = tmp_path_factory.mktemp("stats") / "dataset"
    settings = Settings(name="tones", audio=AudioFormat(sample_rate_hz=TONE_HZ), labels=TONE_LABELS)
    with ShardWriter(str(folder), settings, max_samples_per_shard=10) as writer:
        for number in range(NUM_CLIPS):
            label = TONE_LABELS[number % 3]
            pcm_T = sound_of(label, number=number, seconds=0.2 + 0.02 * number)
            if number % 5 == 0:
                pcm_T[len(pcm_T) // 2 :] = 0
            if number == 7:
                pcm_T[:] = 0
            writer.write_clip(
                CleanClip(id=f"tones/{number:03d}", split="train", pcm_T=pcm_T, labels=(label,))
            )
    return str(folder)


def clips_of(url: str) -> list[np.ndarray]:
    config = LoaderConfig(
        url=url, split="train", batch_size=1, crop_seconds=None, crop="start", shuffle=False
    )
    return [
        batch.wave_BT[0, : int(batch.num_samples_B[0])].numpy()
        for batch in ShardLoader(config, world=World())
    ]


def read(url: str) -> dict[str, Any]:
    row: dict[str, Any] = json.loads((Path(url) / "stats" / "small.json").read_text())
    return row


def test_statistics_are_those_of_every_frame_of_every_clip(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["stats", url]) == 0
    printed = capsys.readouterr().out
    assert "37 in 0.01 h" in printed
    row = read(url)
    clips = clips_of(url)
    log_mel = LogMel(small_log_mel(TONE_HZ))
    mel_MF = torch.cat([log_mel(torch.from_numpy(clip)[None])[0] for clip in clips], dim=1).double()
    assert row["num_feature_frames"] == mel_MF.shape[1]
    assert row["mean"] == pytest.approx(mel_MF.mean(dim=1).tolist(), abs=2e-3)
    assert row["std"] == pytest.approx(mel_MF.std(dim=1, correction=0).tolist(), abs=2e-3)
    levels = [10 * np.log10(np.mean((clip / 32768) ** 2)) for clip in clips if clip.any()]
    assert len(levels) == NUM_CLIPS - 1
    assert row["level_dbfs_mean"] == pytest.approx(np.mean(levels))
    frames = [clip[: len(clip) // 160 * 160].reshape(-1, 160) / 32768 for clip in clips]
    silent = [(frame**2).mean(axis=1) < 1e-6 for frame in frames]
    assert row["silence_share"] == pytest.approx(np.concatenate(silent).mean())
    assert 0.05 < row["silence_share"] < 0.3
    assert row["clips_per_class"] == {"low": 13, "high": 12, "noise": 12}
    assert row["duration_seconds_percentiles"]["100"] == pytest.approx(0.92)


def test_two_processes_measure_what_one_does(url: str) -> None:
    assert cli.main(["stats", url]) == 0
    alone = read(url)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    subprocess.run(
        [sys.executable, *launcher, "--nproc-per-node", "2", "-m", "jobs.cli", "stats", url],
        check=True,
        capture_output=True,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    together = read(url)
    for name in ("mean", "std"):
        assert together.pop(name) == pytest.approx(alone.pop(name), rel=1e-9)
    for name in ("level_dbfs_mean", "level_dbfs_std"):
        assert together.pop(name) == pytest.approx(alone.pop(name), rel=1e-9)
    assert together == alone


def test_preset_for_another_sample_rate_is_refused(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["stats", url, "--preset", "ast"]) == 2
    assert "is for waves of 16000 Hz, these have 8000 Hz" in capsys.readouterr().err


def test_front_end_standardises_by_them(url: str) -> None:
    assert cli.main(["stats", url]) == 0
    store = open_store(url)
    config = with_statistics(front_end_config("small", sample_rate_hz=TONE_HZ), store)
    loader = ShardLoader(
        LoaderConfig(url=url, split="train", batch_size=NUM_CLIPS, crop_seconds=None, crop="start"),
        world=World(),
    )
    features = FrontEnd(config)(next(iter(loader)))
    frame_F = torch.arange(features.mel_BMF.shape[2])
    own_NM = features.mel_BMF.transpose(1, 2)[frame_F < features.num_frames_B[:, None]]
    assert own_NM.mean(dim=0).abs().max() < 1e-3
    assert (own_NM.std(dim=0) - 1).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("mean", [0.0] * 63),
        ("mean", "0" * 64),
        ("mean", [float("nan")] * 64),
        ("std", [0.0] * 64),
        ("std", [10**400] * 64),
        ("std", ["1"] * 64),
        ("std", None),
    ],
)
def test_statistics_that_are_none_are_refused(tmp_path: Path, name: str, values: object) -> None:
    row = {"mean": [0.0] * 64, "std": [1] * 64}
    (tmp_path / "stats").mkdir()
    file = tmp_path / "stats" / "small.json"
    file.write_text(json.dumps(row))
    config, store = front_end_config("small", sample_rate_hz=TONE_HZ), open_store(str(tmp_path))
    assert with_statistics(config, store).std_M == (1.0,) * 64
    file.write_text(json.dumps({**row, name: values}))
    with pytest.raises(ConfigError, match=r"small\.json is not of these features: run `melstream"):
        with_statistics(config, store)
    file.write_text("{")
    with pytest.raises(ShardFormatError, match=r"small\.json: not JSON"):
        with_statistics(config, store)


def test_training_asks_for_them_where_they_are_not(
    tones_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", tones_url, "--folds", "1,2", "--eval-fold", "3", "--batch-size", "8"]
    assert cli.main([*command, "--standardise", "--out", str(tmp_path)]) == 2
    assert f"run `melstream stats {tones_url} --preset small` first" in capsys.readouterr().err

"""What `melstream train` reads, and how: its flags, and the loader that comes of them."""

from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pytest

from jobs import cli
from jobs.loading_options import LoadingOptions
from jobs.training_commands import train_options
from jobs.training_data import training_loader
from loader import LoaderConfig, ShardLoader, World
from shardwriter import AudioFormat, CleanClip, Settings, ShardWriter
from shardwriter.storage import open_store

LABELS = ("high", "low")
NUM_CLIPS = {"balanced": 8, "unbalanced": 16, "eval": 4}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("splits") / "dataset"
    settings = Settings(name="noises", audio=AudioFormat(sample_rate_hz=8000), labels=LABELS)
    rng = np.random.default_rng(0)
    with ShardWriter(str(folder), settings, max_samples_per_shard=4) as writer:
        for split, num_clips in NUM_CLIPS.items():
            for number in range(num_clips):
                pcm_T = rng.integers(-1000, 1000, 4000).astype(np.int16)
                label = LABELS[number % 2]
                writer.write_clip(
                    CleanClip(id=f"{split}/{number}", split=split, pcm_T=pcm_T, labels=(label,))
                )
    return str(folder)


def loader_for(url: str, *flags: str) -> ShardLoader:
    asked = ["train", url, "--eval-split", "eval", "--batch-size", "4", "--crop-seconds", "0.5"]
    options = train_options(cli.parser().parse_args([*asked, *flags]))
    return training_loader(options, world=World(), store=open_store(url))


def test_several_splits_are_trained_on_as_one(url: str) -> None:
    loader = loader_for(url, "--train-split", "balanced,unbalanced")
    read_from = [key.partition("+")[0] for batch in loader for key in batch.keys]
    assert {split: read_from.count(split) for split in NUM_CLIPS} == NUM_CLIPS | {"eval": 0}


def test_flags_of_loading_reach_the_loader(url: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    config = loader_for(
        url, "--train-split", "balanced", "--num-threads", "3", "--open-shards", "2",
        "--num-streams", "4", "--cache-dir", str(cache), "--cache-gb", "0.5",
        "--fetch-connections", "9", "--error-budget", "0.25",
        "--tail", "cycle",
    ).config  # fmt: skip
    assert (config.num_threads, config.open_shards, config.num_streams) == (3, 2, 4)
    assert (config.cache_dir, config.cache_bytes) == (str(cache), 500_000_000)
    assert (config.fetch_connections, config.error_budget, config.tail) == (9, 0.25, "cycle")


def test_loading_is_preset_as_the_loader_s_own() -> None:
    presets = {field.name: field.default for field in fields(LoaderConfig)}
    assert asdict(LoadingOptions()).items() <= presets.items()


@pytest.mark.parametrize("splits", ["", "a,", "a,a"])
def test_splits_without_a_name_or_twice_the_same_are_refused(
    splits: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.parser().parse_args(["train", "data", "--train-split", splits])
    assert "--train-split/--split: expected different names such as a,b" in capsys.readouterr().err


@pytest.mark.parametrize("budget", ["1.5", "-1", "many"])
def test_an_error_budget_that_is_no_number_and_no_share_is_refused(
    budget: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.parser().parse_args(["train", "data", f"--error-budget={budget}"])
    assert "expected a whole number, or a share below 1 such as 0.001" in capsys.readouterr().err

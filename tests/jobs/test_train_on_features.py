"""`melstream train`, `evaluate` and `stats` on cached features, against the same on audio."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from jobs import cli
from jobs.cached_features import wave_operations
from jobs.front_end import FrontEnd, front_end_config, with_statistics
from jobs.results import load_result
from loader import LoaderConfig, ShardLoader, World
from loader.augment import AugmentRecipe
from loader.augment import recipe as augment_recipe
from loader.augment.recipe_mel import FilterAugment, FreqMixStyle, SpecAugment
from loader.augment.recipe_mix import Mix
from loader.augment.recipe_wave import Gain
from shardwriter.storage import open_store
from tests.jobs.builders import TONE_HZ
from tests.jobs.feature_builders import features_loader, make_features

pytestmark = pytest.mark.usefixtures("one_thread")

FOLDS = ["--folds", "1,2", "--eval-fold", "3", "--batch-size", "8"]
MEL_RECIPE = """
[filter_augment]
p = 1.0

[spec_augment]
num_time_masks = 1
max_time_frames = 8

[mix]
p = 0.5
domain = "mel"
"""


@pytest.fixture(scope="module")
def features_url(tones_url: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_features(tones_url, tmp_path_factory.mktemp("features") / "tones")


def train(url: str, out: Path, *more: str) -> list[float]:
    """Train, and return the losses."""
    assert cli.main(["train", url, *FOLDS, "--out", str(out), *more]) == 0
    return load_result(out).losses


def test_features_train_as_their_audio_does(
    tones_url: str, features_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["--no-shift", "--epochs", "1", "--crop-seconds", "1", "--model", "cnn6"]
    of_audio = train(tones_url, tmp_path / "audio", *settings)
    of_features = train(features_url, tmp_path / "features", *settings, "--report")
    # The clips are as long as the crops, so that all that differs is what float16 rounds.
    assert len(of_features) == 3
    assert of_features == pytest.approx(of_audio, abs=0.005)
    assert (tmp_path / "features" / "report.html").stat().st_size > 50_000
    checkpoint = str(tmp_path / "features" / "checkpoint.pt")
    command = ["--checkpoint", checkpoint, "--split", "train", "--folds", "3", "--out"]
    figures = []
    for name, url in (("a", tones_url), ("f", features_url)):
        assert cli.main(["evaluate", url, *command, str(tmp_path / name)]) == 0
        figures.append(json.loads((tmp_path / name).read_text())["metrics"])
    assert figures[0]["macro_map"] == pytest.approx(figures[1]["macro_map"], abs=0.05)
    assert figures[1]["num_clips"] == 9


def test_a_network_that_learned_with_shifts_sees_cached_clips_as_it_saw_them(
    tones_url: str, features_url: str
) -> None:
    config = front_end_config("small", sample_rate_hz=TONE_HZ, shift=True)
    front_end = FrontEnd(config)
    audio = LoaderConfig(url=tones_url, split="train", batch_size=4, crop_seconds=2.0)
    waves = next(iter(ShardLoader(audio, world=World())))
    cached = next(iter(features_loader(features_url, batch_size=4, crop_seconds=2.0)))
    expected, got = front_end(waves), front_end(cached)
    assert got.num_frames_B.equal(expected.num_frames_B)
    # But for the frames that reach over the clip's end, which the front end can't see here.
    assert (got.mel_BMF - expected.mel_BMF)[:, :, :50].abs().max() <= 2**-5
    assert (got.mel_BMF - expected.mel_BMF)[:, :, 52:].abs().max() <= 2**-5


def test_masks_and_mixing_of_spectrograms_work_on_features(
    features_url: str, tmp_path: Path
) -> None:
    recipe = tmp_path / "mel.toml"
    recipe.write_text(MEL_RECIPE)
    flags = ["--augment", str(recipe), "--epochs", "1", "--model", "cnn6"]
    losses = train(features_url, tmp_path / "augmented", *flags)
    plain = train(features_url, tmp_path / "plain", "--no-shift", *flags[2:])
    assert len(losses) == len(plain) == 3
    assert losses[0] != pytest.approx(plain[0], abs=1e-4)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--preset", "torchaudio", "--no-shift"], "holds features of preset small; choose that"),
        (["--shift"], "--shift rolls waves, and .* holds features; give --no-shift"),
        (["--augment", "esc50"], "--augment: .*roll.* waves, and .* holds features; use a TOML"),
    ],
)
def test_what_needs_audio_is_refused_before_the_training(
    features_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    message: str,
) -> None:
    assert cli.main(["train", features_url, *FOLDS, "--out", str(tmp_path), *flags]) == 2
    error = capsys.readouterr().err
    assert error.startswith("melstream train: ")
    assert re.search(message, error)


def test_operations_are_told_by_whether_they_need_waves() -> None:
    spectral = AugmentRecipe(
        mix=Mix(domain="mel"),
        freq_mix_style=FreqMixStyle(),
        filter_augment=FilterAugment(),
        spec_augment=SpecAugment(),
    )
    assert wave_operations(spectral) == []
    both = AugmentRecipe(remove_mean=True, gain=Gain(min_db=-3, max_db=3), mix=Mix())
    assert wave_operations(both) == ["remove_mean", "gain", "mix"]
    for name in ("audioset", "esc50", "speech_commands", "voxceleb"):
        assert wave_operations(augment_recipe(name))


def test_statistics_of_features_are_those_of_the_audio_and_standardise_it(
    tones_url: str, features_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audio_url = str(shutil.copytree(tones_url, tmp_path / "tones"))  # stats writes beside it
    rows = []
    for url in (audio_url, features_url):
        assert cli.main(["stats", url]) == 0
        rows.append(json.loads(open_store(url).read("stats/small.json")))
    of_audio, of_features = rows
    assert "silence_share" not in of_features
    assert "silence" not in capsys.readouterr().out.rpartition("clips per class")[2]
    for name in ("mean", "std"):
        assert of_features[name] == pytest.approx(of_audio[name], abs=5e-3)
    assert of_features["num_feature_frames"] == of_audio["num_feature_frames"]
    config = with_statistics(
        front_end_config("small", sample_rate_hz=TONE_HZ), open_store(features_url)
    )
    loader = features_loader(features_url, crop_seconds=None, batch_size=33)
    mel_BMF = FrontEnd(config)(next(iter(loader))).mel_BMF
    assert mel_BMF.mean(dim=(0, 2)).abs().max() < 1e-3
    assert (mel_BMF.std(dim=(0, 2)) - 1).abs().max() < 1e-3
    assert cli.main(["stats", features_url, "--preset", "torchaudio"]) == 2


def test_features_stay_float32_in_the_front_end(features_url: str) -> None:
    batch = next(iter(features_loader(features_url, crop_seconds=None, mel_dtype="float16")))
    front_end = FrontEnd(front_end_config("small", sample_rate_hz=TONE_HZ))
    assert front_end.training_features(batch, 0).mel_BMF.dtype == torch.float32

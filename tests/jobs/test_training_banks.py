"""Training with noises and rooms from banks: the same on any world size, and after a resume."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from jobs import cli
from jobs.augmentation import open_augmentation
from jobs.bank_options import BankOptions, BankSource
from jobs.checkpoint import load_checkpoint
from jobs.front_end import FrontEnd, recipe_front_end
from jobs.preemption import StopRequest
from jobs.recipe import Recipe
from jobs.results import load_result
from jobs.train_options import TrainOptions
from jobs.training import Trainer
from jobs.training_data import training_loader
from loader import World
from loader.device_pipeline import DevicePipeline
from shardwriter.errors import ConfigError
from shardwriter.storage import open_store
from tests.jobs.builders import TONE_HZ, TONE_LABELS
from tests.jobs.noise_builders import make_noises, make_responses

CPU = torch.device("cpu")
# 24 clips of folds 1 and 2, three steps an epoch.
RECIPE = Recipe(
    epochs=3, batch_size=8, crop_seconds=0.7, width=0.03125, shift=False, checkpoint_steps=1
)
# Both in most clips; no partner from the batch, which depends on the world size.
NOISY = """
[room]
p = 0.7
[noise]
p = 0.9
[noise.kinds.music]
min_snr_db = 0
max_snr_db = 10
[noise.kinds.speech]
min_snr_db = 5
max_snr_db = 15
min_voices = 2
max_voices = 3
"""

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, BankSource]:
    folder = tmp_path_factory.mktemp("banks")
    return {
        "noise": BankSource(url=make_noises(folder / "noises", clips_a_kind=4)),
        "room": BankSource(url=make_responses(folder / "rirs"), splits=("small",)),
    }


@pytest.fixture
def noisy(tmp_path: Path) -> Recipe:
    path = tmp_path / "noisy.toml"
    path.write_text(NOISY)
    return replace(RECIPE, augment=str(path))


def options_for(
    url: str, out: Path, recipe: Recipe, sources: Mapping[str, BankSource]
) -> TrainOptions:
    # Room for two noises of a kind at a time, of the four there are.
    banks = BankOptions(sources=sources, num_bytes=4 * 20 * TONE_HZ * 2)
    return TrainOptions(url=url, folds=(1, 2), eval_folds=(3,), out=out, recipe=recipe, banks=banks)


def run(options: TrainOptions, *, stop_behind: int | None = None) -> Trainer:
    trainer = Trainer(options, world=World(), device=CPU)
    stop = StopRequest()

    def on_step(loss: float) -> None:
        if len(trainer.history.losses) == stop_behind:
            stop.set(15)

    assert trainer.train(on_step, stop) == (stop_behind is None)
    return trainer


@pytest.mark.parametrize("stop_behind", [2, 4])
def test_run_that_is_stopped_ends_with_the_same_weights_though_the_noises_change(
    tones_url: str,
    tmp_path: Path,
    noisy: Recipe,
    sources: Mapping[str, BankSource],
    stop_behind: int,
) -> None:
    whole = run(options_for(tones_url, tmp_path / "whole", noisy, sources))
    bank = whole.augmentation.banks.noise
    assert bank is not None
    assert len({bank.at(epoch).keys for epoch in range(3)}) > 1
    options = options_for(tones_url, tmp_path / "parts", noisy, sources)
    stopped = run(options, stop_behind=stop_behind)
    assert stop_behind < stopped.step < stopped.num_steps
    resumed = run(replace(options, resume=True))
    assert resumed.history.losses == whole.history.losses
    ours, theirs = resumed.network.state_dict(), whole.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def features_by_key(options: TrainOptions, world: World) -> dict[str, torch.Tensor]:
    """The training's features without its processes, which a rank of two would wait for."""
    store = open_store(options.url)
    loader = training_loader(options, world=world, store=store)
    augmentation = open_augmentation(
        options.recipe,
        options.banks,
        sample_rate_hz=TONE_HZ,
        seed=options.seed,
        device=CPU,
    )
    config = recipe_front_end(options.recipe, sample_rate_hz=TONE_HZ, seed=0, store=store)
    front_end = FrontEnd(replace(config, augment=augmentation.recipe), banks=augmentation.banks)
    return {
        key: mel_MF
        for features in DevicePipeline(loader, front_end.training_features, device=CPU)
        for key, mel_MF in zip(features.keys, features.mel_BMF, strict=True)
    }


def test_a_clip_gets_the_same_room_and_noise_on_one_rank_and_on_two(
    tones_url: str, tmp_path: Path, noisy: Recipe, sources: Mapping[str, BankSource]
) -> None:
    options = options_for(tones_url, tmp_path, noisy, sources)
    alone = features_by_key(options, World())
    shared = {}
    for rank in range(2):
        shared |= features_by_key(options, World(rank=rank, size=2))
    assert len(alone) == 24
    assert alone.keys() == shared.keys()
    plain = features_by_key(options_for(tones_url, tmp_path, RECIPE, {}), World())
    num_changed = 0
    for key, mel_MF in alone.items():
        torch.testing.assert_close(mel_MF, shared[key])
        num_changed += not torch.allclose(mel_MF, plain[key], atol=1e-3)
    assert num_changed > 8


def test_resuming_with_other_noises_is_refused(
    tones_url: str, tmp_path: Path, noisy: Recipe, sources: Mapping[str, BankSource]
) -> None:
    options = options_for(tones_url, tmp_path, replace(noisy, epochs=1), sources)
    run(options)
    others = BankSource(url=make_noises(tmp_path / "others", clips_a_kind=4, seed=1))
    changed = options_for(tones_url, tmp_path, options.recipe, {**sources, "noise": others})
    with pytest.raises(ConfigError, match="the checkpoint was made with another --noise"):
        Trainer(replace(changed, resume=True), world=World(), device=CPU)
    Path(noisy.augment).write_text(NOISY.replace("p = 0.7", "p = 0.8"))
    with pytest.raises(ConfigError, match="the checkpoint was made with another --augment"):
        Trainer(replace(options, resume=True), world=World(), device=CPU)


def test_speeds_make_classes_for_the_training_and_the_test_knows_the_datasets_own(
    tones_url: str, tmp_path: Path, sources: Mapping[str, BankSource]
) -> None:
    recipe = replace(RECIPE, augment="voxceleb", epochs=1, class_weights="balanced")
    trainer = run(options_for(tones_url, tmp_path, recipe, sources))
    assert trainer.num_outputs == 3 * len(TONE_LABELS)
    scored = trainer.scores()
    assert scored.scores_NK.shape == (9, len(TONE_LABELS))
    assert torch.allclose(scored.scores_NK.sum(dim=1), torch.ones(9))
    assert load_checkpoint(tmp_path / "checkpoint.pt").num_outputs == 9


def test_two_processes_train_from_the_command_line_and_the_checkpoint_is_tested_without_banks(
    tones_url: str, tmp_path: Path, noisy: Recipe, sources: Mapping[str, BankSource]
) -> None:
    out = tmp_path / "out"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*launcher, "--nproc-per-node", "2", "-m", "jobs.cli", "train", tones_url]
    command += ["--folds", "1,2", "--eval-fold", "3", "--out", str(out), "--epochs", "1"]
    command += ["--batch-size", "8", "--width", "0.03125", "--crop-seconds", "0.7"]
    command += ["--augment", noisy.augment, "--bank-gb", "0.001"]
    command += ["--noise", sources["noise"].url, "--noise-split", "music,speech"]
    command += ["--rirs", sources["room"].url]
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert load_result(out).settings["noise"] == "1 music, 2 speech at a time"
    Path(noisy.augment).unlink()
    arguments = ["evaluate", tones_url, "--checkpoint", str(out / "checkpoint.pt")]
    assert cli.main([*arguments, "--split", "train", "--folds", "3"]) == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--noise-split", "music"], "--noise-split is of no use without --noise URL"),
        (["--augment", "voxceleb"], "--augment voxceleb has [noise]: give --noise URL"),
        (["--rirs", "nowhere"], "--rirs nowhere is of no use: there is no --augment"),
    ],
)
def test_what_is_missing_or_of_no_use_is_said_by_its_flag(
    tones_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    message: str,
) -> None:
    arguments = ["train", tones_url, "--folds", "1,2", "--eval-fold", "3", "--out", str(tmp_path)]
    assert cli.main([*arguments, "--batch-size", "8", *flags]) == 2
    assert message in capsys.readouterr().err

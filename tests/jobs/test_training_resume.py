"""Exact resume with a moving average, accumulation and clipping; and on another world size."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from jobs import distributed, training
from jobs.checkpoint import load_checkpoint
from jobs.preemption import StopRequest
from jobs.recipe import Recipe
from jobs.train_options import TrainOptions
from jobs.training import Trainer
from loader import World
from shardwriter.errors import ConfigError, MelstreamError
from tests.jobs.builders import make_tones

CPU = torch.device("cpu")
# 24 clips of folds 1 and 2 come in 4 parts of 6 rows; a step takes 3 parts, the epoch's last 1.
RECIPE = Recipe(
    epochs=3,
    batch_size=18,
    accumulation=3,
    crop_seconds=1.0,
    ema_decay=0.9,
    clip_norm=0.5,
    checkpoint_steps=1,
    eval_every=1,
)
STEPS = 6

pytestmark = pytest.mark.usefixtures("one_thread")


def options_for(url: str, out: Path, recipe: Recipe = RECIPE) -> TrainOptions:
    return TrainOptions(url=url, folds=(1, 2), eval_folds=(3,), out=out, recipe=recipe)


def run(options: TrainOptions, *, stop_behind: int | None = None) -> Trainer:
    trainer = Trainer(options, world=World(), device=CPU)
    stop = StopRequest()

    def on_step(loss: float) -> None:
        if len(trainer.history.losses) == stop_behind:
            stop.set(15)

    assert trainer.train(on_step, stop) == (stop_behind is None)
    return trainer


@pytest.fixture(scope="module")
def uninterrupted(tones_url: str, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    trainer = run(options_for(tones_url, tmp_path_factory.mktemp("run")))
    torch.set_num_threads(before)
    return trainer


def states(trainer: Trainer) -> list[dict[str, torch.Tensor]]:
    assert trainer.average is not None
    return [trainer.network.state_dict(), trainer.average.state_dict()]


def test_steps_never_cross_an_epoch(uninterrupted: Trainer) -> None:
    assert uninterrupted.num_steps == uninterrupted.step == STEPS
    assert len(uninterrupted.history.losses) == STEPS
    assert uninterrupted.history.num_clips == 3 * 24
    assert [row["step"] for row in uninterrupted.history.evaluations] == [2, 4]


@pytest.mark.parametrize("stop_behind", [1, 2])
def test_run_that_is_told_to_stop_and_goes_on_ends_with_the_same_weights_and_average(
    tones_url: str, tmp_path: Path, uninterrupted: Trainer, stop_behind: int
) -> None:
    options = options_for(tones_url, tmp_path)
    stopped = run(options, stop_behind=stop_behind)
    assert stop_behind < stopped.step < STEPS
    resumed = run(replace(options, resume_if_there=True))
    for ours, theirs in zip(states(resumed), states(uninterrupted), strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours:
            assert torch.equal(ours[name], theirs[name]), name
    assert resumed.history.losses == uninterrupted.history.losses
    assert resumed.history.evaluations == uninterrupted.history.evaluations


def test_average_is_what_is_tested_and_differs_from_the_weights(uninterrupted: Trainer) -> None:
    weights, average = states(uninterrupted)
    name = "head.layers.4.weight"
    assert not torch.equal(weights[name], average[f"module.{name}"])
    scored = uninterrupted.scores()
    network = uninterrupted.average
    assert network is not None
    uninterrupted.held_out_loader.rewind()
    batch = next(iter(uninterrupted.held_out_loader))
    with torch.inference_mode():
        features = uninterrupted.front_end(batch)
        scores = network.module(features.mel_BMF, features.num_frames_B).softmax(1)
    assert torch.allclose(scores[: len(scored.keys)], scored.scores_NK, atol=1e-6)


def test_accumulated_gradients_are_those_of_the_whole_step(tones_url: str, tmp_path: Path) -> None:
    # Without batch norm's statistics of a part and without dropout, parts make no difference.
    plain = replace(RECIPE, batch_size=8, accumulation=1, head_dropout=0.0, ema_decay=0.0, epochs=1)

    def gradients(recipe: Recipe) -> list[torch.Tensor]:
        trainer = Trainer(options_for(tones_url, tmp_path, recipe), world=World(), device=CPU)
        trainer.network.eval()
        trainer.network.train = lambda mode=True: trainer.network  # type: ignore[method-assign, assignment]
        features = iter(trainer.pipeline)
        for place in range(recipe.accumulation):
            trainer._add_gradients(next(features), place=place, num_parts=recipe.accumulation)
        return [
            parameter.grad
            for parameter in trainer.network.parameters()
            if parameter.grad is not None
        ]

    whole = gradients(plain)
    parts = gradients(replace(plain, accumulation=4))
    assert len(whole) == len(parts) > 10
    for left, right in zip(whole, parts, strict=True):
        torch.testing.assert_close(left, right, atol=1e-6, rtol=1e-4)


def test_checkpoint_of_another_recipe_is_refused_by_name(
    tones_url: str, tmp_path: Path, uninterrupted: Trainer
) -> None:
    shutil.copy(uninterrupted.options.checkpoint_path, tmp_path / "checkpoint.pt")

    def resume(**changes: object) -> Callable[[], Trainer]:
        recipe = replace(RECIPE, **changes)  # type: ignore[arg-type]
        options = replace(options_for(tones_url, tmp_path, recipe), resume=True)
        return lambda: Trainer(options, world=World(), device=CPU)

    with pytest.raises(ConfigError, match=r"made with width=0\.125, now it is 0\.25"):
        resume(width=0.25)()
    with pytest.raises(ConfigError, match=r"made with ema_decay=0\.9"):
        resume(ema_decay=0.0)()
    assert resume(epochs=5)().step == STEPS


def test_checkpoint_of_a_version_that_knew_fewer_settings_fits_their_defaults(
    uninterrupted: Trainer,
) -> None:
    checkpoint = load_checkpoint(uninterrupted.options.checkpoint_path)
    known = {name: value for name, value in checkpoint.recipe.items() if name != "focal_gamma"}
    older = replace(checkpoint, recipe=known)
    older.check_fits(RECIPE, {}, None)
    with pytest.raises(ConfigError, match=r"made with focal_gamma=2\.0, now it is 1\.0"):
        older.check_fits(replace(RECIPE, focal_gamma=1.0), {}, None)


def test_augmented_run_that_is_stopped_ends_with_the_same_weights(
    tones_url: str, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, augment="esc50", epochs=2, ema_decay=0.0)
    whole = run(options_for(tones_url, tmp_path / "whole", recipe))
    options = options_for(tones_url, tmp_path / "parts", recipe)
    run(options, stop_behind=1)
    resumed = run(replace(options, resume=True))
    assert resumed.history.losses == whole.history.losses
    ours, theirs = resumed.network.state_dict(), whole.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    plain = run(options_for(tones_url, tmp_path / "plain", replace(recipe, augment="")))
    assert plain.history.losses != whole.history.losses


def test_balanced_training_sees_rare_classes_as_often_as_common_ones(tmp_path: Path) -> None:
    labels_of = {number: ("noise",) if number == 7 else ("low",) for number in range(8)}
    url = make_tones(tmp_path / "dataset", num_clips=48, labels_of=labels_of)
    recipe = replace(RECIPE, balance=1.0, batch_size=8, accumulation=1)
    trainer = Trainer(options_for(url, tmp_path, recipe), world=World(), device=CPU)
    noise = trainer.loader.labels.index("noise")
    rows = torch.cat([features.target_BK for features in trainer.pipeline])
    assert rows[:, noise].mean().item() == pytest.approx(0.5, abs=0.1)


def test_ranks_share_what_lies_on_their_device_and_nothing_else(
    tones_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(options_for(tones_url, tmp_path), world=World(), device=CPU)
    assert trainer.average is not None
    trainer.average.n_averaged = trainer.average.n_averaged.to("meta")  # NCCL takes no such one
    sent: list[torch.Tensor] = []
    monkeypatch.setattr(torch.distributed, "broadcast", lambda tensor, src: sent.append(tensor))
    monkeypatch.setattr(torch.distributed, "barrier", lambda: None)
    trainer.world = World(rank=1, size=2)
    trainer._save()
    assert len(sent) == 2 * len(list(trainer.network.buffers())) > 0
    assert {tensor.device for tensor in sent} == {CPU}


def test_resume_in_half_precision_of_a_run_that_was_not(
    tones_url: str, tmp_path: Path, uninterrupted: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(uninterrupted.options.checkpoint_path, tmp_path / "checkpoint.pt")
    monkeypatch.setattr(training, "amp_dtype", lambda recipe, device: torch.float16)
    options = replace(options_for(tones_url, tmp_path), resume=True)
    trainer = Trainer(options, world=World(), device=CPU)
    assert trainer.scaler.is_enabled()
    assert trainer.step == STEPS


def test_clips_with_scores_that_are_no_numbers_are_named(
    tones_url: str, tmp_path: Path, uninterrupted: Trainer
) -> None:
    shutil.copy(uninterrupted.options.checkpoint_path, tmp_path / "checkpoint.pt")
    options = replace(options_for(tones_url, tmp_path), resume=True)
    trainer = Trainer(options, world=World(), device=CPU)
    assert trainer.average is not None
    with torch.no_grad():
        next(trainer.average.module.parameters()).fill_(torch.nan)
    with pytest.raises(MelstreamError, match=r"9 of 9 clips.*no numbers.*tones.clip-006"):
        trainer.scores()


def test_ranks_that_see_other_checkpoints_are_refused(
    tones_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A folder of each node's own: rank 0 finds a checkpoint there, rank 1 none.
    monkeypatch.setattr(distributed, "gather_from_ranks", lambda step, world: [4, step])
    monkeypatch.setattr(training, "distributed", lambda network, **_: network)
    world = World(rank=1, size=2)
    with pytest.raises(ConfigError, match=r"steps 0, 4.*file system that all nodes share"):
        Trainer(options_for(tones_url, tmp_path), world=world, device=CPU)

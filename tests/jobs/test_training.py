import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from jobs.checkpoint import load_checkpoint
from jobs.front_end import clip_shifts, roll
from jobs.metrics import evaluate
from jobs.optimisation import amp_dtype, cosine_with_warm_up, parameter_groups
from jobs.recipe import Recipe
from jobs.train_options import TrainOptions
from jobs.training import Trainer
from jobs.training_data import held_out_loader
from loader import AudioBatch, World
from shardwriter.errors import ConfigError, LoaderStateError, MelstreamError
from shardwriter.storage import open_store
from tests.jobs.builders import TONE_LABELS, make_tones

CPU = torch.device("cpu")
EPOCHS = 4
STEPS_PER_EPOCH = 3  # 24 clips of folds 1 and 2, 8 a step

pytestmark = pytest.mark.usefixtures("one_thread")


def options_for(url: str, out: Path, **changes: object) -> TrainOptions:
    recipe = Recipe(epochs=EPOCHS, batch_size=8, crop_seconds=1.0)
    recipe = replace(recipe, **changes)  # type: ignore[arg-type]  # one factory for all
    return TrainOptions(url=url, folds=(1, 2), eval_folds=(3,), out=out, recipe=recipe)


def train(options: TrainOptions, on_step: Callable[[float], None] = lambda loss: None) -> Trainer:
    trainer = Trainer(options, world=World(), device=CPU)
    trainer.train(on_step)
    return trainer


def stop_at(step: int) -> Callable[[float], None]:
    """Raise in the middle of a run, as Ctrl-C does."""
    steps = iter(range(1, step + 1))

    def on_step(loss: float) -> None:
        if next(steps) == step:
            raise KeyboardInterrupt

    return on_step


def assert_equal_to_the_bit(left: Trainer, right: Trainer) -> None:
    ours, theirs = left.network.state_dict(), right.network.state_dict()
    assert ours.keys() == theirs.keys()
    assert len(ours) > 30
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name
    moments, expected = left.optimizer.state_dict(), right.optimizer.state_dict()
    assert moments["param_groups"] == expected["param_groups"]
    for place, state in expected["state"].items():
        assert all(
            torch.equal(moments["state"][place][name], value) for name, value in state.items()
        )
    assert left.history.losses == right.history.losses
    assert left.history.num_clips == right.history.num_clips


@pytest.fixture(scope="module")
def uninterrupted(tones_url: str, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    trainer = train(options_for(tones_url, tmp_path_factory.mktemp("run")))
    torch.set_num_threads(before)
    return trainer


def test_loss_falls_and_held_out_accuracy_beats_chance(tones_url: str, tmp_path: Path) -> None:
    trainer = train(options_for(tones_url, tmp_path, epochs=15))
    losses = trainer.history.losses
    assert len(losses) == 15 * STEPS_PER_EPOCH
    assert np.mean(losses[:3]) == pytest.approx(math.log(3), abs=0.4)
    assert np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3])
    scored = trainer.scores()
    metrics = evaluate(scored.scores_NK.numpy(), scored.targets_NK.numpy() > 0)
    assert len(scored.keys) == len(set(scored.keys)) == metrics.num_clips == 9
    assert metrics.chance == pytest.approx(1 / 3)
    assert metrics.accuracy >= 2 / 3
    assert metrics.macro_map > 0.8


def test_same_seed_gives_the_same_weights_and_another_seed_others(
    tones_url: str, tmp_path: Path, uninterrupted: Trainer
) -> None:
    assert_equal_to_the_bit(train(options_for(tones_url, tmp_path / "a")), uninterrupted)
    other = train(replace(options_for(tones_url, tmp_path / "b"), seed=1))
    assert other.history.losses != uninterrupted.history.losses


# Checkpoints lie amid an epoch, at its end and just before it; the stop comes some steps later.
@pytest.mark.parametrize(
    ("checkpoint_steps", "stopped_at", "resumed_from"),
    [(1, 2, 1), (2, 3, 2), (3, 5, 3), (4, 8, 4), (5, 11, 10), (1, 12, 11)],
)
def test_run_that_was_stopped_and_resumed_ends_with_the_weights_of_one_that_was_not(
    tones_url: str,
    tmp_path: Path,
    uninterrupted: Trainer,
    checkpoint_steps: int,
    stopped_at: int,
    resumed_from: int,
) -> None:
    options = options_for(tones_url, tmp_path, checkpoint_steps=checkpoint_steps)
    with pytest.raises(KeyboardInterrupt):
        train(options, stop_at(stopped_at))
    assert load_checkpoint(options.checkpoint_path).step == resumed_from
    losses: list[float] = []
    resumed = train(replace(options, resume=True), losses.append)
    assert resumed.step == EPOCHS * STEPS_PER_EPOCH
    assert losses == uninterrupted.history.losses[resumed_from:]
    assert_equal_to_the_bit(resumed, uninterrupted)


def test_run_that_is_resumed_after_its_end_takes_no_step(
    tones_url: str, uninterrupted: Trainer
) -> None:
    steps: list[float] = []
    resumed = train(replace(uninterrupted.options, resume=True), steps.append)
    assert steps == []
    assert_equal_to_the_bit(resumed, uninterrupted)


def test_checkpoint_of_another_seed_or_dataset_is_refused(
    tones_url: str, tmp_path: Path, uninterrupted: Trainer
) -> None:
    resumed = replace(uninterrupted.options, resume=True)
    with pytest.raises(LoaderStateError, match=r"seed: .*set seed as it was"):
        Trainer(replace(resumed, seed=5), world=World(), device=CPU)
    other = make_tones(tmp_path / "other", num_clips=45)
    with pytest.raises(LoaderStateError, match=r"dataset_digest: .*point url at the dataset"):
        Trainer(replace(resumed, url=other), world=World(), device=CPU)


def test_single_labels_are_trained_with_cross_entropy(uninterrupted: Trainer) -> None:
    assert uninterrupted.objective.kind == "ce"
    assert torch.allclose(uninterrupted.scores().scores_NK.sum(1), torch.ones(9))


def test_several_labels_are_trained_with_binary_cross_entropy_and_give_a_map(
    tmp_path: Path,
) -> None:
    labels_of = {0: ("low", "noise"), 1: ("high",), 2: ("low", "high"), 3: ("noise",)}
    url = make_tones(tmp_path / "dataset", num_clips=48, labels_of=labels_of)
    trainer = train(options_for(url, tmp_path / "run", epochs=12))
    assert trainer.objective.kind == "bce"
    losses = trainer.history.losses
    assert np.mean(losses[:3]) == pytest.approx(math.log(2), abs=0.2)
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    scored = trainer.scores()
    assert scored.targets_NK.sum(1).tolist() == [len(labels_of[n % 4]) for n in range(16)]
    metrics = evaluate(scored.scores_NK.numpy(), scored.targets_NK.numpy() > 0)
    # All three classes hold half of the clips, so a random order has a mAP of about 0.5.
    assert metrics.macro_map > 0.6
    assert 0 <= metrics.accuracy <= 1


def test_clip_without_a_label_makes_the_set_multi_label(tmp_path: Path) -> None:
    url = make_tones(tmp_path / "dataset", num_clips=24, labels_of={0: ("low",), 1: ()})
    trainer = train(options_for(url, tmp_path, epochs=1))
    assert trainer.objective.kind == "bce"
    assert trainer.scores().targets_NK.tolist() == [[1, 0, 0], [0, 0, 0]] * 4


def test_batch_that_the_processes_can_not_share_is_refused(tones_url: str, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"--batch-size 8 can't be shared by 3 processes; choose a multiple of 3"
    ):
        Trainer(options_for(tones_url, tmp_path), world=World(rank=0, size=3), device=CPU)


def test_held_out_fold_that_is_not_there_is_refused_before_the_training(
    tones_url: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"is in fold \[7\]; the split has the folds \[1, 2, 3\]"):
        Trainer(
            replace(options_for(tones_url, tmp_path), eval_folds=(7,)), world=World(), device=CPU
        )


@pytest.mark.parametrize(("seconds", "expected"), [(0.1, 8000), (1.0, 8000), (1.5, 12_000)])
def test_held_out_clips_are_whole_and_at_least_as_long_as_in_the_training(
    tmp_path: Path, seconds: float, expected: int
) -> None:
    url = make_tones(tmp_path / "dataset", num_clips=27, seconds=seconds)
    trainer = Trainer(options_for(url, tmp_path), world=World(), device=CPU)
    shapes = {batch.wave_BT.shape[1] for batch in trainer.held_out_loader}
    assert shapes == {expected}
    scored = trainer.scores()
    assert (len(scored.keys), tuple(scored.scores_NK.shape)) == (9, (9, len(TONE_LABELS)))


def test_held_out_clips_for_ast_have_the_one_length_that_it_takes(tmp_path: Path) -> None:
    url = make_tones(tmp_path / "dataset", num_clips=27, seconds=1.5)
    loader = held_out_loader(
        Recipe(model="ast", crop_seconds=1.0, eval_clips="whole"),
        url=url, split="train", folds=(3,), world=World(), store=open_store(url),
    )  # fmt: skip
    assert {batch.wave_BT.shape[1] for batch in loader} == {8000}


def test_scores_are_those_of_each_clip_alone_and_do_not_change(uninterrupted: Trainer) -> None:
    first = uninterrupted.scores()
    again = uninterrupted.scores()
    assert (
        first.keys
        == again.keys
        == [f"tones+clip-{n:03d}=2Ewav" for n in (*range(6, 9), *range(15, 18), *range(24, 27))]
    )
    assert torch.equal(first.scores_NK, again.scores_NK)


def test_run_whose_loss_is_no_number_ends_before_a_checkpoint_is_made_of_it(
    tones_url: str, tmp_path: Path
) -> None:
    options = options_for(tones_url, tmp_path, checkpoint_steps=3)
    trainer = Trainer(options, world=World(), device=CPU)

    def on_step(loss: float) -> None:
        if len(trainer.history.losses) == 1:
            with torch.no_grad():
                next(trainer.network.parameters()).fill_(torch.nan)

    with pytest.raises(MelstreamError, match=r"the loss of step 3 is nan.*lower --learning-rate"):
        trainer.train(on_step)
    assert trainer.step == 3
    assert not options.checkpoint_path.exists()


def test_learning_rate_rises_in_a_line_and_falls_along_a_cosine_to_zero() -> None:
    factor = cosine_with_warm_up(100, 0.1)
    assert [factor(step) for step in range(10)] == pytest.approx(
        [(step + 1) / 10 for step in range(10)]
    )
    assert factor(10) == 1.0
    assert factor(55) == pytest.approx(0.5)
    assert factor(100) == pytest.approx(0.0, abs=1e-12)
    falling = [factor(step) for step in range(10, 101)]
    assert falling == sorted(falling, reverse=True)


@pytest.mark.parametrize("num_steps", [1, 2, 3])
def test_learning_rate_of_a_very_short_run_is_above_zero(num_steps: int) -> None:
    factor = cosine_with_warm_up(num_steps, 0.1)
    assert all(0 < factor(step) <= 1 for step in range(num_steps))


@pytest.mark.parametrize(
    ("has_units", "expected"), [(True, torch.bfloat16), (False, torch.float16)]
)
def test_gpus_without_units_for_bfloat16_take_float16(
    monkeypatch: pytest.MonkeyPatch, has_units: bool, expected: torch.dtype
) -> None:
    def is_supported(including_emulation: bool = True) -> bool:
        return including_emulation or has_units  # as torch has it

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    assert amp_dtype(Recipe(), torch.device("cuda")) == expected


def test_weights_decay_and_biases_and_norms_do_not(uninterrupted: Trainer) -> None:
    with_decay, without = parameter_groups(uninterrupted.network, 0.5)
    assert (with_decay["weight_decay"], without["weight_decay"]) == (0.5, 0.0)
    assert {parameter.ndim for parameter in without["params"]} == {1}
    assert len(with_decay["params"]) + len(without["params"]) == len(
        list(uninterrupted.network.parameters())
    )


def test_shift_of_a_clip_depends_on_seed_epoch_and_clip_not_on_its_row(
    uninterrupted: Trainer,
) -> None:
    uninterrupted.held_out_loader.rewind()
    batch: AudioBatch = next(iter(uninterrupted.held_out_loader))
    shifts = clip_shifts(batch, seed=0, epoch=3)
    assert all(0 <= shift < batch.wave_BT.shape[1] for shift in shifts)
    assert len(set(shifts)) > 4
    backwards = replace(batch, keys=batch.keys[::-1])
    assert clip_shifts(backwards, seed=0, epoch=3) == shifts[::-1]
    assert clip_shifts(batch, seed=0, epoch=4) != shifts
    assert clip_shifts(batch, seed=1, epoch=3) != shifts


def test_roll_moves_each_row_by_its_own_shift_and_wraps_round() -> None:
    wave_BT = torch.arange(10, dtype=torch.int16).reshape(2, 5)
    assert roll(wave_BT, [0, 2]).tolist() == [[0, 1, 2, 3, 4], [8, 9, 5, 6, 7]]

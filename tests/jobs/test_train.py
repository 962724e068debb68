"""`melstream train` as a command, alone and under a real torchrun."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from jobs import cli
from jobs.checkpoint import load_checkpoint
from jobs.recipe import Recipe
from jobs.results import RunResult, load_result
from jobs.train_options import TrainOptions
from jobs.training import Trainer
from loader import World
from tests.jobs.builders import TONE_LABELS, make_tones

TIMEOUT_SECONDS = 120
NUM_CLIPS = 63
# Every third group of three clips is in fold 3. Evaluation takes 16 rows a step and process, so
# of these 21 the second process gets five, and eleven that pad.
HELD_OUT_KEYS = [f"tones+clip-{n:03d}=2Ewav" for n in range(NUM_CLIPS) if n // 3 % 3 == 2]
STEPS_PER_EPOCH = 5  # 42 clips, 8 a step


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tones(tmp_path_factory.mktemp("train") / "dataset", num_clips=NUM_CLIPS)


def torchrun(*arguments: str, num_processes: int) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*launcher, "--nproc-per-node", str(num_processes), "-m", "jobs.cli", *arguments]
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def arguments_for(url: str, out: Path, *more: str) -> list[str]:
    options = ["--folds", "1,2", "--eval-fold", "3", "--batch-size", "8", "--out", str(out)]
    return ["train", url, *options, *more]


def check_result(result: RunResult, *, num_processes: int, num_steps: int) -> None:
    """Each of the held-out clips is in it exactly once, also where rows had to be padded."""
    assert len(HELD_OUT_KEYS) == 21
    assert [prediction.key for prediction in result.predictions] == HELD_OUT_KEYS
    assert result.metrics.num_clips == 21
    assert [sum(row) for row in result.confusion] == [7, 7, 7]
    assert [prediction.true for prediction in result.predictions] == list(TONE_LABELS) * 7
    right = sum(prediction.true == prediction.predicted for prediction in result.predictions)
    assert result.metrics.accuracy == pytest.approx(right / 21)
    assert result.labels == TONE_LABELS
    assert len(result.losses) == num_steps
    assert result.losses[0] == pytest.approx(math.log(3), abs=0.4)
    assert (result.num_processes, result.steps_per_epoch) == (num_processes, STEPS_PER_EPOCH)
    assert result.clips_per_second > 0


def check_that_the_checkpoint_scores_as_the_run_did(url: str, out: Path, *, epochs: int) -> None:
    """Score the held-out clips in this process, with what the checkpoint holds."""
    options = TrainOptions(
        url=url,
        folds=(1, 2),
        eval_folds=(3,),
        out=out,
        resume=True,
        recipe=Recipe(epochs=epochs, batch_size=8),
    )
    scored = Trainer(options, world=World(), device=torch.device("cpu")).scores()
    probabilities = dict(zip(scored.keys, scored.scores_NK.max(1).values.tolist(), strict=True))
    predictions = load_result(out).predictions
    assert len(predictions) == 21
    for prediction in predictions:
        assert probabilities[prediction.key] == pytest.approx(prediction.probability, abs=1e-5)


@pytest.mark.usefixtures("one_thread")
def test_one_process_trains_and_leaves_result_and_checkpoint(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments_for(url, tmp_path, "--epochs", "2")) == 0
    result = load_result(tmp_path)
    check_result(result, num_processes=1, num_steps=10)
    printed = capsys.readouterr().out
    assert "40 clips an epoch, 10 steps in 2 epochs, 1 process on" in printed
    assert f"{result.metrics.accuracy:.1%} of 21 clips (chance 33.3%)" in printed
    assert str(tmp_path) in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.pt", "result.json"]
    assert load_checkpoint(tmp_path / "checkpoint.pt").step == 10
    check_that_the_checkpoint_scores_as_the_run_did(url, tmp_path, epochs=2)


@pytest.mark.usefixtures("one_thread")
def test_two_processes_score_each_clip_once_and_one_process_can_go_on(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = torchrun(*arguments_for(url, tmp_path, "--epochs", "2"), num_processes=2)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("2 processes on") == 1  # rank 0 alone speaks
    first = load_result(tmp_path)
    check_result(first, num_processes=2, num_steps=10)
    check_that_the_checkpoint_scores_as_the_run_did(url, tmp_path, epochs=2)

    assert cli.main(arguments_for(url, tmp_path, "--epochs", "3", "--resume")) == 0
    assert f"going on after step 10 of {tmp_path}/checkpoint.pt" in capsys.readouterr().out
    second = load_result(tmp_path)
    check_result(second, num_processes=1, num_steps=15)
    assert second.losses[:10] == first.losses


@pytest.mark.usefixtures("one_thread")
def test_two_processes_say_a_mistake_in_words(url: str, tmp_path: Path) -> None:
    done = torchrun(*arguments_for(url, tmp_path, "--batch-size", "9"), num_processes=2)
    assert done.returncode != 0
    assert "melstream train: --batch-size 9 can't be shared by 2 processes" in done.stderr
    assert not (tmp_path / "result.json").exists()

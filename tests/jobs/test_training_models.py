"""Each kind of training on a few tones: it learns, and `melstream evaluate` says the same."""

import json
from pathlib import Path

import pytest

from jobs import cli
from jobs.catalogues.trials import VerificationPairs
from jobs.optimisation import cosine_with_warm_up
from jobs.results import load_result
from tests.jobs.builders import make_tones

pytestmark = pytest.mark.usefixtures("one_thread")

HOLD_OUT = ["--folds", "1,2", "--eval-fold", "3"]
SMALL = ["--batch-size", "8", "--crop-seconds", "1", "--width", "0.0625"]


def train(url: str, out: Path, *more: str) -> None:
    assert cli.main(["train", url, "--out", str(out), *HOLD_OUT, *SMALL, *more]) == 0


@pytest.mark.slow
def test_speaker_network_is_tested_on_trials(
    tones_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Clips 6 to 8, 15 to 17 and 24 to 26 are held out; the label is the number modulo 3.
    numbers = [*range(6, 9), *range(15, 18), *range(24, 27)]
    both = [(left, right) for place, left in enumerate(numbers) for right in numbers[:place]]
    pairs = VerificationPairs(
        name="tones-o",
        is_same=tuple(left % 3 == right % 3 for left, right in both),
        first=tuple(f"tones/clip-{left:03d}.wav" for left, _ in both),
        second=tuple(f"tones/clip-{right:03d}.wav" for _, right in both),
    )
    trials = Path(tones_url) / pairs.object_name
    trials.parent.mkdir()
    trials.write_bytes(pairs.to_parquet())
    options = ["--model", "ecapa", "--no-shift", "--epochs", "8", "--trials", "tones-o"]
    train(tones_url, tmp_path, *options, "--report")
    printed = capsys.readouterr().out
    assert "on 36 trials of tones-o" in printed
    verification = load_result(tmp_path).verification
    assert verification is not None
    assert verification.num_trials == 36
    assert verification.eer < 0.2
    page = (tmp_path / "report.html").read_text()
    assert "36 trials of tones-o" in page
    assert "Held-out accuracy" not in page  # of speakers that the network was not trained on
    figures = tmp_path / "figures.json"
    checkpoint = str(tmp_path / "checkpoint.pt")
    command = ["evaluate", tones_url, "--checkpoint", checkpoint, "--split", "train"]
    more = ["--folds", "3", "--trials", "tones-o", "--out", str(figures)]
    assert cli.main([*command, *more]) == 0
    assert json.loads(figures.read_text())["verification"]["eer"] == verification.eer
    trials.unlink()
    assert cli.main([*command, *more]) == 2
    assert "no trials/tones-o.parquet in" in capsys.readouterr().err


@pytest.mark.parametrize("pooling", ["attention", "linear_softmax"])
def test_weak_labels_are_learnt_by_multiple_instance_pooling_and_evaluated_alike(
    tones_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], pooling: str
) -> None:
    labels_of = {0: ("low", "noise"), 1: ("high",), 2: ("low", "high"), 3: ("noise",)}
    url = make_tones(tmp_path / "dataset", num_clips=48, labels_of=labels_of)
    out = tmp_path / "run"
    options = ["--pooling", pooling, "--class-weights", "balanced", "--ema-decay", "0.5"]
    train(url, out, *options, "--epochs", "6", "--eval-every", "3", "--report")
    result = load_result(out)
    assert result.losses[-1] < result.losses[0]
    assert result.confusion == ()
    assert len(result.evaluations) == 1
    assert result.metrics.lwlrap is not None
    page = (out / "report.html").read_text()
    assert "Held-out clips after some epochs" in page
    assert "Macro mAP" in page
    assert "Held-out accuracy" not in page  # which says little of clips with several labels
    assert "rejected" not in page  # the training doesn't know
    checkpoint = str(out / "checkpoint.pt")
    command = ["evaluate", url, "--checkpoint", checkpoint, "--split", "train", "--folds", "3"]
    assert cli.main([*command, "--out", str(tmp_path / "figures.json")]) == 0
    metrics = json.loads((tmp_path / "figures.json").read_text())["metrics"]
    assert metrics["macro_map"] == pytest.approx(result.metrics.macro_map, abs=1e-6)
    printed = capsys.readouterr().out
    assert "lwlrap" in printed
    assert "top guess is a label" in printed
    # Clips of one label each are scored as the network was trained, not as their labels suggest.
    command[1] = tones_url
    assert cli.main(command) == 0


def test_held_out_clips_without_labels_give_no_figures_and_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = make_tones(tmp_path / "dataset", num_clips=27, labels_of={0: ()})
    out = tmp_path / "run"
    train(url, out, "--model", "cnn6", "--epochs", "2", "--eval-every", "1", "--report")
    assert "none of the 9 clips has a label: no figures" in capsys.readouterr().out
    assert "NaN" not in (out / "result.json").read_text()  # which is no JSON
    assert [row["macro_map"] for row in load_result(out).evaluations] == [None]
    page = (out / "report.html").read_text()
    assert "none of the 9 held-out clips has a label" in page
    assert "nan" not in page.partition("data:image")[0].lower()


@pytest.mark.slow
def test_scalars_go_to_tensorboard(tones_url: str, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tones_url, tmp_path, "--epochs", "2", "--eval-every", "1", "--tensorboard")
    log = EventAccumulator(str(tmp_path / "tensorboard"))
    log.Reload()
    losses = [event.value for event in log.Scalars("train/loss")]
    assert losses == pytest.approx(load_result(tmp_path).losses)
    assert [event.step for event in log.Scalars("train/loss")] == list(range(1, 7))
    rates = [event.value for event in log.Scalars("train/learning_rate")]
    factor = cosine_with_warm_up(6, 0.1)
    assert rates == pytest.approx([3e-3 * factor(step) for step in range(6)])
    # After the first epoch, and the figures of the finished run.
    assert [event.step for event in log.Scalars("held-out/accuracy")] == [3, 6]
    metrics = load_result(tmp_path).metrics
    assert log.Scalars("held-out/accuracy")[-1].value == pytest.approx(metrics.accuracy)
    assert log.Scalars("held-out/lwlrap")[-1].value == pytest.approx(metrics.lwlrap)


@pytest.mark.slow
def test_transformer_trains_from_random_weights_on_parts_of_clips(
    tones_url: str, tmp_path: Path
) -> None:
    train(
        tones_url,
        tmp_path,
        "--width",
        "0.09",
        "--model",
        "ast",
        "--num-layers",
        "1",
        "--epochs",
        "2",
        "--no-shift",
        "--crop-seconds",
        "0.5",
    )
    assert load_result(tmp_path).settings["model"].startswith("ast at 0.09")

"""What a training run leaves behind for reports: `result.json`."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from jobs.metrics import Metrics
from jobs.verification import Verification
from shardwriter.errors import ConfigError

RESULT_NAME = "result.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What the network said of a held-out clip."""

    key: str
    true: str
    predicted: str
    probability: float
    """Of the predicted class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """A finished run, as rank 0 saw it."""

    metrics: Metrics
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Rows are true classes, columns predicted ones; empty where clips have several labels."""
    predictions: tuple[Prediction, ...]
    losses: tuple[float, ...]
    """One a step."""
    steps_per_epoch: int
    clips_per_second: float
    """Through the training loop, over all processes."""
    seconds: dict[str, float]
    """Wall time of rank 0, by what it was spent on."""
    total_seconds: float
    bottleneck: str
    num_parameters: int
    num_processes: int
    device: str
    settings: dict[str, str]
    evaluations: tuple[dict[str, float | None], ...] = ()
    """`step`, `accuracy` and `macro_map` of the evaluations in between."""
    verification: Verification | None = None


def save_result(result: RunResult, folder: Path) -> Path:
    """Write `result.json`, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / RESULT_NAME
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(asdict(result), indent=1), encoding="utf-8")
    temporary.replace(path)
    return path


def load_result(folder: Path) -> RunResult:
    """Read what `save_result` wrote; a `ConfigError` when there is nothing."""
    path = folder / RESULT_NAME
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as err:
        raise ConfigError(f"no {RESULT_NAME} in {folder}: the training did not finish") from err
    row["metrics"] = Metrics(**row["metrics"])
    row["labels"] = tuple(row["labels"])
    row["confusion"] = tuple(tuple(counts) for counts in row["confusion"])
    row["predictions"] = tuple(Prediction(**prediction) for prediction in row["predictions"])
    row["losses"] = tuple(row["losses"])
    row["evaluations"] = tuple(row["evaluations"])
    if row["verification"] is not None:
        row["verification"] = Verification(**row["verification"])
    return RunResult(**row)


def metric_rows(metrics: Metrics | None, trials: Verification | None) -> list[tuple[str, str]]:
    """Return names and values of the figures of merit, as a table shows them.

    Trials have precedence: their speakers are not those that the network was trained on.
    """
    if trials is not None:
        return [
            ("EER", f"{trials.eer:.2%} on {trials.num_trials} trials of {trials.name}"),
            ("minDCF at 0.01", f"{trials.min_dcf_01:.3f}"),
            ("minDCF at 0.05", f"{trials.min_dcf_05:.3f}"),
        ]
    if metrics is None:
        return []
    if metrics.macro_map is None:
        return [("held out", f"none of the {metrics.num_clips} clips has a label: no figures")]
    of_clips = f"of {metrics.num_clips} clips (chance {metrics.chance:.1%})"
    accuracy = ("held-out accuracy", f"{metrics.accuracy:.1%} {of_clips}")
    rows = [("macro mAP", f"{metrics.macro_map:.3f}")]
    if metrics.macro_auc is not None:
        rows.append(("macro AUC", f"{metrics.macro_auc:.3f}"))
    if metrics.d_prime is not None:
        rows.append(("d'", f"{metrics.d_prime:.3f}"))
    if metrics.lwlrap is not None:
        rows.append(("lwlrap", f"{metrics.lwlrap:.3f}"))
    if metrics.is_multi_label:
        return [*rows, ("top guess is a label", f"{metrics.accuracy:.1%} {of_clips}")]
    return [accuracy, *rows]

"""What a training run leaves behind for reports: `result.json`."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from jobs.metrics import Metrics
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
    """Rows are true classes, columns predicted ones."""
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
    return RunResult(**row)

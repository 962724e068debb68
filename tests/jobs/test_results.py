from pathlib import Path

import pytest

from jobs.metrics import Metrics
from jobs.results import Prediction, RunResult, load_result, save_result
from shardwriter.errors import ConfigError

RESULT = RunResult(
    metrics=Metrics(accuracy=0.5, macro_map=0.625, chance=0.1, num_clips=2),
    labels=("dog", "Löwe"),
    confusion=((1, 0), (1, 0)),
    predictions=(
        Prediction(key="a+1", true="dog", predicted="dog", probability=0.75),
        Prediction(key="a+2", true="Löwe", predicted="dog", probability=0.1 + 0.2),
    ),
    losses=(2.302585092994046, 1 / 3),
    steps_per_epoch=2,
    clips_per_second=123.4,
    seconds={"waiting for data": 0.1},
    total_seconds=3.5,
    bottleneck="the network",
    num_parameters=79_000,
    num_processes=2,
    device="cpu",
    settings={"seed": "0"},
)


def test_result_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    path = save_result(RESULT, tmp_path / "new" / "run")
    assert path.name == "result.json"
    assert load_result(path.parent) == RESULT
    assert list(path.parent.iterdir()) == [path]


def test_result_of_a_run_that_did_not_finish_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no result\.json in .*: the training did not finish"):
        load_result(tmp_path)

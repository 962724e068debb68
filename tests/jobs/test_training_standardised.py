"""A network keeps the statistics that it was trained with, whatever is measured afterwards."""

import json
from pathlib import Path

import pytest

from jobs import cli
from tests.jobs.builders import make_tones

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tones(tmp_path_factory.mktemp("standardised") / "dataset")


def change_the_statistics(url: str) -> None:
    path = Path(url) / "stats" / "small.json"
    row = json.loads(path.read_text())
    row["mean"] = [value + 30 for value in row["mean"]]
    path.write_text(json.dumps(row))


def train(url: str, out: Path, *more: str) -> list[str]:
    options = ["--folds", "1,2", "--eval-fold", "3", "--batch-size", "8", "--epochs", "1"]
    return ["train", url, *options, "--standardise", "--out", str(out), *more]


def test_statistics_measured_anew_change_no_evaluation_and_no_resumed_run(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["stats", url]) == 0
    assert cli.main(train(url, tmp_path)) == 0
    evaluate = ["evaluate", url, "--split", "train", "--folds", "3"]
    evaluate += ["--checkpoint", str(tmp_path / "checkpoint.pt")]
    figures = []
    for name in ("before", "after"):
        out = tmp_path / f"{name}.json"
        assert cli.main([*evaluate, "--out", str(out)]) == 0
        figures.append(json.loads(out.read_text()))
        change_the_statistics(url)
    assert figures[0] == figures[1]
    assert cli.main(train(url, tmp_path, "--resume")) == 2
    assert "made with other statistics of the features" in capsys.readouterr().err

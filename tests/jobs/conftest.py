import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from jobs import cli
from tests.jobs.builders import DemoRun, make_tones, real_source
from tests.jobs.cli_errors import Refused
from tests.jobs.fetching.youtube_site import find_plugin

find_plugin()  # before any test makes yt-dlp look for plug-ins, which it does once


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    """The whole demo on the embedded clips, trained for one epoch; tests only read it."""
    out = tmp_path_factory.mktemp("demo") / "out"
    program = str(Path(sys.executable).with_name("melstream"))
    process = subprocess.run(
        [program, "demo", "--epochs", "1", "--out", str(out)],
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
    )
    return DemoRun(process=process, out=out)


@pytest.fixture(scope="session")
def esc10(demo_run: DemoRun) -> Path:
    """All 400 embedded clips as the demo ingested them; tests only read it."""
    assert demo_run.process.returncode == 0, demo_run.process.stderr
    return demo_run.out / "esc10"


@pytest.fixture(scope="session")
def ten_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source of ten embedded clips, two a fold; tests only read it."""
    return real_source(tmp_path_factory.mktemp("ten") / "source", clips_per_fold=2)


@pytest.fixture(scope="session")
def tones_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """33 clips of three easy classes in three folds; tests only read it."""
    return make_tones(tmp_path_factory.mktemp("tones") / "dataset")


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sums in one order, for results that are equal to the bit; `melstream train` keeps to it."""
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command that must fail; checks status and form, returns the one line of its error."""

    def run(*arguments: object, status: int) -> str:
        assert cli.main([str(argument) for argument in arguments]) == status
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1, lines
        assert lines[0].startswith(f"melstream {arguments[0]}: ")
        return lines[0]

    return run

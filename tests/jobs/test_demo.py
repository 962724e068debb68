import re
import sys
from pathlib import Path

import pytest

import jobs.demo
from jobs import cli
from jobs.demo import DemoOptions, demo
from jobs.results import load_result
from shardwriter.errors import MelstreamError
from tests.jobs.builders import DemoRun, tree, write_folder


def test_demo_goes_all_the_way_from_the_clips_to_the_report(demo_run: DemoRun) -> None:
    process = demo_run.process
    assert process.returncode == 0, process.stderr
    assert "Traceback" not in process.stderr
    for number in range(1, 5):
        assert f"== {number}/4" in process.stdout
    assert "whole. 7 shards, 400 clips" in process.stdout
    result = load_result(demo_run.out / "train")
    assert (result.num_processes, result.metrics.num_clips) == (2, 80)
    assert len(result.losses) == result.steps_per_epoch == 10
    summary = f"{result.metrics.accuracy:.1%} of 80 clips of fold 5 (chance 10%)"
    assert summary in process.stdout
    assert f"report: {demo_run.out}/report.html" in process.stdout


def test_report_of_the_demo_is_a_whole_page_with_its_pictures_in_it(demo_run: DemoRun) -> None:
    html = (demo_run.out / "report.html").read_text(encoding="utf-8")
    assert html.rstrip().endswith("</html>")
    assert len(re.findall(r'src="data:image/png;base64,[A-Za-z0-9+/]{10000}', html)) == 4
    for text in ("fold 5 held out", "melstream demo", "CC BY 3.0", "Where the time went"):
        assert text in html
    assert not re.search(r'(src|href)="http', html)


class ReachedError(Exception):
    """The demo went on to its first stage."""


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    """A demo that ends where it would begin to ingest."""

    def stop() -> Path:
        raise ReachedError

    monkeypatch.setattr(jobs.demo, "sample_folder", stop)


@pytest.mark.usefixtures("stopping")
def test_demo_replaces_what_an_earlier_one_left_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    with pytest.raises(ReachedError):
        demo(DemoOptions(out=out))
    earlier = {"esc10/dataset.json": b"{}", "train/result.json": b"{}", "report.html": b"<html>"}
    write_folder(out, earlier | {"notes.txt": b"mine"})
    with pytest.raises(ReachedError):
        demo(DemoOptions(out=out))
    left = tree(out)
    assert left["notes.txt"] == b"mine"
    assert earlier.keys().isdisjoint(left)


@pytest.mark.usefixtures("stopping")
@pytest.mark.parametrize("name", ["esc10/audio/1-1-A-0.wav", "train/precious.pt", "notes.txt"])
def test_demo_leaves_a_folder_alone_that_no_demo_made(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(tmp_path, {name: b"precious"})
    assert cli.main(["demo", "--out", str(tmp_path)]) == 2
    errors = capsys.readouterr().err
    assert errors == (
        f"melstream demo: {tmp_path} holds something that is no demo; choose another --out\n"
    )
    assert tree(tmp_path) == {name: b"precious"}


@pytest.mark.usefixtures("stopping")
def test_demo_into_a_file_or_through_one_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"precious")
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        assert cli.main(["demo", "--out", str(out)]) == 2
        errors = capsys.readouterr().err
        assert errors.startswith(f"melstream demo: can't write the demo to {out}: ")
        assert errors.count("\n") == 1
    assert (tmp_path / "file").read_bytes() == b"precious"


def test_training_that_fails_ends_the_demo_without_a_report(
    ten_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs.demo, "sample_folder", lambda: ten_clips)
    monkeypatch.setattr(jobs.demo, "_train_command", lambda *ignored: [sys.executable, "-c", "1/0"])
    with pytest.raises(MelstreamError, match="the training ended with status 1; its message is"):
        demo(DemoOptions(out=tmp_path / "out"))
    assert not (tmp_path / "out" / "report.html").exists()

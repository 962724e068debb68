from pathlib import Path

import pytest

from jobs import cli
from tests.jobs.builders import csv_bytes, esc50_row, tree, write_folder
from tests.jobs.cli_errors import Refused, usage_error


def test_ingest_of_a_part_ends_well_and_says_what_is_absent(
    ten_clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_folder(tmp_path / "source", tree(ten_clips))
    for name in sorted((source / "audio").iterdir())[:3]:
        name.unlink()
    out = tmp_path / "out"
    arguments = ["ingest", "esc50", "--source", str(source), "--out", str(out), "--workers", "0"]
    assert cli.main([*arguments, "--sample-rate", "8000"]) == 0
    printed = capsys.readouterr().out
    assert f"10 clips listed, from {source}" in printed
    assert "rejected: absent 3 clips" in " ".join(printed.split())
    assert "clips of split train: expected 2,000, got 10" in printed
    assert f"{out}/availability/rejections.jsonl" in printed
    assert cli.main([*arguments, "--sample-rate", "8000"]) == 0
    assert "there before" in capsys.readouterr().out


def test_ingest_of_a_folder_that_is_not_there(refused: Refused, tmp_path: Path) -> None:
    source, out = tmp_path / "nowhere", tmp_path / "out"
    line = refused("ingest", "esc50", "--source", source, "--out", out, status=2)
    assert f"there is no folder or archive {source}" in line
    assert not out.exists()


def test_ingest_of_a_folder_without_the_csv_shows_the_layout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["ingest", "esc50", "--source", str(tmp_path), "--out", str(tmp_path / "out")]
    assert cli.main(command) == 2
    problem, *layout = capsys.readouterr().err.splitlines()
    assert "holds no meta/esc50.csv" in problem
    assert layout[0] == "  meta/esc50.csv"


def test_ingest_of_a_wrong_csv_names_its_line(refused: Refused, tmp_path: Path) -> None:
    rows = [esc50_row(1), esc50_row(2, changes={"fold": "4"})]
    source = write_folder(tmp_path / "source", {"meta/esc50.csv": csv_bytes(rows)})
    line = refused("ingest", "esc50", "--source", source, "--out", tmp_path / "out", status=2)
    assert f"{source}/meta/esc50.csv line 3: column fold is '4'" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("rate", ["500", "999999999"])
def test_ingest_at_an_impossible_rate(
    refused: Refused,
    ten_clips: Path,
    tmp_path: Path,
    rate: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = ("--source", ten_clips, "--out", tmp_path / "out")
    line = refused("ingest", "esc50", *target, "--sample-rate", rate, status=2)
    assert f"sample_rate_hz must be in 1000..655350, got {rate}" in line


def test_ingest_into_a_file_or_through_one(
    refused: Refused, ten_clips: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        arguments = ("ingest", "esc50", "--source", ten_clips, "--workers", "0")
        assert str(tmp_path / "file") in refused(*arguments, "--out", out, status=1)


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("--workers", "-1", "expected a whole number, got '-1'"),
        ("--workers", "two", "expected a whole number, got 'two'"),
        ("--sample-rate", "0", "must be at least 1"),
        ("--sample-rate", "32e3", "expected a whole number, got '32e3'"),
        ("--shard-clips", "0", "must be at least 1"),
        ("--subset", "esc20", "invalid choice: 'esc20'"),
    ],
)
def test_ingest_with_a_bad_value(
    option: str, value: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = usage_error(capsys, "ingest", "esc50", "--source", "a", "--out", "b", option, value)
    assert f"argument {option}: {problem}" in line

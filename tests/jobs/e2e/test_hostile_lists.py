"""Values of a list that would like to be options, paths or commands stay values."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from jobs.cli import main
from tests.jobs.builders import write_folder
from tests.jobs.e2e.drifting_site import MIDS, Videos, asked, ingest, listed, write_list
from tests.jobs.fetching.site import Site

HOSTILE = (
    "--exec=tou",
    "; rm -rf x",
    "$(id)_____",
    "../../../et",
    "a\nb________",
    '"-o/tmp/x__',
    "-oProxyCmd;",
    "a\0b________",
    "‮abcdefghij",
    "https://x/y",
)


@pytest.mark.parametrize("value", HOSTILE)
def test_id_that_is_none_is_refused_by_line_and_shown_harmlessly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    quoted = '"' + value.replace('"', '""') + '"'
    text = (
        "# Segments csv created Sun Mar  5 10:54:31 2017\n"
        "# num_ytids=1, num_segs=1, num_unique_labels=1, num_positive_labels=1\n"
        "# YTID, start_seconds, end_seconds, positive_labels\n"
        f'{quoted}, 1.000, 2.000, "{MIDS[0]}"\n'
    )
    (tmp_path / "list.csv").write_text(text)
    assert ingest(tmp_path / "list.csv", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "list.csv line " in error
    assert error.removesuffix("\n").isprintable()
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_waiting")
def test_ids_that_look_like_options_are_asked_for_as_they_are(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = []
    begin = subprocess.Popen.__init__

    def note(self: "subprocess.Popen[bytes]", *command: Any, **rest: Any) -> None:
        commands.append((command, rest))
        begin(self, *command, **rest)

    rows = listed(5)
    csv = write_list(tmp_path / "list.csv", rows)
    Videos(site).put(rows, {})
    monkeypatch.setattr(subprocess.Popen, "__init__", note)
    assert ingest(csv, tmp_path / "out") == 0
    assert asked(site) == [row.video for row in rows]
    assert asked(site)[0].startswith("-")
    assert not [row for row in rows if row.video in repr(commands)]


def test_names_of_files_on_the_web_stay_below_their_url(
    tmp_path: Path, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(tmp_path, {"names": b"a.wav\n../secret.wav\n"})
    command = ["ingest", "esc50", "--source", site.url, "--allow-private-hosts"]
    command += ["--names", str(tmp_path / "names"), "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert "names line 2" in capsys.readouterr().err
    assert site.paths() == []


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("http://127.0.0.1/x", "not public"),
        ("http://user:secret@example.org/x", "login"),
        ("file:///etc", "not known"),
        ("--exec", "expected one argument"),
    ],
)
def test_source_that_is_not_fetched_is_refused_and_its_login_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, problem: str
) -> None:
    (tmp_path / "names").write_text("meta/esc50.csv\n")
    command = ["ingest", "esc50", "--source", source, "--out", str(tmp_path / "out")]
    try:
        status: object = main([*command, "--names", str(tmp_path / "names")])
    except SystemExit as exited:
        status = exited.code
    assert status == 2
    error = capsys.readouterr().err
    assert problem in error
    assert "secret" not in error

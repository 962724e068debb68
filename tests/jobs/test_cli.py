import subprocess
import sys
from pathlib import Path

import pytest

from jobs import cli
from tests.jobs.builders import tree
from tests.jobs.cli_errors import Refused, usage_error

MELSTREAM = str(Path(sys.executable).with_name("melstream"))
TIMEOUT_SECONDS = 60


@pytest.mark.parametrize(
    ("command", "phrases"),
    [
        ([], ["demo", "ingest", "inspect", "verify", "train", "Begin with `melstream demo`"]),
        (["demo"], ["embedded ESC-10 clips", "--out", "out/demo", "--epochs", "no network"]),
        (["ingest"], ["esc50", "goes on where it stopped", "availability/rejections.jsonl"]),
        (
            ["ingest", "esc50"],
            ["--source", "meta/esc50.csv", "--out", "--subset", "--sample-rate", "--workers"],
        ),
        (["ingest", "folder"], ["--name NAME", "--separator SEPARATOR", "--file COLUMN"]),
        (["inspect"], ["URL", "KEY", "--png", "waveform and log-mel"]),
        (["verify"], ["URL", "--no-decode", "Exit status 1"]),
        (["train"], ["--folds", "--eval-fold", "--resume", "torchrun --nproc-per-node"]),
    ],
)
def test_help_says_what_matters(
    command: list[str], phrases: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([*command, "--help"])
    assert caught.value.code == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith(" ".join(["usage: melstream", *command]))
    for phrase in phrases:
        assert phrase in printed


def test_installed_command_tells_its_version() -> None:
    done = subprocess.run(
        [MELSTREAM, "--version"],
        check=True,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    assert done.stdout.split()[0] == "melstream"
    assert done.stderr == ""


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys; from jobs import cli\n"
        "try: cli.main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(bool({'torch', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, timeout=TIMEOUT_SECONDS
    )
    assert done.returncode == 0


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["ingest"], ["ingest", "esc51"]])
def test_unknown_or_missing_command_is_a_usage_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "error: " in usage_error(capsys, *arguments)


# ---- inspect, verify, train --------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect"],
        ["inspect", "KEY"],
        ["verify"],
        ["train", "--folds", "1", "--eval-fold", "2", "--out"],
    ],
)
def test_folder_that_is_no_dataset(arguments: list[str], refused: Refused, tmp_path: Path) -> None:
    command, *rest = arguments
    if rest[-1:] == ["--out"]:
        rest.append(str(tmp_path / "out"))
    for url in (tmp_path, tmp_path / "nowhere"):
        line = refused(command, url, *rest, status=2)
        assert f"no dataset at {url} (dataset.json is not there)" in line
        assert "make one with `melstream ingest`" in line


def test_unknown_scheme_is_told_what_is_served(refused: Refused) -> None:
    line = refused("verify", "gopher://host/data", status=2)
    assert "can't open 'gopher://host/data'" in line


@pytest.mark.parametrize("key", ["tones+nope", "tones/nope", "", "x" * 500, "a/" + "ü" * 99])
def test_unknown_key_is_answered_with_one_that_is_there(
    key: str, refused: Refused, tones_url: str
) -> None:
    line = refused("inspect", tones_url, key, status=2)
    assert f"has no clip {key!r}" in line
    assert "keys look like 'tones+clip-000=2Ewav' (tones/clip-000.wav)" in line


@pytest.mark.parametrize("place", ["no/such/folder/a.png", "."])
def test_picture_that_can_not_be_written(
    place: str, refused: Refused, tones_url: str, tmp_path: Path
) -> None:
    path = tmp_path / place
    arguments = ("inspect", tones_url, "tones/clip-000.wav", "--png", path)
    assert f"can't write the picture to {path}" in refused(*arguments, status=2)


def train(tones_url: str, tmp_path: Path, **changes: str) -> list[str]:
    values = {"folds": "1,2", "eval-fold": "3", "out": str(tmp_path / "run"), "epochs": "1"}
    options = (values | {"batch-size": "4"} | changes).items()
    return ["train", tones_url, *(part for name, value in options for part in (f"--{name}", value))]


@pytest.mark.parametrize(
    ("changes", "problem", "way_out"),
    [
        ({"split": "test"}, "no split 'test'", "it has: train"),
        ({"folds": "1,7"}, "is in fold [7]", "has the folds [1, 2, 3]"),
        ({"eval-fold": "9"}, "is in fold [9]", "has the folds [1, 2, 3]"),
        ({"eval-fold": "2"}, "--eval-fold 2 is also one of --folds", ""),
        ({"batch-size": "1000"}, "24 samples give no step", "smaller batch_size"),
        ({"seed": str(2**64)}, "seed must be a whole number in 0..2**64-1", ""),
    ],
)
def test_training_on_what_is_not_there_is_refused_before_the_first_step(
    changes: dict[str, str],
    problem: str,
    way_out: str,
    refused: Refused,
    tones_url: str,
    tmp_path: Path,
    one_thread: None,
) -> None:
    line = refused(*train(tones_url, tmp_path, **changes), status=2)
    assert problem in line
    assert way_out in line
    assert tree(tmp_path) == {}


def test_resuming_without_a_checkpoint_names_the_way_out(
    refused: Refused, tones_url: str, tmp_path: Path, one_thread: None
) -> None:
    line = refused(*train(tones_url, tmp_path), "--resume", status=2)
    assert f"no checkpoint at {tmp_path}/run/checkpoint.pt; leave out --resume" in line


def test_training_into_a_file_is_refused_before_the_first_step(
    refused: Refused, tones_url: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        line = refused(*train(tones_url, tmp_path, out=str(out)), status=2)
        assert f"can't make the folder --out {out}" in line


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"folds": "1-"}, "expected folds such as 1-4 or 1,3,5, got '1-'"),
        ({"folds": "4-1"}, "expected folds such as 1-4 or 1,3,5, got '4-1'"),
        ({"folds": "one"}, "expected folds such as 1-4 or 1,3,5, got 'one'"),
        ({"folds": ""}, "expected folds such as 1-4 or 1,3,5, got ''"),
        ({"folds": "0-99999999999"}, "expected folds such as 1-4"),
        ({"folds": "1,1-2"}, "expected each fold once, got '1,1-2'"),
        ({"eval-fold": "x"}, "expected folds such as 1-4 or 1,3,5, got 'x'"),
        ({"seed": "1.5"}, "expected a whole number, got '1.5'"),
    ],
)
def test_training_with_a_bad_value(
    changes: dict[str, str], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = usage_error(capsys, *train("url", tmp_path, **changes))
    assert f"argument --{next(iter(changes))}: {problem}" in line


@pytest.mark.parametrize("setting", ["epochs", "batch-size"])
def test_training_with_none_of_what_it_takes_is_refused(
    setting: str, refused: Refused, tmp_path: Path
) -> None:
    line = refused(*train("url", tmp_path, **{setting: "0"}), status=2)
    assert f"{setting.replace('-', '_')} must be in 1.." in line


@pytest.mark.parametrize(
    ("text", "folds"),
    [("2", (2,)), ("1-4", (1, 2, 3, 4)), ("1,3,5", (1, 3, 5)), ("0,4-6", (0, 4, 5, 6))],
)
def test_folds_are_read_as_ranges_and_lists(text: str, folds: tuple[int, ...]) -> None:
    parsed = cli.parser().parse_args(["train", "u", "--folds", text, "--eval-fold", "9"])
    assert parsed.folds == folds


# ---- as a process ------------------------------------------------------------------------------


def test_failing_process_ends_with_its_status_and_without_a_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [MELSTREAM, "verify", str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"melstream verify: no dataset at {tmp_path}")
    assert done.stderr.count("\n") == 1


def test_reader_that_has_seen_enough_ends_the_command_quietly(tones_url: str) -> None:
    with subprocess.Popen(
        [MELSTREAM, "inspect", tones_url], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()  # as `head` does, and long before the first line
        _, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 0
    assert errors == b""


def test_a_command_that_needs_torch_says_so_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    for name in {"jobs.inspection", "jobs.shown_clip"} & set(sys.modules):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    problem = refused("inspect", "x", status=2)
    assert "needs torch, which this installation goes without: install" in problem

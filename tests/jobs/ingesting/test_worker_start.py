"""How worker processes begin: forked from a process that has loaded what all of them need."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.availability.attempt import Vantage
from jobs.availability.outcome import Code, Outcome
from jobs.catalogues.catalogue import ClipRef
from jobs.fetching.own_outcome import own_outcome
from jobs.ingesting.making import Job
from jobs.ingesting.pool import open_pool
from jobs.ingesting.recipe import Recipe
from shardwriter import AudioFormat, Settings
from shardwriter.audio import CleanOptions
from tests.jobs.builders import real_source

TIMEOUT_SECONDS = 60
SHOWN = "MELSTREAM_TEST_SHOWN"

forks = pytest.mark.skipif(sys.platform != "linux", reason="workers are spawned")


class Mirror:
    """Refuses every clip, and says what it is asked in."""

    kind = "folder"
    tool = "mirror"

    @contextlib.contextmanager
    def open(self) -> Iterator["Mirror"]:
        yield self

    def fetch(self, clip: ClipRef) -> Outcome:
        seen = {
            "parent": os.getppid(),
            "shown": os.environ.get(SHOWN),
            "has_compiled": "shardwriter.flac_encoder_kernel" in sys.modules,
        }
        return own_outcome(Code.MEMBER_MISSING, text=json.dumps(seen))


def seen_by_a_worker(work: Path) -> dict[str, object]:
    recipe = Recipe(
        fetcher=Mirror(),
        settings=Settings(name="made", audio=AudioFormat(), labels=("a",)),
        clean=CleanOptions(),
        run_id="run",
        lane="",
        vantage=Vantage(),
        out=str(work / "out"),
        s3=None,
        work=work / "work",
    )
    clip = ClipRef(id="made/1", file="1.wav", split="train", labels=("a",))
    with open_pool(recipe, num_workers=1, num_clips=1) as make:
        [(_, tried)] = make([Job(clip=clip)])
    seen: dict[str, object] = json.loads(tried.detail)
    return seen


@forks
def test_workers_have_what_they_need_before_their_first_clip(tmp_path: Path) -> None:
    first, second = (seen_by_a_worker(tmp_path / name) for name in "ab")
    assert first["has_compiled"]
    assert first["parent"] == second["parent"] != os.getpid()


def test_a_worker_has_the_environment_that_its_run_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for shown in ("before", "after"):
        monkeypatch.setenv(SHOWN, shown)
        assert seen_by_a_worker(tmp_path / shown)["shown"] == shown
    monkeypatch.delenv(SHOWN)
    assert seen_by_a_worker(tmp_path / "gone")["shown"] is None


def ingest_command(
    source: Path, out: Path, *, folder: Path, program: str = "from jobs.cli import main"
) -> subprocess.CompletedProcess[str]:
    arguments = ["ingest", "esc50", "--source", str(source), "--out", str(out), "--workers", "1"]
    return subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}\nsys.exit(main(sys.argv[1:]))", *arguments],
        env=os.environ | {"TMPDIR": str(folder)},
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )


def test_a_temporary_folder_too_deep_for_a_socket_does_not_matter(tmp_path: Path) -> None:
    source = real_source(tmp_path / "source", clips_per_fold=1)
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    ended = ingest_command(source, tmp_path / "out", folder=deep)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "out" / "dataset.json").is_file()
    assert not [*deep.iterdir()]


DYING = """
from jobs.cli import main
from jobs.ingesting import pool
pool._PRELOADED = ("tests.jobs.ingesting.dying",)
"""


@forks
def test_a_server_that_dies_is_told_in_one_line(tmp_path: Path) -> None:
    source = real_source(tmp_path / "source", clips_per_fold=1)
    ended = ingest_command(source, tmp_path / "out", folder=tmp_path, program=DYING)
    assert ended.returncode == 1
    assert "a worker process died" in ended.stderr
    assert "Traceback" not in ended.stderr

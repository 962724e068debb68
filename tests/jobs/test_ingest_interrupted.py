"""An ingest that is interrupted, in any way and anywhere, and run again gives the same bytes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobs.catalogues.esc50 import read_catalogue
from jobs.fetching.open_fetcher import open_fetcher
from jobs.ingest import IngestOptions, ingest
from jobs.sources import open_source
from shardwriter.storage import LocalStore
from tests.jobs.builders import dataset_tree, real_source

TIMEOUT_SECONDS = 60


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five clips: at two a shard, three shards."""
    return real_source(tmp_path_factory.mktemp("interrupted") / "source", clips_per_fold=1)


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a run that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole") / "out"
    run(source, out)
    return dataset_tree(out)


def run(source: Path, out: Path) -> None:
    opened = open_source(str(source))
    options = IngestOptions(
        out=str(out), sample_rate_hz=8000, num_workers=0, max_samples_per_shard=2, quiet=True
    )
    ingest(read_catalogue(opened), open_fetcher(opened.url), options)


def command(source: Path, out: Path, *, num_workers: int) -> list[str]:
    arguments = ["ingest", "esc50", "--source", str(source), "--out", str(out)]
    arguments += ["--sample-rate", "8000", "--shard-clips", "2"]
    return [*arguments, "--workers", str(num_workers)]


class PowerCutError(Exception):
    pass


@contextmanager
def failing_at(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[None]:
    """Let the store's put of this number, counted from 0, fail, and all after it."""
    calls = iter(range(10_000))
    with monkeypatch.context() as patch:
        for name in ("put", "put_file"):
            method = getattr(LocalStore, name)

            def put(self: LocalStore, *args: object, method: object = method, **rest: bool) -> None:
                if next(calls) >= number:
                    raise PowerCutError
                method(self, *args, **rest)  # type: ignore[operator]

            patch.setattr(LocalStore, name, put)
        yield


# Tar, idx and part of three shards; attempts, rejections, listing, snapshot; index, manifest.
NUM_PUTS = 3 * 3 + 4 + 2


@pytest.mark.parametrize("number", range(NUM_PUTS))
def test_exception_at_any_put_then_a_second_run_gives_the_same_files(
    source: Path,
    whole: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    with failing_at(monkeypatch, number), pytest.raises(PowerCutError):
        run(source, tmp_path)
    assert not (tmp_path / "dataset.json").exists()
    run(source, tmp_path)
    assert dataset_tree(tmp_path) == whole


def test_no_put_was_left_out_above(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with failing_at(monkeypatch, NUM_PUTS):
        run(source, tmp_path)


# Runs `melstream` and kills it, as `kill -9` does, at the store's put of a number.
KILLED_CLI = """
import os, signal, sys
from jobs.cli import main
from shardwriter.storage import LocalStore

calls = iter(range(10_000))

def killing(method):
    def put(self, *args, **rest):
        if next(calls) == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)
        return method(self, *args, **rest)
    return put

LocalStore.put, LocalStore.put_file = killing(LocalStore.put), killing(LocalStore.put_file)
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("number", [1, 5])
def test_killed_process_leaves_no_orphans_and_a_second_run_gives_the_same_files(
    source: Path, whole: dict[str, bytes], tmp_path: Path, number: int
) -> None:
    arguments = command(source, tmp_path, num_workers=1)
    # The worker inherits the pipes: run() returns when they are closed, so when it has ended too.
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_CLI, str(number), *arguments],
        check=False,
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
    )
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "dataset.json").exists()
    run(source, tmp_path)
    assert dataset_tree(tmp_path) == whole


@pytest.fixture
def ctrl_c_is_heard() -> Iterator[None]:
    """Shells start what runs in the background deaf to it, and programs inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_is_heard")
def test_ctrl_c_ends_the_command_and_its_workers_with_one_line(
    source: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    arguments = command(source, tmp_path, num_workers=2)
    with subprocess.Popen(
        [sys.executable, "-m", "jobs.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert "5 clips listed" in process.stdout.readline()  # the workers start now
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 130, errors
    assert "melstream ingest: interrupted" in errors
    assert "Traceback" not in errors
    run(source, tmp_path)
    assert dataset_tree(tmp_path) == whole

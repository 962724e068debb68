"""`kill -9` anywhere: what was fetched is not fetched again, and no clip is lost or there twice."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobs.fetching.fetcher import SourceAudio
from jobs.ingesting.spool import Spool
from jobs.ingesting.work_folder import default_work_folder
from shardwriter.audio import Cut
from shardwriter.errors import StorageError
from shardwriter.storage import LocalStore
from tests.jobs.crash_builders import check_as_reader
from tests.jobs.ingesting.site import clip_id, requests, run_site, write_site
from tests.jobs.ingesting.test_parts import samples

NUM_CLIPS = 60
MAX_WAIT_SECONDS = 120
GONE = {clip_id(number): ["private"] for number in (3, 17, 40)}


def start(site: Path, out: Path, *, num_workers: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.jobs.ingesting.killed_run", str(site), str(out)]
    return subprocess.Popen(
        [*command, str(NUM_CLIPS), str(num_workers)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def kill_at(site: Path, out: Path, *, num_requests: int, num_workers: int) -> bool:
    """Kill a run when so many requests were made; tell whether it was still at work."""
    process = start(site, out, num_workers=num_workers)
    stop = time.monotonic() + MAX_WAIT_SECONDS
    while requests(site).total() < num_requests and process.poll() is None:
        assert time.monotonic() < stop
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    # Workers that outlive it hold the pipe: this returns when they have ended too.
    _, errors = process.communicate(timeout=MAX_WAIT_SECONDS)
    assert process.returncode in (-signal.SIGKILL, 0), errors.decode()
    return process.returncode == -signal.SIGKILL


def finish(site: Path, out: Path) -> None:
    process = start(site, out, num_workers=0)
    _, errors = process.communicate(timeout=MAX_WAIT_SECONDS)
    assert process.returncode == 0, errors.decode()


def check_whole(site: Path, out: Path) -> None:
    assert check_as_reader(out)
    assert len(samples(out)) == NUM_CLIPS - len(GONE)
    assert not [path for path in out.rglob("*") if path.name.startswith(".tmp-")]


def kill_and_check(folder: Path, *, kills: list[int], num_workers: int) -> None:
    site, out = write_site(folder / "site", GONE), folder / "out"
    num_killed = sum(
        kill_at(site, out, num_requests=kill, num_workers=num_workers) for kill in kills
    )
    assert num_killed >= 1
    finish(site, out)
    check_whole(site, out)
    tries = requests(site)
    # Each kill costs at most the requests that were under way in the workers.
    again = {clip: num - 1 for clip, num in tries.items() if num > 1}
    assert sum(again.values()) <= num_killed * max(1, num_workers)
    assert len(tries) == NUM_CLIPS


@pytest.mark.parametrize("num_workers", [0, 2])
def test_killed_run_asks_for_nothing_that_it_has_fetched(tmp_path: Path, num_workers: int) -> None:
    kill_and_check(tmp_path, kills=[13, 31, 52], num_workers=num_workers)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_forty_kills_at_random_requests_lose_nothing(tmp_path: Path) -> None:
    rng = random.Random(1)
    for run in range(10):
        folder = tmp_path / str(run)
        folder.mkdir()
        kills = sorted(rng.sample(range(1, NUM_CLIPS), 4))
        kill_and_check(folder, kills=kills, num_workers=run % 3)


def test_spool_is_bounded_and_empty_at_the_end(tmp_path: Path) -> None:
    site, out = write_site(tmp_path / "site"), tmp_path / "out"
    spool = default_work_folder(LocalStore(out)) / "spool"
    most = 0

    def look(*_: object) -> None:
        nonlocal most
        most = max(most, sum(path.stat().st_size for path in spool.glob("*/*")))

    with pytest.MonkeyPatch.context() as patch:
        settle = "jobs.ingesting.tally.Tally.settle"
        patch.setattr(settle, lambda self, clip, tried: look())
        run_site(site, out, 40, max_spool_bytes=20_000, max_samples_per_shard=100)
    assert 20_000 <= most <= 20_000 + 5_000  # a clip over
    assert not spool.exists()
    assert len(samples(out)) == 40


def test_spool_in_a_folder_of_ones_own_outlives_a_failed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, out, work = write_site(tmp_path / "site"), tmp_path / "out", tmp_path / "work"
    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "put_file", _full_disk)
        with pytest.raises(StorageError, match="disk full"):
            run_site(site, out, 20, work=work)
    assert requests(site).total() >= 8
    fetched = requests(site)
    run_site(site, out, 20, work=work)
    assert requests(site) == fetched | requests(site)
    assert set(requests(site).values()) == {1}
    assert not work.exists()
    assert len(samples(out)) == 20


def _full_disk(self: LocalStore, name: str, path: Path) -> None:
    raise StorageError("disk full")


def test_what_the_spool_holds_torn_is_fetched_again(tmp_path: Path) -> None:

    spool = Spool(tmp_path / "spool")
    audio = SourceAudio(
        data=b"bytes\nwith\nbreaks",
        file="a.webm",
        cut=Cut(start_seconds=1.5, stop_seconds=11.5),
        num_bytes=99,
        tool="tool 1",
        client="web",
        metadata={"licence": "CC BY"},
    )
    spool.put("a/b", audio)
    assert spool.get("a/b") == audio
    assert spool.get("a/c") is None
    (held,) = (tmp_path / "spool").glob("*/*")
    held.write_bytes(held.read_bytes()[:-1])
    assert spool.get("a/b") is None
    assert spool.clear(lambda _: True) == 0
    spool.remove_if_empty()
    assert not (tmp_path / "spool").exists()


def test_parts_may_clear_one_spool_at_the_same_time(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    for number in range(20):
        audio = SourceAudio(data=b"x", file="a.webm", cut=None, num_bytes=1, tool="tool 1")
        spool.put(f"a/{number}", audio)
    (tmp_path / "spool" / "00").mkdir(exist_ok=True)
    (tmp_path / "spool" / "00" / ".part-0").write_bytes(b"y")

    def is_done(_: str) -> bool:  # another part removes all, in the middle of this one's pass
        shutil.rmtree(tmp_path / "spool", ignore_errors=True)
        return True

    assert spool.clear(is_done) == 0
    assert not (tmp_path / "spool").exists()

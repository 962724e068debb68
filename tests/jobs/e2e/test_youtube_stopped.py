"""Runs from YouTube that end early: blocked, without a network, killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from jobs.availability.breaker import EXIT_BLOCKED
from jobs.availability.outcome import Code
from jobs.availability.snapshot import read_snapshot
from jobs.ingesting.tally import REJECTIONS_NAME
from jobs.verify import verify
from shardwriter.manifest import load_manifest
from shardwriter.storage import LocalStore
from tests.jobs.e2e.drifting_site import (
    Listed,
    Videos,
    asked,
    ingest,
    listed,
    on_day,
    write_list,
)
from tests.jobs.fetching.site import Site, free_port
from tests.jobs.fetching.youtube_site import ENVIRONMENT

MAX_WAIT_SECONDS = 120


def states(out: Path) -> Counter[str]:
    return Counter(read_snapshot(LocalStore(out))["state"].to_pylist())


@pytest.mark.usefixtures("no_waiting")
def test_blocked_run_ends_with_75_and_no_clip_is_lost(
    tmp_path: Path, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = listed(40)
    csv = write_list(tmp_path / "list.csv", rows)
    blocked = dict.fromkeys(rows[20:], Code.BOT_CHECK)
    Videos(site).put(rows, {rows[3]: Code.PRIVATE} | blocked)
    assert ingest(csv, tmp_path / "out", "--shard-clips", "10") == EXIT_BLOCKED
    assert len(asked(site)) == 25  # five refusals in a row, and no sixth
    assert "no clip is judged by that: run it again later" in capsys.readouterr().out
    rejected = (tmp_path / "out" / REJECTIONS_NAME).read_text().splitlines()
    assert [json.loads(line)["clip_id"] for line in rejected] == [rows[3].id]
    assert states(tmp_path / "out")["gone"] == 0


@pytest.mark.usefixtures("no_waiting")
def test_run_that_loses_its_network_records_no_losses(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = listed(60)
    csv = write_list(tmp_path / "list.csv", rows)
    Videos(site).put(rows, {})
    out = tmp_path / "out"
    monkeypatch.setenv(ENVIRONMENT, f"http://127.0.0.1:{free_port()}")
    on_day(0, monkeypatch)
    assert ingest(csv, out) == EXIT_BLOCKED
    on_day(1, monkeypatch)
    assert ingest(csv, out) == EXIT_BLOCKED
    assert set(states(out)) == {"unknown"}
    monkeypatch.setenv(ENVIRONMENT, site.url)
    assert ingest(csv, out) == 0
    assert states(out) == {"alive": 60}
    assert (out / REJECTIONS_NAME).read_bytes() == b""


def start(csv: Path, out: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "jobs.cli", "ingest", "audioset", "--source", "youtube"]
    command += ["--split", "balanced", "--csv", str(csv), "--out", str(out), "--workers", "2"]
    command += ["--videos-per-hour", "1000000000", "--pause", "0.05", "--shard-clips", "8"]
    command += ["--allow-private-hosts"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def kill_at(process: "subprocess.Popen[bytes]", site: Site, *, num_asked: int) -> None:
    stop = time.monotonic() + MAX_WAIT_SECONDS
    while len(asked(site)) < num_asked and process.poll() is None:
        assert time.monotonic() < stop
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    _, errors = process.communicate(timeout=MAX_WAIT_SECONDS)  # when its workers have ended, too
    assert process.returncode == -signal.SIGKILL, errors.decode()


def check_fetched_once(rows: list[Listed], site: Site, *, num_again: int) -> None:
    media = Counter(path for path in site.paths() if path.startswith("/media/"))
    assert set(media) == {f"/media/{row.video}" for row in rows}
    assert media.total() - len(media) <= num_again


def test_killed_run_fetches_nothing_twice(tmp_path: Path, site: Site) -> None:
    rows, out = listed(40), tmp_path / "out"
    csv = write_list(tmp_path / "list.csv", rows)
    Videos(site).put(rows, {})
    kill_at(start(csv, out), site, num_asked=13)
    last = start(csv, out)
    _, errors = last.communicate(timeout=MAX_WAIT_SECONDS)
    assert last.returncode == 0, errors.decode()
    # What the two workers had under way, and the canaries of the second run.
    check_fetched_once(rows, site, num_again=2 + 3)
    shards = load_manifest(LocalStore(out)).shards
    assert sum(shard.num_samples for shard in shards) == 40
    assert verify(str(out)) == 0

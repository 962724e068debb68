"""How often YouTube is asked: by whom, in parts, from how many machines; and what the bar says."""

from dataclasses import replace
from pathlib import Path

import pytest

from jobs.availability.attempt import Vantage
from jobs.availability.outcome import Code, Group
from jobs.cli import main
from jobs.console import clip_progress
from jobs.fetching.rate_limit import YOUTUBE_GUEST, Politeness
from jobs.ingest import IngestOptions, _politeness
from jobs.ingesting.making import Job, Tried
from jobs.ingesting.parts import Part
from jobs.ingesting.watch import Watch, WatchRules
from tests.jobs.e2e.drifting_site import listed, write_list
from tests.jobs.ingesting.site import SiteFetcher, catalogue
from tests.jobs.ingesting.test_blocked import Clock


def polite_watch(clock: Clock, **rules: object) -> Watch:
    return Watch(
        WatchRules(politeness=YOUTUBE_GUEST, **rules),
        run_id="run",
        is_network=True,
        clock=clock,
        sleep=clock.sleep,
    )


def test_guest_begins_300_videos_an_hour() -> None:
    clock = Clock()
    watch = polite_watch(clock)
    started = clock.now
    for _ in range(300):
        watch.wait_for_turn()
    assert clock.now - started == pytest.approx(299 * 12)


def test_canaries_keep_to_the_pace() -> None:
    clock = Clock()
    watch = polite_watch(clock, canaries=catalogue(3).clips)
    started = clock.now
    asked = [job for job in watch.before_next() if job is not None]
    assert len(asked) == 3
    assert clock.now - started == pytest.approx(2 * 12)


def test_session_that_is_rate_limited_is_left_alone_for_an_hour() -> None:
    clock = Clock()
    watch = polite_watch(clock, waits_when_blocked=True)
    watch.wait_for_turn()
    limited = Tried(code=Code.RATE_LIMITED_SESSION, group=Group.BLOCKED)
    watch.follow(Job(clip=catalogue(1).clips[0]), limited, is_requeued=False)
    told = clock.now
    watch.wait_for_turn()
    assert clock.now - told == 3600


def options(tmp_path: Path, **chosen: object) -> IngestOptions:
    return replace(IngestOptions(out=str(tmp_path)), **chosen)


def test_rate_is_that_of_a_guest_or_an_account_shared_by_parts(tmp_path: Path) -> None:
    youtube = SiteFetcher(tmp_path, kind="youtube")
    assert _politeness(youtube, options(tmp_path)) == YOUTUBE_GUEST
    account = options(tmp_path, vantage=Vantage(is_authenticated=True))
    assert _politeness(youtube, account).starts_per_hour == 2000
    assert _politeness(youtube, options(tmp_path, part=Part(number=1, count=3))) == (
        YOUTUBE_GUEST.divided_by(3)
    )
    own = Politeness(starts_per_hour=7, min_gap_seconds=0, max_gap_seconds=0)
    chosen = options(tmp_path, part=Part(number=1, count=3), politeness=own)
    assert _politeness(youtube, chosen) == own
    assert _politeness(SiteFetcher(tmp_path, kind="http"), options(tmp_path)) is None


def test_bar_promises_no_more_than_the_pace_allows(capsys: pytest.CaptureFixture[str]) -> None:
    with clip_progress(1000, what="ingest", state=str, max_per_second=1 / 12) as advance:
        advance(100)  # from what an earlier run had fetched, at once
    last = capsys.readouterr().err.split("\r")[-1]
    assert "<3:00:00" in last


def test_dry_run_says_what_a_pace_of_ones_own_means(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    csv = write_list(tmp_path / "list.csv", listed(600))
    command = ["ingest", "audioset", "--source", "youtube", "--split", "balanced", "--dry-run"]
    command += ["--csv", str(csv), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    usual = capsys.readouterr().out
    assert "about 2.0 hours at 300 videos an hour, YouTube's limit for a guest session" in usual
    assert "Bring your own copy first" in usual
    assert main([*command, "--videos-per-hour", "100"]) == 0
    assert "about 6.0 hours at 100 videos an hour and session" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()

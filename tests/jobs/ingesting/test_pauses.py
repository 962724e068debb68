"""A source that asks for a pause (`Retry-After`) gets it, from all workers."""

from pathlib import Path

import pytest

from jobs.availability.breaker import EXIT_BLOCKED
from jobs.availability.log_table import read_attempts
from jobs.availability.outcome import Code, Group
from jobs.fetching.http_fetcher import HttpFetcher
from jobs.fetching.http_session import HttpOptions
from jobs.fetching.retry_after import MAX_PAUSE_SECONDS
from jobs.ingest import IngestOptions, IngestSummary, ingest
from jobs.ingesting.making import Job, Tried
from jobs.ingesting.watch import Watch, WatchRules
from shardwriter.storage import LocalStore
from tests.jobs.fetching.site import Page, Site
from tests.jobs.ingesting.site import RATE_HZ, catalogue, wav
from tests.jobs.ingesting.test_blocked import Clock

CLIPS = catalogue(40).clips
BUSY = Tried(code=Code.HTTP_5XX, group=Group.TRANSIENT, retry_after_seconds=40.0)
REFUSED = Tried(code=Code.HTTP_429, group=Group.BLOCKED, retry_after_seconds=40.0)


def watch(clock: Clock, **rules: object) -> Watch:
    return Watch(WatchRules(**rules), run_id="run", is_network=True, clock=clock, sleep=clock.sleep)


@pytest.mark.parametrize("tried", [BUSY, REFUSED])
def test_nothing_is_asked_before_the_pause_is_over(tried: Tried) -> None:
    clock = Clock()
    watched = watch(clock)
    began = clock.now
    watched.follow(Job(clip=CLIPS[0]), tried, is_requeued=False)
    assert list(watched.before_next()) == [None]  # for what is under way
    assert clock.now == began + 40
    assert list(watched.before_next()) == []


def test_what_was_under_way_when_the_pause_began_is_no_block() -> None:
    clock = Clock()
    watched = watch(clock)
    for clip in CLIPS[:20]:
        watched.follow(Job(clip=clip), REFUSED, is_requeued=False)
    assert not watched.is_over


def test_five_pauses_in_a_row_are_a_block() -> None:
    clock = Clock()
    watched = watch(clock)
    for number, clip in enumerate(CLIPS[:5]):
        assert not watched.is_over, number
        list(watched.before_next())
        watched.follow(Job(clip=clip), REFUSED, is_requeued=False)
    assert watched.is_over
    assert "5 clips in a row" in watched.blocked


def test_a_long_pause_ends_the_run_or_is_waited_for_within_bounds() -> None:
    clock = Clock()
    tried = Tried(code=Code.HTTP_429, group=Group.BLOCKED, retry_after_seconds=1e7)
    watched = watch(clock)
    watched.follow(Job(clip=CLIPS[0]), tried, is_requeued=False)
    assert watched.is_over
    assert watched.blocked == "the source asks for a pause of 10,000,000 s"
    patient = watch(clock, waits_when_blocked=True)
    began = clock.now
    patient.follow(Job(clip=CLIPS[0]), tried, is_requeued=False)
    assert not patient.is_over
    list(patient.before_next())
    assert MAX_PAUSE_SECONDS < clock.now - began <= 3600


def run(site: Site, out: Path, num_clips: int, *, num_workers: int = 0) -> IngestSummary:
    fetcher = HttpFetcher(site.url, HttpOptions(allow_private_hosts=True))
    return ingest(
        catalogue(num_clips),
        fetcher,
        IngestOptions(
            out=str(out),
            sample_rate_hz=RATE_HZ,
            quiet=True,
            num_workers=num_workers,
            group_rule="ignore",
        ),
    )


def test_a_run_sits_out_the_pauses_of_its_server_and_gets_everything(tmp_path: Path) -> None:
    with Site().serving() as site:
        for clip in CLIPS[:5]:
            whole = Page(body=wav(clip.id))
            busy = Page(status=429, headers={"Retry-After": "1"})
            is_refused_first = clip is CLIPS[1]
            site.put(f"/{clip.file}", *([busy, whole] if is_refused_first else [whole]))
        summary = run(site, tmp_path / "out", 5, num_workers=1)
    assert (summary.num_written, summary.exit_status) == (5, 0)
    table = read_attempts(LocalStore(tmp_path / "out"), ["code", "retry_after_seconds"])
    asked = [row["retry_after_seconds"] for row in table.to_pylist() if row["code"] == "http_429"]
    assert asked == [1.0]


def test_a_run_whose_server_wants_an_hour_ends_and_says_so(tmp_path: Path) -> None:
    with Site().serving() as site:
        for clip in CLIPS[:6]:
            site.put(f"/{clip.file}", Page(body=wav(clip.id)))
        site.put(f"/{CLIPS[2].file}", Page(status=503, headers={"Retry-After": "3600"}))
        summary = run(site, tmp_path / "out", 6)
        assert len(site.requests) == 3
    assert summary.exit_status == EXIT_BLOCKED
    assert summary.blocked == "the source asks for a pause of 3,600 s"
    assert not any(summary.num_by_group.get(group) for group in (Group.PERMANENT, Group.GATED))

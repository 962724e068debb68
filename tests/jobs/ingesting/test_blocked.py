"""A source that blocks us: the run stops, publishes what is whole, and calls no clip lost."""

from collections import Counter
from pathlib import Path

import pytest

from jobs.availability.breaker import EXIT_BLOCKED
from jobs.availability.outcome import Code, Group
from jobs.availability.policy import Action
from jobs.availability.snapshot import read_snapshot
from jobs.catalogues.catalogue import ClipRef
from jobs.ingesting.making import Job, Tried
from jobs.ingesting.tally import REJECTIONS_NAME
from jobs.ingesting.watch import Watch, WatchRules
from shardwriter.errors import MelstreamError
from shardwriter.storage import LocalStore
from tests.jobs.ingesting.site import catalogue, clip_id, requests, run_site, write_site
from tests.jobs.ingesting.test_parts import samples

NUM_CLIPS = 60
BLOCKED_FROM = 30


def blocked_site(folder: Path) -> Path:
    """From a clip on, everything looks like a bot to it; the fifth clip is private."""
    blocked = {clip_id(number): ["bot_check"] for number in range(BLOCKED_FROM, NUM_CLIPS)}
    return write_site(folder, blocked | {clip_id(4): ["private"]})


def test_blocked_run_stops_and_publishes_its_full_shards_only(tmp_path: Path) -> None:
    site, out = blocked_site(tmp_path / "site"), tmp_path / "out"
    summary = run_site(site, out, NUM_CLIPS)
    assert summary.exit_status == EXIT_BLOCKED
    assert "5 clips in a row were blocked" in summary.blocked
    assert requests(site).total() == BLOCKED_FROM + 5  # and then no more
    assert summary.manifest is not None
    assert all(shard.num_samples == 8 for shard in summary.manifest.shards)
    assert len(samples(out)) == 3 * 8  # of 24 for train and 5 for eval
    lines = (out / REJECTIONS_NAME).read_text().splitlines()
    assert len(lines) == 1
    assert clip_id(4) in lines[0]
    states = Counter(read_snapshot(LocalStore(out))["state"].to_pylist())
    assert "gone" not in states
    assert states["alive"] == BLOCKED_FROM - 1


def test_run_after_the_block_asks_for_nothing_that_was_fetched(tmp_path: Path) -> None:
    site, out = blocked_site(tmp_path / "site"), tmp_path / "out"
    run_site(site, out, NUM_CLIPS)
    write_site(site)
    summary = run_site(site, out, NUM_CLIPS)
    assert summary.exit_status == 0
    assert set(requests(site)) == {clip_id(n) for n in range(BLOCKED_FROM, NUM_CLIPS)}
    assert summary.num_not_due == 1  # private, by one look: asked again tomorrow
    assert len(samples(out)) == NUM_CLIPS - 1


def test_blocked_before_the_first_shard_publishes_nothing_and_keeps_what_came(
    tmp_path: Path,
) -> None:
    blocked = {clip_id(number): ["bot_check"] for number in range(3, NUM_CLIPS)}
    site, out = write_site(tmp_path / "site", blocked), tmp_path / "out"
    summary = run_site(site, out, NUM_CLIPS)
    assert (summary.manifest, summary.exit_status) == (None, EXIT_BLOCKED)
    assert not (out / "dataset.json").exists()
    write_site(site)
    assert run_site(site, out, NUM_CLIPS).num_written == NUM_CLIPS
    assert not requests(site).keys() & {clip_id(number) for number in range(3)}


def test_blocked_part_is_not_done(tmp_path: Path) -> None:
    site, out = blocked_site(tmp_path / "site"), tmp_path / "out"
    assert run_site(site, out, NUM_CLIPS, part="1/2").unfinished_parts == (2,)
    blocked = run_site(site, out, NUM_CLIPS, part="2/2")
    assert blocked.unfinished_parts == (2,)
    assert blocked.exit_status == EXIT_BLOCKED
    assert not (out / "dataset.json").exists()


def test_failure_of_our_own_stops_the_job_and_judges_no_clip(tmp_path: Path) -> None:
    answers = {clip_id(number): ["disk"] for number in range(20, NUM_CLIPS)}
    site, out = write_site(tmp_path / "site", answers), tmp_path / "out"
    with pytest.raises(MelstreamError, match=r"site/0020: disk: .* our side"):
        run_site(site, out, NUM_CLIPS)
    write_site(site)
    run_site(site, out, NUM_CLIPS)
    assert len(samples(out)) == NUM_CLIPS
    assert not requests(site).keys() & {clip_id(number) for number in range(20)}


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def watch(clock: Clock, **rules: object) -> Watch:
    return Watch(
        WatchRules(waits_when_blocked=True, **rules),
        run_id="run",
        is_network=True,
        clock=clock,
        sleep=clock.sleep,
    )


def answer(watch: Watch, clip: ClipRef, code: Code, group: Group) -> Action:
    tried = Tried(code=code, group=group)
    return watch.follow(Job(clip=clip), tried, is_requeued=False).action


def block(watch: Watch) -> None:
    for clip in catalogue(5).clips:
        assert answer(watch, clip, Code.BOT_CHECK, Group.BLOCKED) == Action.BACK_OFF


def test_patient_run_waits_and_takes_the_next_clip_as_its_probe() -> None:
    clock = Clock()
    watched = watch(clock)
    block(watched)
    assert not watched.is_over
    assert list(watched.before_next()) == [None, None]  # for what is under way
    assert clock.now >= 1600.0
    assert watched.is_probing
    answer(watched, catalogue(6).clips[5], Code.OK, Group.OK)
    assert not watched.is_probing
    assert list(watched.before_next()) == []


def test_patient_run_gives_up_after_its_last_probe() -> None:
    clock = Clock()
    watched = watch(clock)
    block(watched)
    for number in range(50):
        list(watched.before_next())
        if watched.is_over:
            break
        answer(watched, catalogue(60).clips[number + 6], Code.BOT_CHECK, Group.BLOCKED)
    assert watched.is_over
    assert watched.blocked
    assert clock.now - 1000.0 > 3 * 3600


def test_canaries_are_asked_first_and_their_answer_stands_beside_each_try() -> None:
    canaries = catalogue(20).clips[10:14]
    watched = watch(Clock(), canaries=canaries)
    asked = []
    for job in watched.before_next():
        if job is not None:
            asked.append(job)
            watched.follow_canary(job, Tried(code=Code.OK, group=Group.OK))
    assert [job.clip for job in asked] == list(canaries[:3])
    assert all(job.is_canary and not job.may_spool for job in asked)
    assert watched.canary_state == "ok"
    assert list(watched.before_next()) == []


def test_files_of_ones_own_are_not_watched() -> None:
    watched = Watch(WatchRules(), run_id="run", is_network=False)
    for clip in catalogue(50).clips:
        assert answer(watched, clip, Code.DISK, Group.OURS) == Action.DONE
    assert not watched.is_over
    assert list(watched.before_next()) == []


def test_clips_that_fail_again_at_the_end_don_t_look_like_a_block(tmp_path: Path) -> None:
    blocked = {clip_id(number): ["bot_check"] for number in range(0, 160, 4) if number % 12 < 8}
    unclear = {clip_id(n): ["unavailable_unspecified"] for n in range(8, 160, 12)}
    site, out = write_site(tmp_path / "site", blocked | unclear), tmp_path / "out"
    summary = run_site(site, out, 160)
    assert summary.exit_status == 0
    assert summary.num_by_group == {Group.OK: 120, Group.UNCLEAR: 13, Group.BLOCKED: 27}
    assert {requests(site)[clip] for clip in blocked | unclear} == {2}

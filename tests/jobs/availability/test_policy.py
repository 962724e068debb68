"""What follows from an outcome, within a run and between runs."""

from collections.abc import Iterable
from datetime import timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.availability.attempt import Attempt, Vantage
from jobs.availability.outcome import GROUPS, Code, Group
from jobs.availability.policy import (
    Action,
    RetryPolicy,
    RunPolicy,
    clips_to_try,
    decide,
    is_vantage_new,
    retry_seconds,
)
from jobs.availability.reduction import reduce_attempts
from tests.jobs.availability.builders import START, at, attempt, attempts_table, listing
from tests.shardwriter.properties import bounded


def actions(code: Code, count: int = 6) -> list[str]:
    """What is done after each try at one clip that always ends so; requeued where that is said."""
    done: list[str] = []
    is_requeued = False
    for number in range(1, count + 1):
        decision = decide(
            GROUPS[code], code, number, run_id="r", clip_id="a", is_requeued=is_requeued
        )
        done.append(decision.action)
        if decision.is_clip_done or decision.action == Action.STOP:
            break
        is_requeued |= decision.action in (Action.REQUEUE, Action.BACK_OFF)
    return done


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (Code.OK, ["done"]),
        (Code.PRIVATE, ["done"]),
        (Code.SILENT, ["done"]),
        (Code.AGE_GATED, ["done"]),
        (Code.MEMBER_MISSING, ["done"]),
        (Code.REFUSED_URL, ["done"]),
        (Code.LIVE_PENDING, ["done"]),
        (Code.DNS, ["retry", "retry", "requeue", "done"]),
        (Code.HTTP_5XX, ["retry", "retry", "requeue", "done"]),
        (Code.UNAVAILABLE_UNSPECIFIED, ["requeue", "done"]),
        (Code.UNKNOWN, ["requeue", "done"]),
        (Code.BOT_CHECK, ["back_off", "back_off"]),
        (Code.HTTP_403_MEDIA, ["retry", "back_off", "back_off"]),
        (Code.HTTP_404_MEDIA, ["retry", "requeue", "done"]),
        (Code.NO_FORMATS, ["requeue", "done"]),
        (Code.EXTRACTOR_BUG, ["requeue", "done"]),
        (Code.DISK, ["stop"]),
        (Code.CONFIG, ["stop"]),
        (Code.JS_RUNTIME, ["stop"]),
        (Code.PROXY, ["retry", "retry", "stop"]),
    ],
)
def test_clip_that_always_ends_so_is_tried_so_often(code: Code, expected: list[str]) -> None:
    assert actions(code) == expected


@pytest.mark.parametrize("code", list(Code))
def test_no_outcome_keeps_a_run_from_ending(code: Code) -> None:
    assert len(actions(code)) < 6


@pytest.mark.parametrize("code", [code for code in Code if GROUPS[code] == Group.BLOCKED])
def test_blocked_clip_is_never_done_at_its_first_try(code: Code) -> None:
    assert not decide(Group.BLOCKED, code, 1, run_id="r", clip_id="a").is_clip_done


def back_off(code: Code, num_in_a_row: int, **options: float) -> float:
    decision = decide(
        Group.BLOCKED, code, 2, run_id="r", clip_id="a", num_blocks_in_a_row=num_in_a_row, **options
    )
    assert decision.action == Action.BACK_OFF
    return decision.seconds


def test_session_waits_longer_each_time_and_an_hour_at_most() -> None:
    waits = [back_off(Code.BOT_CHECK, number) for number in (1, 2, 3, 7, 1000)]
    assert waits == [60, 120, 240, 3600, 3600]
    assert back_off(Code.RATE_LIMITED_SESSION, 1) == 3600


def test_server_that_names_a_time_gets_it() -> None:
    assert back_off(Code.HTTP_429, 1, retry_after_seconds=1800) == 1800
    assert back_off(Code.HTTP_429, 1, retry_after_seconds=7200) == 3600
    retry = decide(
        Group.TRANSIENT, Code.HTTP_5XX, 1, run_id="r", clip_id="a", retry_after_seconds=30
    )
    assert (retry.action, retry.seconds) == (Action.RETRY, 30)


@bounded(max_examples=100)
@given(number=st.integers(1, 10_000), run=st.text(), clip=st.text())
def test_wait_is_the_same_each_time_and_within_its_bounds(number: int, run: str, clip: str) -> None:
    policy = RetryPolicy(first_seconds=2, max_seconds=100, jitter=0.25)
    wait = retry_seconds(number, key=(run, clip), policy=policy)
    assert wait == retry_seconds(number, key=(run, clip), policy=policy)
    full = min(2.0 ** min(number, 60), 100)
    assert 0.75 * full <= wait <= full


def test_waits_of_a_thousand_clips_are_spread() -> None:
    waits = [retry_seconds(1, key=("r", str(n)), policy=RetryPolicy()) for n in range(1000)]
    assert min(waits) < 1.02
    assert max(waits) > 1.98
    assert 1.45 < sum(waits) / 1000 < 1.55


# Between runs

CLIPS = ["alive", "gone", "claimed", "gated", "blocked", "absent", "dns", "suspect", "never"]


def history() -> Iterable[Attempt]:
    """Runs that leave one clip in each state, the last at 24 h."""
    yield attempt("alive")
    yield attempt("gone", Code.PRIVATE)
    yield attempt("gone", Code.PRIVATE, run_id="run-2", time_utc=at(24))
    yield attempt("claimed", Code.PRIVATE, run_id="run-2", time_utc=at(24))
    yield attempt("gated", Code.AGE_GATED)
    yield attempt("blocked", Code.BOT_CHECK)
    yield attempt("absent", Code.MEMBER_MISSING)
    yield attempt("dns", Code.DNS, run_id="run-2", time_utc=at(24))
    yield attempt("suspect", Code.PRIVATE, run_id="run-0", canary_state="failed")


def tried(hours: float, policy: RunPolicy | None = None) -> list[str]:
    snapshot = reduce_attempts(attempts_table(history()), listing(CLIPS[:-1]))
    now = START + timedelta(hours=hours)
    clips: list[str] = clips_to_try(snapshot, listing(CLIPS), now=now, policy=policy).to_pylist()
    return clips


MAY_CHANGE = ["blocked", "absent", "dns", "suspect", "never"]


def test_only_what_can_change_is_tried_again() -> None:
    assert tried(25) == MAY_CHANGE


def test_claim_is_looked_at_again_in_the_next_window() -> None:
    assert tried(43.9) == MAY_CHANGE
    assert tried(44) == ["claimed", *MAY_CHANGE]


def test_gated_clips_are_tried_from_another_vantage_only() -> None:
    assert tried(25, RunPolicy(is_vantage_new=True)) == ["gated", *MAY_CHANGE]


def test_gone_clips_are_tried_after_the_days_asked_for() -> None:
    policy = RunPolicy(recheck_gone_after_days=365)
    assert tried(24 + 365 * 24 - 1, policy) == ["claimed", *MAY_CHANGE]
    assert tried(24 + 365 * 24, policy) == ["gone", "claimed", *MAY_CHANGE]


def test_first_run_tries_everything() -> None:
    assert clips_to_try(None, listing(CLIPS), now=START).to_pylist() == CLIPS


def test_run_of_an_empty_listing_tries_nothing() -> None:
    snapshot = reduce_attempts(attempts_table([]), listing([]))
    assert clips_to_try(snapshot, listing([]), now=START) == pa.array([], pa.string())


def test_vantage_is_new_until_an_attempt_was_made_from_it() -> None:
    eu = Vantage(region="eu", is_authenticated=True)
    log = attempts_table([attempt("a"), attempt("b", vantage=eu)])
    assert not is_vantage_new(log, eu)
    assert not is_vantage_new(log, Vantage())
    assert is_vantage_new(log, Vantage(region="eu"))
    assert is_vantage_new(attempts_table([]), Vantage())

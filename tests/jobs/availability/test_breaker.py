"""The circuit breaker: when it opens, who may look, when it gives up."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.availability.breaker import EXIT_BLOCKED, Breaker, BreakerPolicy, BreakerState
from jobs.availability.outcome import Group
from tests.shardwriter.properties import bounded

POLICY = BreakerPolicy(
    max_blocked_in_a_row=3, burst_clips=5, burst_share=0.8, wait_seconds=100, max_probes=3
)


def after(groups: Iterable[Group], clip_ids: Iterable[str] | None = None) -> Breaker:
    breaker = Breaker(policy=POLICY)
    groups = list(groups)
    for clip_id, group in zip(clip_ids or map(str, range(99)), groups, strict=False):
        breaker = breaker.observe(clip_id, group, now=0.0)
    return breaker


def opened() -> Breaker:
    return after([Group.BLOCKED] * 3)


def test_blocks_in_a_row_open_it() -> None:
    assert after([Group.BLOCKED] * 2).state == BreakerState.CLOSED
    assert opened().state == BreakerState.OPEN
    assert opened().reason == "3 clips in a row were blocked"


@pytest.mark.parametrize("group", [Group.OK, Group.PERMANENT, Group.GATED])
def test_answer_in_between_starts_the_row_anew(group: Group) -> None:
    rows = [Group.BLOCKED, Group.BLOCKED, group, Group.BLOCKED]
    assert after(rows).state == BreakerState.CLOSED


def test_one_clip_that_is_blocked_again_and_again_is_one() -> None:
    assert after([Group.BLOCKED] * 9, ["a"] * 9).state == BreakerState.CLOSED
    assert after([Group.TRANSIENT] * 9, ["a"] * 9).state == BreakerState.CLOSED


def test_network_that_is_lost_opens_it() -> None:
    assert after([Group.TRANSIENT] * 4).state == BreakerState.CLOSED
    lost = after([Group.OK, *[Group.TRANSIENT] * 4])
    assert (lost.state, lost.reason) == (BreakerState.OPEN, "4 of the last 5 clips got no answer")
    few = [Group.OK, Group.TRANSIENT, Group.OK, Group.TRANSIENT, Group.TRANSIENT]
    assert after(few).state == BreakerState.CLOSED


@pytest.mark.parametrize("group", [Group.UNCLEAR, Group.OURS])
def test_odd_answers_ask_the_canaries_at_once(group: Group) -> None:
    odd = after([Group.OK, group, Group.TRANSIENT, group, group])
    assert (odd.state, odd.reason) == (BreakerState.HALF_OPEN, "4 of the last 5 clips failed")
    assert odd.seconds_to_wait(0) == 0
    assert odd.probed(is_well=True, now=0) == Breaker(policy=POLICY)
    assert odd.probed(is_well=False, now=0).seconds_to_wait(0) == 200


def test_lost_clips_do_not_open_it() -> None:
    assert after([Group.PERMANENT, Group.GATED, Group.ABSENT] * 9).state == BreakerState.CLOSED


def test_open_breaker_waits_and_then_lets_a_canary_through() -> None:
    breaker = opened()
    assert breaker.at(99.9).state == BreakerState.OPEN
    assert breaker.seconds_to_wait(40) == 60
    assert breaker.at(100).state == BreakerState.HALF_OPEN
    assert breaker.at(100).seconds_to_wait(100) == 0


def test_canary_that_comes_closes_it_and_forgets() -> None:
    closed = opened().at(100).probed(is_well=True, now=100)
    assert closed == Breaker(policy=POLICY)


def test_canaries_that_fail_double_the_wait_and_exhaust_it_in_the_end() -> None:
    breaker, now, waits = opened(), 0.0, []
    while breaker.state != BreakerState.EXHAUSTED:
        waits.append(breaker.seconds_to_wait(now))
        now = breaker.until
        breaker = breaker.at(now).probed(is_well=False, now=now)
    assert waits == [100, 200, 400]
    assert breaker.reason == "3 clips in a row were blocked"
    assert breaker.at(1e9).state == BreakerState.EXHAUSTED


def test_canaries_are_for_a_half_open_breaker() -> None:
    with pytest.raises(ValueError, match="this one is closed"):
        Breaker().probed(is_well=True, now=0)


def test_exit_status_is_none_that_others_use() -> None:
    assert EXIT_BLOCKED not in (0, 1, 2, 130)


EVENTS = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(list(Group)), st.booleans()),
    max_size=60,
)


@bounded(max_examples=100)
@given(events=EVENTS, wait=st.floats(0, 1000))
def test_it_is_bounded_and_every_way_leads_on(
    events: list[tuple[str, Group, bool]], wait: float
) -> None:
    breaker, now = Breaker(policy=POLICY), 0.0
    for clip_id, group, is_well in events:
        now += wait
        before = breaker = breaker.at(now)
        if breaker.state == BreakerState.HALF_OPEN:
            breaker = breaker.probed(is_well=is_well, now=now)
            assert breaker.state != BreakerState.HALF_OPEN
        else:
            breaker = breaker.observe(clip_id, group, now=now)
            assert before.state == BreakerState.CLOSED or breaker == before
        assert len(breaker.blocked) <= POLICY.max_blocked_in_a_row
        assert len(breaker.recent) <= POLICY.burst_clips
        assert breaker.seconds_to_wait(now) <= POLICY.max_wait_seconds
    if breaker.state == BreakerState.OPEN:
        assert breaker.at(breaker.until).state == BreakerState.HALF_OPEN


@bounded(max_examples=100)
@given(clips=st.lists(st.sampled_from("abcdefgh"), max_size=40))
def test_only_failures_open_it(clips: list[str]) -> None:
    assert after([Group.OK] * len(clips), clips).state == BreakerState.CLOSED

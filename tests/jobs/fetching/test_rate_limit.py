import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.fetching.rate_limit import (
    YOUTUBE_ACCOUNT,
    YOUTUBE_GUEST,
    Politeness,
    StartSchedule,
)


def starts(schedule: StartSchedule, count: int, *, step: float = 0.0) -> list[float]:
    return [schedule.next_start(number * step) for number in range(count)]


def test_a_guest_starts_no_more_than_300_videos_an_hour() -> None:
    times = starts(StartSchedule(YOUTUBE_GUEST), 301)
    assert times[0] == 0.0
    assert times[300] >= 3600


def test_an_account_pauses_for_5_to_10_seconds() -> None:
    times = starts(StartSchedule(YOUTUBE_ACCOUNT), 1000)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert 5 <= min(gaps) < 5.2
    assert 9.8 < max(gaps) <= 10
    assert times[-1] / 999 == pytest.approx(YOUTUBE_ACCOUNT.mean_gap_seconds, rel=0.05)


def test_audioset_takes_a_guest_289_days() -> None:
    days = 2_084_320 * YOUTUBE_GUEST.mean_gap_seconds / 86_400
    assert round(days) == 289


def test_machines_that_begin_together_do_not_ask_in_step() -> None:
    first = starts(StartSchedule(YOUTUBE_ACCOUNT, seed=1), 10)
    assert first == starts(StartSchedule(YOUTUBE_ACCOUNT, seed=1), 10)
    assert not set(first[1:]) & set(starts(StartSchedule(YOUTUBE_ACCOUNT, seed=2), 10))


def test_time_that_was_not_used_gives_no_burst() -> None:
    schedule = StartSchedule(YOUTUBE_GUEST)
    schedule.next_start(0.0)
    assert schedule.next_start(1000.0) == 1000.0
    assert schedule.next_start(1000.0) == 1012.0


def test_a_session_that_was_told_to_wait_waits() -> None:
    schedule = StartSchedule(YOUTUBE_GUEST)
    schedule.hold_until(3600.0)
    assert schedule.next_start(10.0) == 3600.0
    schedule.hold_until(5.0)
    assert schedule.next_start(10.0) == 3612.0


@given(
    st.floats(1, 1e5),
    st.floats(0, 20),
    st.floats(0, 20),
    st.lists(st.floats(0, 1e4), min_size=2, max_size=30),
)
def test_starts_never_come_closer_than_allowed(rate, least, more, nows) -> None:
    politeness = Politeness(
        starts_per_hour=rate, min_gap_seconds=least, max_gap_seconds=least + more
    )
    schedule = StartSchedule(politeness)
    now, last = 0.0, None
    for step in nows:
        now += step
        start = schedule.next_start(now)
        assert start >= now
        if last is not None:
            assert start - last >= max(least, 3600 / rate) * (1 - 1e-9)
        last = start


def test_runs_with_one_account_in_common_divide_its_rate() -> None:
    shared = YOUTUBE_GUEST.divided_by(4)
    assert shared.starts_per_hour == 75
    assert shared.mean_gap_seconds == 4 * YOUTUBE_GUEST.mean_gap_seconds


@pytest.mark.parametrize(("rate", "least", "most"), [(0, 0, 0), (-1, 0, 0), (1, -1, 0), (1, 2, 1)])
def test_what_is_no_rate_is_refused(rate: float, least: float, most: float) -> None:
    with pytest.raises(ValueError, match="got"):
        Politeness(starts_per_hour=rate, min_gap_seconds=least, max_gap_seconds=most)

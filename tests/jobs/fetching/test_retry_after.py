import email.utils

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.fetching.retry_after import MAX_PAUSE_SECONDS, HostPauses, pause_seconds

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        (email.utils.formatdate(NOW + 90, usegmt=True), 90),
        (email.utils.formatdate(NOW - 90, usegmt=True), 0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("\u0661\u0662", None),  # digits, but not HTTP's
    ],
)
def test_a_pause_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert pause_seconds(value, now=NOW) == seconds


@given(st.one_of(st.text(), st.text("0123456789:,GMT JanSu+-", max_size=40)))
def test_whatever_a_header_says_is_no_pause_or_a_number(value: str) -> None:
    pause = pause_seconds(value, now=NOW)
    assert pause is None or pause >= 0


def test_the_longest_pause_of_a_host_holds_within_bounds() -> None:
    time = 0.0
    pauses = HostPauses(lambda: time)
    pauses.note("a", 30, status=503)
    pauses.note("a", 5, status=429)
    pauses.note("b", 1e9, status=429)
    assert pauses.left("a") == (30, 503)
    assert pauses.left("b") == (MAX_PAUSE_SECONDS, 429)
    assert pauses.left("c") == (0, 0)
    time = 40.0
    assert pauses.left("a")[0] == 0

"""From attempts to states: what each history says of a clip."""

import itertools
from typing import Any

import pytest

from jobs.availability.attempt import Attempt
from jobs.availability.outcome import CHECKS_OF_AUDIO, GROUPS, Code, Group
from jobs.availability.reduction import reduce_attempts
from jobs.availability.snapshot import SNAPSHOT_SCHEMA
from tests.jobs.availability.builders import at, attempt, attempts_table, listing

Step = Code | tuple[Code, dict[str, Any]]


def history(*steps: Step, hours: float = 24.0) -> list[Attempt]:
    """One attempt a run, so many hours apart."""
    pairs = [step if isinstance(step, tuple) else (step, {}) for step in steps]
    return [
        attempt("a", code, **({"run_id": f"run-{n}", "time_utc": at(n * hours)} | fields))
        for n, (code, fields) in enumerate(pairs)
    ]


def verdict(*steps: Step, hours: float = 24.0) -> tuple[str, str | None, str | None]:
    row = reduce_attempts(attempts_table(history(*steps, hours=hours)), listing(["a"])).to_pylist()
    return row[0]["state"], row[0]["verdict_strength"], row[0]["code"]


SUSPECT = {"canary_state": "failed"}
NO_CANARIES = {"canary_state": "unknown"}
WHOLE = {"source_sha256": "0" * 64}
SAYS_NOTHING = [
    code
    for code, group in GROUPS.items()
    if group in (Group.BLOCKED, Group.TRANSIENT, Group.OURS, Group.UNCLEAR)
    and code != Code.UNAVAILABLE_UNSPECIFIED
]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([Code.OK], ("alive", "confirmed", "ok")),
        ([Code.PRIVATE], ("unknown", "claimed", "private")),
        ([Code.PRIVATE, Code.REMOVED_TOS], ("gone", "confirmed", "removed_tos")),
        ([Code.PRIVATE, Code.PRIVATE, Code.OK], ("alive", "confirmed", "ok")),
        ([Code.OK, Code.PRIVATE], ("unknown", "claimed", "private")),
        ([Code.PRIVATE, Code.OK, Code.PRIVATE], ("unknown", "claimed", "private")),
        ([Code.OK, Code.PRIVATE, Code.DNS, Code.PRIVATE], ("gone", "confirmed", "private")),
        ([Code.AGE_GATED], ("gated", "claimed", "age_gated")),
        ([Code.GEO_BLOCKED, Code.AGE_GATED], ("gated", "confirmed", "age_gated")),
        ([Code.PRIVATE, Code.AGE_GATED], ("gated", "claimed", "age_gated")),
        ([Code.PRIVATE, Code.AGE_GATED, Code.PRIVATE], ("unknown", "claimed", "private")),
        ([Code.OK, Code.AGE_GATED], ("gated", "claimed", "age_gated")),
        ([Code.BOT_CHECK], ("blocked", None, "bot_check")),
        ([Code.BOT_CHECK, Code.BOT_CHECK, Code.HTTP_429], ("blocked", None, "http_429")),
        ([Code.BOT_CHECK, Code.DNS], ("unknown", None, "dns")),
        ([Code.DNS, Code.BOT_CHECK], ("blocked", None, "bot_check")),
        ([Code.PRIVATE, Code.BOT_CHECK], ("unknown", "claimed", "private")),
        ([Code.MEMBER_MISSING], ("absent", "claimed", "member_missing")),
        ([Code.MEMBER_MISSING, Code.MEMBER_MISSING], ("absent", "confirmed", "member_missing")),
        ([Code.PRIVATE, Code.MEMBER_MISSING], ("unknown", "claimed", "private")),
        ([Code.MEMBER_MISSING, Code.BOT_CHECK], ("blocked", None, "bot_check")),
    ],
)
def test_history_has_its_verdict(steps: list[Step], expected: tuple[str, str, str]) -> None:
    assert verdict(*steps) == expected


@pytest.mark.parametrize("code", SAYS_NOTHING)
def test_what_says_nothing_of_a_clip_leaves_it_as_it_was(code: Code) -> None:
    assert verdict(Code.OK, code, code) == ("alive", "confirmed", "ok")
    assert verdict(Code.PRIVATE, Code.PRIVATE, code)[0] == "gone"
    assert verdict(code, code, code)[0] in ("unknown", "blocked")


def test_run_that_lost_its_network_loses_no_clip() -> None:
    ids = [f"clip-{number}" for number in range(50)]
    good = [attempt(clip) for clip in ids]
    lost = [attempt(clip, Code.DNS, run_id="run-2", time_utc=at(24)) for clip in ids]
    before = reduce_attempts(attempts_table(good), listing(ids))
    after = reduce_attempts(attempts_table(good + lost), listing(ids))
    assert after["state"].to_pylist() == before["state"].to_pylist() == ["alive"] * 50


@pytest.mark.parametrize(("hours", "state"), [(0.1, "unknown"), (19.9, "unknown"), (20.0, "gone")])
def test_two_windows_are_twenty_hours_apart(hours: float, state: str) -> None:
    assert verdict(Code.PRIVATE, Code.PRIVATE, hours=hours)[0] == state


def test_one_run_is_one_window_however_long_it_takes() -> None:
    same = {"run_id": "the run"}
    assert verdict((Code.PRIVATE, same), (Code.PRIVATE, same)) == ("unknown", "claimed", "private")
    later = (Code.PRIVATE, {})
    assert verdict((Code.PRIVATE, same), (Code.PRIVATE, same), later)[0] == "gone"


def test_attempt_while_canaries_fail_is_suspect_and_never_counts() -> None:
    suspect = (Code.PRIVATE, SUSPECT)
    assert verdict(suspect) == ("unknown", "suspect", "private")
    assert verdict(suspect, suspect, suspect) == ("unknown", "suspect", "private")
    assert verdict(Code.PRIVATE, suspect) == ("unknown", "claimed", "private")
    assert verdict(Code.OK, suspect, suspect) == ("alive", "confirmed", "ok")
    assert verdict((Code.AGE_GATED, SUSPECT)) == ("unknown", "suspect", "age_gated")


@pytest.mark.parametrize(
    ("hours", "run_id", "strength"),
    [
        (0.99, "run-0", "suspect"),
        (1.0, "run-0", "suspect"),
        (1.01, "run-0", "claimed"),
        (0.99, "run-1", "claimed"),
        (-0.01, "run-0", "claimed"),
    ],
)
def test_attempt_in_the_hour_before_canaries_fail_is_suspect(
    hours: float, run_id: str, strength: str
) -> None:
    rows = [
        attempt("a", Code.PRIVATE, run_id="run-0", time_utc=at(5)),
        attempt("b", Code.BOT_CHECK, run_id=run_id, time_utc=at(5 + hours), canary_state="failed"),
    ]
    table = reduce_attempts(attempts_table(rows), listing(["a", "b"]))
    assert table["verdict_strength"].to_pylist() == [strength, "suspect"]


def test_audio_that_came_is_alive_whatever_the_canaries_say() -> None:
    assert verdict((Code.OK, SUSPECT)) == ("alive", "confirmed", "ok")


def test_bare_unavailable_needs_canaries_to_count() -> None:
    code = Code.UNAVAILABLE_UNSPECIFIED
    assert verdict(code) == ("unknown", "claimed", code)
    assert verdict(code, code) == ("gone", "confirmed", code)
    assert verdict((code, NO_CANARIES), (code, NO_CANARIES)) == ("unknown", None, code)
    assert verdict(code, (code, NO_CANARIES)) == ("unknown", "claimed", code)
    assert verdict((Code.PRIVATE, NO_CANARIES), (Code.PRIVATE, NO_CANARIES))[0] == "gone"


@pytest.mark.parametrize("code", sorted(CHECKS_OF_AUDIO))
def test_look_at_whole_bytes_decides_at_once_and_at_a_part_of_them_does_not(code: Code) -> None:
    assert verdict((code, WHOLE)) == ("gone", "confirmed", code)
    assert verdict(code) == ("unknown", "claimed", code)
    assert verdict((Code.PRIVATE, WHOLE))[0] == "unknown"


def test_absent_in_one_source_says_nothing_of_another() -> None:
    folder = {"source": "folder"}
    assert verdict(Code.OK, (Code.MEMBER_MISSING, folder))[0] == "alive"
    assert verdict((Code.OK, folder), (Code.MEMBER_MISSING, folder))[0] == "absent"


def test_snapshot_lists_every_clip_in_the_order_of_the_listing() -> None:
    table = reduce_attempts(
        attempts_table([attempt("c"), attempt("stranger")]), listing(["c", "never tried", "a"])
    )
    assert table.schema.equals(SNAPSHOT_SCHEMA)
    assert table["clip_id"].to_pylist() == ["c", "never tried", "a"]
    nothing = dict.fromkeys(SNAPSHOT_SCHEMA.names) | {"state": "unknown", "num_attempts": 0}
    assert table.to_pylist()[1] == nothing | {"clip_id": "never tried"}


def test_times_and_hashes_are_those_of_the_attempts_that_saw_it() -> None:
    rows = history(
        Code.PRIVATE,
        (Code.OK, {"source_sha256": "1" * 64, "pcm_sha256": "2" * 64}),
        (Code.OK, {"source_sha256": "3" * 64, "pcm_sha256": "4" * 64}),
        Code.DNS,
    )
    row = reduce_attempts(attempts_table(rows), listing(["a"])).to_pylist()[0]
    assert (row["first_seen"], row["last_seen"], row["last_attempt"]) == (at(24), at(48), at(72))
    assert (row["source_sha256"], row["pcm_sha256"]) == ("3" * 64, "4" * 64)
    assert row["num_attempts"] == 4


def test_reduction_of_nothing_is_all_unknown() -> None:
    table = reduce_attempts(attempts_table([]), listing(["a", "b"]))
    assert table["state"].to_pylist() == ["unknown", "unknown"]
    assert len(reduce_attempts(attempts_table([attempt("a")]), listing([]))) == 0


def test_clip_listed_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="a clip twice"):
        reduce_attempts(attempts_table([]), listing(["a", "a"]))


def test_time_that_is_none_is_refused() -> None:
    rows = attempts_table([attempt("a", time_utc="yesterday")])
    with pytest.raises(ValueError, match="a time that is none"):
        reduce_attempts(rows, listing(["a"]))


def test_clips_do_not_touch_each_other() -> None:
    steps = [Code.OK, Code.PRIVATE, Code.AGE_GATED, Code.DNS, Code.BOT_CHECK, Code.MEMBER_MISSING]
    pairs = list(itertools.product(steps, steps))
    ids = [f"{first}-{second}" for first, second in pairs]
    rows = [
        attempt(clip, code, run_id=f"run-{n}", time_utc=at(24 * n))
        for clip, pair in zip(ids, pairs, strict=True)
        for n, code in enumerate(pair)
    ]
    table = reduce_attempts(attempts_table(rows), listing(ids))
    together = [(row["state"], row["verdict_strength"], row["code"]) for row in table.to_pylist()]
    assert together == [verdict(*pair) for pair in pairs]

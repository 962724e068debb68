"""What holds for any log: order of rows, repetition, and more knowledge."""

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jobs.availability.attempt import Attempt
from jobs.availability.outcome import CHECKS_OF_AUDIO, GROUPS, Code, Group
from jobs.availability.reduction import reduce_attempts
from tests.jobs.availability.builders import at, attempt, attempts_table, listing
from tests.shardwriter.properties import bounded

CLIPS = ["a", "b", "c"]
HASH = "0" * 64
CODES = [
    Code.OK, Code.PRIVATE, Code.HTTP_404, Code.SILENT, Code.AGE_GATED, Code.BOT_CHECK, Code.DNS,
    Code.DISK, Code.UNKNOWN, Code.UNAVAILABLE_UNSPECIFIED, Code.MEMBER_MISSING,
]  # fmt: skip


def rows(**fixed: Any) -> st.SearchStrategy[Attempt]:
    fields: dict[str, Any] = {
        "clip_id": st.sampled_from(CLIPS),
        "code": st.sampled_from(CODES),
        "run_id": st.sampled_from(["run-1", "run-2", "run-3"]),
        "hours": st.integers(0, 60),
        "canary_state": st.sampled_from(["ok", "ok", "failed", "unknown"]),
        "source": st.sampled_from(["youtube", "folder"]),
        "source_sha256": st.sampled_from([None, None, HASH]),
        "number": st.integers(1, 3),
    }
    return st.fixed_dictionaries(fields | fixed).map(
        lambda drawn: attempt(attempt=drawn.pop("number"), time_utc=at(drawn.pop("hours")), **drawn)
    )


LOGS = st.lists(rows(), max_size=14)


def reduced(log: list[Attempt]) -> list[dict[str, Any]]:
    table: list[dict[str, Any]] = reduce_attempts(attempts_table(log), listing(CLIPS)).to_pylist()
    return table


def states(log: list[Attempt]) -> list[str]:
    return [row["state"] for row in reduced(log)]


@bounded(max_examples=25)
@given(log=LOGS, seed=st.integers(0, 99))
def test_order_of_the_rows_does_not_matter(log: list[Attempt], seed: int) -> None:
    shuffled = random.Random(seed).sample(log, len(log))
    assert reduced(shuffled) == reduced(log)


@bounded(max_examples=25)
@given(log=LOGS)
def test_row_that_is_there_twice_changes_no_verdict(log: list[Attempt]) -> None:
    once, twice = reduced(log), reduced(log + log)
    for row in [*once, *twice]:
        del row["num_attempts"]
    assert once == twice


@bounded(max_examples=25)
@given(log=LOGS, extra=rows(code=st.just(Code.OK)))
def test_more_ok_never_makes_a_clip_gone(log: list[Attempt], extra: Attempt) -> None:
    before, after = states(log), states([*log, extra])
    for old, new in zip(before, after, strict=True):
        assert not (old != "gone" and new == "gone")
        assert not (old == "alive" and new != "alive")


@bounded(max_examples=25)
@given(log=LOGS, clip=st.sampled_from(CLIPS))
def test_clip_that_was_seen_last_is_alive(log: list[Attempt], clip: str) -> None:
    seen = attempt(clip, run_id="run-9", time_utc=at(100))
    assert states([*log, seen])[CLIPS.index(clip)] == "alive"


SAYS_NOTHING = [
    code for code, group in GROUPS.items() if group in (Group.BLOCKED, Group.TRANSIENT, Group.OURS)
]


@bounded(max_examples=25)
@given(
    log=LOGS,
    noise=st.lists(
        rows(code=st.sampled_from(SAYS_NOTHING), canary_state=st.sampled_from(["ok", "unknown"])),
        max_size=8,
    ),
)
def test_blocks_and_lost_networks_lose_and_gain_nothing(
    log: list[Attempt], noise: list[Attempt]
) -> None:
    for old, new in zip(states(log), states(log + noise), strict=True):
        if old in ("alive", "gone", "gated") or new in ("alive", "gone", "gated"):
            assert old == new


@bounded(max_examples=25)
@given(log=LOGS)
def test_suspect_rows_make_nothing_surer(log: list[Attempt]) -> None:
    kept = [row for row in log if row.canary_state != "failed" or row.code == Code.OK]
    for without, with_them in zip(states(kept), states(log), strict=True):
        assert with_them in (without, "unknown", "alive", "gated")
        assert with_them != "gone" or without == "gone"


@bounded(max_examples=25)
@given(log=LOGS)
def test_gone_is_never_said_without_two_windows_or_whole_bytes(log: list[Attempt]) -> None:
    for row in reduced(log):
        if row["state"] != "gone":
            continue
        claims = [
            one
            for one in log
            if one.clip_id == row["clip_id"]
            and one.canary_state != "failed"
            and (one.group == Group.PERMANENT or one.code == Code.UNAVAILABLE_UNSPECIFIED)
        ]
        whole = [one for one in claims if one.code in CHECKS_OF_AUDIO and one.source_sha256]
        assert whole or len({one.run_id for one in claims}) >= 2
        assert row["verdict_strength"] == "confirmed"

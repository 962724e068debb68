"""Canaries: what they say of a window, and which clips may be some."""

import pytest

from jobs.availability.canaries import (
    Canaries,
    CanaryPolicy,
    choose_canaries,
    judge_canaries,
    take_turns,
)
from jobs.availability.outcome import Code, Group
from jobs.availability.reduction import reduce_attempts
from tests.jobs.availability.builders import attempt, attempts_table, listing

CANARIES = Canaries(alive=("a", "b", "c", "d"), gone=("z",))


@pytest.mark.parametrize(
    ("groups", "state"),
    [
        ({"a": Group.OK}, "ok"),
        ({"a": Group.OK, "z": Group.PERMANENT}, "ok"),
        ({"a": Group.OK, "b": Group.PERMANENT}, "ok"),
        ({"a": Group.OK, "b": Group.PERMANENT, "c": Group.UNCLEAR}, "failed"),
        ({"a": Group.BLOCKED}, "failed"),
        ({"a": Group.TRANSIENT, "b": Group.TRANSIENT}, "failed"),
        ({"a": Group.GATED}, "failed"),
        ({"a": Group.OK, "z": Group.OK}, "failed"),
        ({"z": Group.OK}, "failed"),
        ({"z": Group.PERMANENT}, "unknown"),
        ({}, "unknown"),
        ({"stranger": Group.BLOCKED}, "unknown"),
    ],
)
def test_window_is_as_well_as_its_canaries(groups: dict[str, Group], state: str) -> None:
    assert judge_canaries(CANARIES, groups) == state


def test_clip_can_not_be_there_and_gone() -> None:
    with pytest.raises(ValueError, match=r"to be there and to be gone: \['a'\]"):
        Canaries(alive=("a",), gone=("a",))


def test_canaries_are_alive_clips_of_different_videos_and_the_same_for_all_workers() -> None:
    ids = [f"clip-{number}" for number in range(20)]
    log = [attempt(clip, Code.OK if n % 2 else Code.PRIVATE) for n, clip in enumerate(ids)]
    table = listing(ids)
    videos = [f"video-{number // 4}" for number in range(20)]
    place = table.schema.get_field_index("video_id")
    table = table.set_column(place, "video_id", [videos])
    snapshot = reduce_attempts(attempts_table(log), table)
    chosen = choose_canaries(snapshot, table, count=10, seed=1)
    assert len(chosen) == 5
    assert {int(clip.removeprefix("clip-")) % 2 for clip in chosen} == {1}
    assert len({videos[ids.index(clip)] for clip in chosen}) == 5
    shuffled = snapshot.take(list(reversed(range(20))))
    assert choose_canaries(shuffled, table, count=10, seed=1) == chosen
    assert choose_canaries(snapshot, table, count=3, seed=1) == chosen[:3]
    assert choose_canaries(snapshot, table, count=10, seed=2) != chosen


def test_check_is_due_by_tries_or_by_time() -> None:
    policy = CanaryPolicy(every_tries=10, every_seconds=60)
    assert not policy.is_due(num_tries=9, seconds=59)
    assert policy.is_due(num_tries=10, seconds=0)
    assert policy.is_due(num_tries=0, seconds=60)


def test_canaries_take_turns() -> None:
    turns = [take_turns("abcde", check=check, count=2) for check in range(3)]
    assert turns == [("a", "b"), ("c", "d"), ("e", "a")]
    assert take_turns("a", check=7, count=2) == ("a",)
    assert take_turns("", check=0, count=2) == ()

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from jobs.availability.diff import CHANGES_SCHEMA, Change, diff_snapshots
from jobs.availability.standing import STATES
from shardwriter.errors import ShardFormatError
from tests.jobs.availability.drift_builders import snapshot, snapshots

MIRRORED = {
    Change.LOST: Change.RECOVERED,
    Change.RECOVERED: Change.LOST,
    Change.ONLY_FIRST: Change.ONLY_SECOND,
    Change.ONLY_SECOND: Change.ONLY_FIRST,
}


def test_each_change_is_told_by_its_name() -> None:
    first = snapshot(
        {
            "a-lost": "alive",
            "b-gated": "alive",
            "c-back": "gone",
            "d-other": "alive",
            "e-same": "alive",
            "f-blocked": "alive",
            "g-found": "unknown",
            "h-first": "alive",
        }
    )
    second = snapshot(
        {
            "i-second": "gone",
            "g-found": "alive",
            "f-blocked": "blocked",
            "e-same": "alive",
            "d-other": "alive",
            "c-back": "alive",
            "b-gated": "gated",
            "a-lost": "gone",
        },
        pcm_sha256={"d-other": "cd" * 32},
    )
    difference = diff_snapshots(first, second)
    assert difference.changes.schema.equals(CHANGES_SCHEMA)
    changes = difference.changes.select(["clip_id", "change"]).to_pylist()
    assert {row["clip_id"]: row["change"] for row in changes} == {
        "a-lost": "lost",
        "b-gated": "lost",
        "c-back": "recovered",
        "d-other": "audio",
        "f-blocked": "state",  # we were blocked: the clip isn't lost
        "g-found": "state",
        "h-first": "only_first",
        "i-second": "only_second",
    }
    assert (difference.num_first, difference.num_second, difference.num_common) == (8, 8, 7)
    assert (difference.num_common_alive, difference.num_audio_compared) == (2, 2)
    alive, gone = STATES.index("alive"), STATES.index("gone")
    assert difference.transitions_XY[alive, gone] == 1
    assert difference.transitions_XY[gone, alive] == 1
    assert difference.transitions_XY.sum() == 7
    assert difference.changes.to_pylist()[0] == {
        "clip_id": "a-lost",
        "change": "lost",
        "first_state": "alive",
        "second_state": "gone",
        "first_code": "ok",
        "second_code": "private",
    }


def test_audio_whose_hash_is_not_known_has_not_changed() -> None:
    first = snapshot({"a": "alive"}, pcm_sha256={"a": None})
    difference = diff_snapshots(first, snapshot({"a": "alive"}))
    assert len(difference.changes) == 0
    assert difference.num_audio_compared == 0


@given(states=snapshots())
def test_snapshot_does_not_differ_from_itself(states: pa.Table) -> None:
    difference = diff_snapshots(states, states)
    assert len(difference.changes) == 0
    assert difference.num_common == len(states)
    assert difference.transitions_XY.trace() == len(states)


@given(first=snapshots(), second=snapshots())
def test_the_other_way_round_everything_is_mirrored(first: pa.Table, second: pa.Table) -> None:
    there, back = diff_snapshots(first, second), diff_snapshots(second, first)
    assert np.array_equal(there.transitions_XY, back.transitions_XY.T)
    for change in Change:
        assert there.ids(change).equals(back.ids(MIRRORED.get(change, change)))
    assert sum(there.count(change) for change in Change) == len(there.changes)
    only = there.count(Change.ONLY_FIRST), there.count(Change.ONLY_SECOND)
    assert there.num_common == len(first) - only[0] == len(second) - only[1]


def test_clip_that_is_there_twice_is_refused() -> None:
    twice = pa.concat_tables([snapshot({"a": "gone"})] * 2)
    with pytest.raises(ShardFormatError, match="the second snapshot holds 1 clips more than once"):
        diff_snapshots(snapshot({}), twice)

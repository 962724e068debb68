import collections

import pyarrow as pa
import pytest
from hypothesis import given

from jobs.availability.census import (
    ALL_SPLITS,
    Census,
    Reason,
    classes_under,
    take_census,
    worst_classes,
)
from jobs.availability.listing import listing_table
from jobs.availability.standing import STATES, stand
from jobs.catalogues.catalogue import Catalogue, ClipRef
from shardwriter.errors import ShardFormatError
from tests.jobs.availability.drift_builders import (
    LABELS,
    catalogue,
    catalogues,
    clip,
    snapshot,
    snapshots,
)


def census_of(listed: Catalogue, states: pa.Table) -> Census:
    return take_census(stand(listing_table(listed), listed.labels, states))


def six() -> list[ClipRef]:
    return [clip(number, labels=("dog", "cat")[number % 2 :]) for number in range(6)]


def in_every_state() -> pa.Table:
    return snapshot({clip(number).id: state for number, state in enumerate(STATES)})


def test_only_what_is_alive_survives_and_what_was_not_seen_widens_the_bounds() -> None:
    total = census_of(catalogue(*six()), in_every_state()).total
    assert total.counts == dict.fromkeys(STATES, 1)
    assert total.survival == 1 / 6
    assert total.survival_at_most == 3 / 6  # blocked and unknown may be there
    assert total.survival_of_judged == 1 / 4
    assert (total.seconds_listed, total.seconds_alive) == (60.0, 10.0)


def test_clips_that_were_never_tried_are_unknown() -> None:
    census = census_of(catalogue(*six()), snapshot({clip(0).id: "alive"}))
    assert census.total.counts == dict.fromkeys(STATES, 0) | {"alive": 1, "unknown": 5}
    assert census.reasons == (
        Reason(state="unknown", code="never_tried", num_clips=5),
        Reason(state="alive", code="ok", num_clips=1),
    )


def test_clips_that_are_not_listed_are_counted_apart() -> None:
    census = census_of(catalogue(clip(1)), snapshot({clip(1).id: "gone", "toy/else": "alive"}))
    assert census.num_unlisted == 1
    assert census.total.num_listed == 1
    assert census.total.num_alive == 0


def test_claims_suspicions_and_the_time_of_verdicts_are_told() -> None:
    states = snapshot(
        dict.fromkeys([clip(number).id for number in range(4)], "unknown")
        | {clip(1).id: "gone", clip(4).id: "alive"},
        verdict_strength={
            clip(0).id: "claimed",
            clip(1).id: "confirmed",
            clip(2).id: "claimed",
            clip(3).id: "suspect",
            clip(4).id: "confirmed",
        },
        last_attempt={clip(2).id: "2026-11-20T00:00:00.000Z"},
    )
    census = census_of(catalogue(*six()), states)
    assert census.num_claimed == 2
    assert census.num_suspect == 1
    assert census.first_verdict == "2026-11-20T00:00:00.000Z"
    assert census.last_verdict == "2026-11-22T16:00:00.000Z"


def test_classes_are_ranked_by_what_they_lost() -> None:
    clips = [clip(number, labels=("dog",)) for number in range(4)]
    clips += [clip(number, labels=("cat",)) for number in range(4, 6)]
    census = census_of(
        catalogue(*clips),
        snapshot({c.id: "gone" if c.id in {clip(0).id, clip(5).id} else "alive" for c in clips}),
    )
    worst = worst_classes(census)
    assert worst["label"].to_pylist() == ["cat", "dog"]  # rain has no clip at all
    assert worst["survival"].to_pylist() == [0.5, 0.75]
    assert worst_classes(census, limit=1)["label"].to_pylist() == ["cat"]


def test_classes_that_fell_under_the_floor_are_named_by_split() -> None:
    clips = [clip(number, split="eval", labels=("dog",)) for number in range(3)]
    clips += [clip(9, split="eval", labels=("cat",))]  # was under the floor from the start
    census = census_of(
        catalogue(*clips), snapshot({c.id: "alive" for c in clips} | {clip(0).id: "blocked"})
    )
    under = classes_under(census, floor=3)
    assert under.select(["split", "label", "num_listed", "alive"]).to_pylist() == [
        {"split": "eval", "label": "dog", "num_listed": 3, "alive": 2}
    ]
    assert len(classes_under(census, floor=2)) == 0


@given(listed=catalogues(), states=snapshots())
def test_every_listed_clip_is_counted_once_in_each_table(
    listed: Catalogue, states: pa.Table
) -> None:
    census = census_of(listed, states)
    assert census.total.num_listed == len(listed.clips)
    assert sum(tally.num_listed for tally in census.splits.values()) == len(listed.clips)
    assert sum(reason.num_clips for reason in census.reasons) == len(listed.clips)
    for state in STATES:
        in_splits = sum(tally.counts[state] for tally in census.splits.values())
        by_reason = sum(r.num_clips for r in census.reasons if r.state == state)
        assert in_splits == by_reason == census.total.counts[state]
    assert census.num_unlisted + len(listed.clips) >= len(states)


@given(listed=catalogues(), states=snapshots())
def test_class_rows_equal_a_plain_count(listed: Catalogue, states: pa.Table) -> None:
    state_of = dict(zip(states["clip_id"].to_pylist(), states["state"].to_pylist(), strict=True))
    expected: collections.Counter[tuple[str, str, str]] = collections.Counter()
    for c in listed.clips:
        for label in c.labels:
            for split in (c.split, ALL_SPLITS):
                expected[split, label, state_of.get(c.id, "unknown")] += 1
    rows = census_of(listed, states).classes.to_pylist()
    assert len(rows) == len(LABELS) * (1 + len({c.split for c in listed.clips}))
    counted = {
        (row["split"], row["label"], state): row[state]
        for row in rows
        for state in STATES
        if row[state]
    }
    assert counted == dict(expected)
    assert all(row["num_listed"] == sum(row[state] for state in STATES) for row in rows)


@pytest.mark.parametrize(
    ("listed", "states", "message"),
    [
        (catalogue(clip(1), clip(1)), snapshot({}), "the listing holds 1 clips more than once"),
        (catalogue(clip(1, labels=("fox",))), snapshot({}), "label 'fox' is not one of the 3"),
        (catalogue(clip(1)), snapshot({clip(1).id: "dead"}), "state 'dead' is not one of the 6"),
        (
            catalogue(clip(1)),
            pa.concat_tables([snapshot({clip(1).id: "gone"})] * 2),
            "the snapshot holds 1 clips more than once, e.g. 'toy/-0001_30000'",
        ),
    ],
)
def test_contradictions_are_refused(listed: Catalogue, states: pa.Table, message: str) -> None:
    with pytest.raises(ShardFormatError, match=message):
        census_of(listed, states)

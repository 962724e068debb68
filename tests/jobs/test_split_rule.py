from collections import Counter

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from jobs.split_rule import SplitClip, split_clips

PARTS = {"train": 8, "val": 1, "test": 1}


def clip(number: int, *labels: str, group: str | None = None) -> SplitClip:
    return SplitClip(id=f"set/{number}", labels=labels, group=group)


@st.composite
def clips(draw: st.DrawFn) -> list[SplitClip]:
    rows = draw(
        st.lists(
            st.tuples(
                st.sets(st.sampled_from("abcdef")),
                st.none() | st.integers(0, 9).map(lambda number: f"artist-{number}"),
            ),
            max_size=60,
        )
    )
    return [clip(n, *sorted(labels), group=group) for n, (labels, group) in enumerate(rows)]


@settings(max_examples=60)
@given(clips(), st.integers(0, 3), st.randoms(use_true_random=False))
def test_every_clip_has_a_part_no_group_has_two_and_order_is_no_matter(
    rows: list[SplitClip], seed: int, random: object
) -> None:
    found = split_clips(rows, PARTS, seed=seed)
    assert set(found) == {row.id for row in rows}
    assert set(found.values()) <= set(PARTS)
    of_group: dict[str, set[str]] = {}
    for row in rows:
        if row.group is not None:
            of_group.setdefault(row.group, set()).add(found[row.id])
    assert all(len(parts) == 1 for parts in of_group.values())
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert split_clips(shuffled, PARTS, seed=seed) == found


def test_classes_are_spread_as_the_weights_say_where_clips_are_free() -> None:
    rows = [clip(n, *("common",) * (n % 10 != 0), *("rare",) * (n % 10 == 0)) for n in range(1000)]
    found = split_clips(rows, PARTS)
    for label, total in (("rare", 100), ("common", 900)):
        counts = Counter(found[row.id] for row in rows if label in row.labels)
        assert counts == {"train": total * 8 // 10, "val": total // 10, "test": total // 10}


def test_rare_class_reaches_every_part_though_clips_have_several_labels() -> None:
    labels = [("a", "b"), ("a", "c"), ("a",), ("b", "c", "rare")]
    rows = [clip(n, *labels[n % 4], group=f"artist-{n // 2 % 40}") for n in range(400)]
    found = split_clips(rows, {"train": 2, "val": 1, "test": 1})
    counts = Counter(found[row.id] for row in rows if "rare" in row.labels)
    assert counts == {"train": 50, "val": 25, "test": 25}


def test_clips_without_labels_are_spread_too() -> None:
    found = split_clips([clip(n) for n in range(50)], PARTS)
    assert Counter(found.values()) == {"train": 40, "val": 5, "test": 5}


def test_another_seed_gives_another_split_of_the_same_sizes() -> None:
    rows = [clip(n, "ab"[n % 2]) for n in range(100)]
    first, second = (split_clips(rows, PARTS, seed=seed) for seed in (0, 1))
    assert first != second
    assert Counter(first.values()) == Counter(second.values())


def test_group_called_as_a_clip_is_another_unit() -> None:
    rows = [clip(0, "a"), clip(1, "a", group="set/0"), clip(2, "a", group="set/0")]
    found = split_clips(rows, {"train": 2, "test": 1})
    assert found == {"set/0": "test", "set/1": "train", "set/2": "train"}


@pytest.mark.parametrize("weights", [{}, {"train": 0}, {"train": 1, "test": -1}])
def test_parts_without_weight_are_refused(weights: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected parts with weights from 1"):
        split_clips([clip(0)], weights)


def test_clip_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="'set/0' is there twice"):
        split_clips([clip(0), clip(0)], PARTS)

"""Class balance without an index."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.reservoir import ClassReservoirs
from tests.shardwriter.properties import bounded

label_streams = st.lists(st.lists(st.sampled_from("abcd"), max_size=3).map(tuple), max_size=80)


def numbered(labels: list[tuple[str, ...]]) -> Iterator[tuple[tuple[str, ...], int]]:
    return ((of_clip, number) for number, of_clip in enumerate(labels))


def rare_and_common(num: int, share: float) -> list[tuple[str, ...]]:
    rng = np.random.default_rng(0)
    return [("rare",) if rare else ("common",) for rare in rng.random(num) < share]


@bounded()
@given(label_streams, st.integers(1, 6), st.integers(1, 5), st.integers(0, 10), st.integers(0, 9))
def test_no_sample_comes_before_it_came_in_or_more_often_than_the_cap(
    labels: list[tuple[str, ...]], capacity: int, max_uses: int, warm_up: int, seed: int
) -> None:
    reservoirs = ClassReservoirs[int](
        capacity=capacity, max_uses=max_uses, seed=seed, warm_up=warm_up
    )
    taken: list[int] = []

    def stream() -> Iterator[tuple[tuple[str, ...], int]]:
        for of_clip, number in numbered(labels):
            assert all(used < number for used in taken)
            yield of_clip, number

    for sample in reservoirs.resample(stream()):
        taken.append(sample)
    counts = Counter(taken)
    assert max(counts.values(), default=0) <= max_uses
    report = reservoirs.report()
    assert (report.num_in, report.num_out) == (len(labels), len(taken))
    assert len(taken) <= max(0, len(labels) - warm_up)
    assert report.num_unlabelled == sum(not of_clip for of_clip in labels)
    assert all(labels[number] for number in counts)
    assert sum(report.draws_by_label.values()) == len(taken)


@bounded()
@given(label_streams, st.integers(0, 99))
def test_same_stream_and_seed_give_the_same_samples(
    labels: list[tuple[str, ...]], seed: int
) -> None:
    runs = [
        list(ClassReservoirs[int](capacity=4, max_uses=3, seed=seed).resample(numbered(labels)))
        for _ in range(2)
    ]
    assert runs[0] == runs[1]


def test_rare_class_is_drawn_as_often_as_the_common_one() -> None:
    labels = rare_and_common(4000, 0.05)
    reservoirs = ClassReservoirs[int](capacity=64, max_uses=30, seed=1, warm_up=200)
    drawn = Counter(labels[number][0] for number in reservoirs.resample(numbered(labels)))
    assert abs(drawn["rare"] / drawn.total() - 0.5) < 0.03
    assert not reservoirs.report().starved_by_label


def test_class_whose_samples_are_used_up_is_reported_as_starved() -> None:
    labels = rare_and_common(2000, 0.02)
    reservoirs = ClassReservoirs[int](capacity=16, max_uses=4, seed=1)
    drawn = Counter(labels[number][0] for number in reservoirs.resample(numbered(labels)))
    report = reservoirs.report()
    assert report.starved_by_label["rare"] > 500
    assert drawn["rare"] <= 4 * sum(of_clip == ("rare",) for of_clip in labels)
    assert drawn.total() == 2000
    assert report.num_never_used > 0


def test_all_others_of_a_full_reservoir_come_between_two_draws_of_a_sample() -> None:
    labels: list[tuple[str, ...]] = [("a",)] * 8 + [()] * 40
    reservoirs = ClassReservoirs[int](capacity=8, max_uses=100, seed=0, warm_up=8)
    drawn = list(reservoirs.resample(numbered(labels)))
    assert len(drawn) == 40
    for at in range(32):
        assert len(set(drawn[at : at + 8])) == 8


@bounded()
@given(label_streams, st.integers(12, 60), st.integers(0, 9))
def test_no_more_bytes_are_held_than_the_bound(
    labels: list[tuple[str, ...]], max_bytes: int, seed: int
) -> None:
    reservoirs = ClassReservoirs[int](
        capacity=20, max_uses=3, seed=seed, max_bytes=max_bytes, num_bytes_of=lambda n: n % 13
    )
    most = 0
    for _ in reservoirs.resample(numbered(labels)):
        most = max(most, reservoirs.report().num_bytes_held)
    held = {
        id(item): item.num_bytes
        for reservoir in reservoirs._reservoirs.values()
        for item in reservoir
    }
    assert sum(held.values()) == reservoirs.report().num_bytes_held <= max_bytes
    assert most <= max_bytes


def test_rare_classes_keep_their_samples_where_bytes_are_short() -> None:
    labels = rare_and_common(2000, 0.02)
    reservoirs = ClassReservoirs[int](
        capacity=1000, max_uses=99, seed=1, max_bytes=50, num_bytes_of=lambda _: 1
    )
    drawn = Counter(labels[number][0] for number in reservoirs.resample(numbered(labels)))
    assert abs(drawn["rare"] / drawn.total() - 0.5) < 0.05
    assert reservoirs.report().num_bytes_held == 50


def test_a_sample_larger_than_all_memory_is_an_error_and_pushes_no_other_out() -> None:
    reservoirs = ClassReservoirs[bytes](
        capacity=9, max_uses=9, seed=0, max_bytes=100, num_bytes_of=len
    )
    stream = [(("rain",), b"x" * 40), ((), b"x" * 101), (("bark", "rain"), b"x" * 101)]
    drawn = reservoirs.resample(stream)
    assert [len(next(drawn)), len(next(drawn))] == [40, 40]
    expected = r"sample 3 of the stream, labelled bark, rain, has 101 bytes.*max_bytes=100"
    with pytest.raises(ValueError, match=expected):
        next(drawn)
    assert reservoirs.report().num_bytes_held == 40
    assert reservoirs.report().num_unlabelled == 1


def test_a_bound_on_bytes_without_sizes_is_refused() -> None:
    with pytest.raises(ValueError, match="max_bytes=9 must be at least 1, and needs num_bytes_of"):
        ClassReservoirs[int](capacity=2, max_uses=2, seed=0, max_bytes=9)


@pytest.mark.parametrize("name", ["capacity", "max_uses"])
def test_nothing_to_hold_or_to_use_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1, got 0"):
        ClassReservoirs[int](**{"capacity": 2, "max_uses": 2, "seed": 0, name: 0})

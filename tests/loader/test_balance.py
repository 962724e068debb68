"""Class weights and clip weights, against loops that follow the papers' formulas."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.balance import (
    Balance,
    EffectiveNumber,
    InverseFrequency,
    RepeatFactor,
    clip_weights,
    label_incidence,
)
from tests.loader.index_builders import make_index
from tests.shardwriter.properties import bounded

K = 5
label_lists = st.lists(st.lists(st.integers(0, K - 1), max_size=4), min_size=1, max_size=30)
balances = st.one_of(
    st.builds(
        InverseFrequency,
        exponent=st.floats(0, 2),
        offset=st.sampled_from([0.0, 0.01, 100.0]),
        combine=st.sampled_from(["sum", "max", "mean"]),
    ),
    st.builds(
        RepeatFactor,
        threshold=st.floats(0.001, 1),
        combine=st.sampled_from(["sum", "max", "mean"]),
    ),
    st.builds(
        EffectiveNumber,
        beta=st.floats(0, 0.9999),
        combine=st.sampled_from(["sum", "max", "mean"]),
    ),
)


def naive_class_weight(balance: Balance, n: int, num_clips: int) -> float:
    if isinstance(balance, InverseFrequency):
        return 1 / (n + balance.offset) ** balance.exponent
    if isinstance(balance, RepeatFactor):
        return max(1.0, (balance.threshold / (n / num_clips)) ** balance.exponent)
    return (1 - balance.beta) / (1 - balance.beta**n)


def naive_weights(clips: list[list[int]], balance: Balance) -> list[float]:
    classes = [sorted(set(ids)) or ["none"] for ids in clips]
    count: dict[Any, int] = {}
    for of_clip in classes:
        for label in of_clip:
            count[label] = count.get(label, 0) + 1
    weights = []
    for of_clip in classes:
        values = [naive_class_weight(balance, count[label], len(clips)) for label in of_clip]
        combined = {"sum": sum(values), "max": max(values), "mean": sum(values) / len(values)}
        weights.append(combined[balance.combine])
    return weights


@bounded()
@given(label_lists, balances)
def test_clip_weights_are_those_of_the_formulas(clips: list[list[int]], balance: Balance) -> None:
    index = make_index(clips, num_labels=K)
    weights = clip_weights(index, np.arange(len(clips)), balance)
    np.testing.assert_allclose(weights, naive_weights(clips, balance), rtol=1e-12)


@bounded()
@given(label_lists, st.data())
def test_weights_of_some_rows_count_classes_among_these(
    clips: list[list[int]], data: st.DataObject
) -> None:
    rows = data.draw(st.lists(st.integers(0, len(clips) - 1), min_size=1, unique=True))
    weights = clip_weights(make_index(clips, num_labels=K), np.array(rows), InverseFrequency())
    expected = naive_weights([clips[row] for row in rows], InverseFrequency())
    np.testing.assert_allclose(weights, expected, rtol=1e-12)


def test_inverse_frequency_gives_each_class_the_same_mass() -> None:
    # 90 of one label, 9 of another, 1 of a third, 5 without: four classes, a quarter each.
    clips = [[0]] * 90 + [[1]] * 9 + [[2]] + [[]] * 5
    weights = clip_weights(make_index(clips, num_labels=3), np.arange(105), InverseFrequency())
    masses = [weights[:90].sum(), weights[90:99].sum(), weights[99], weights[100:].sum()]
    np.testing.assert_allclose(masses, [1, 1, 1, 1])


def test_offset_of_one_hundred_caps_the_boost_of_a_class_of_sixty() -> None:
    clips = [[0]] * 60 + [[1]] * 900
    index = make_index(clips, num_labels=2)
    weights = clip_weights(index, np.arange(960), InverseFrequency(offset=100))
    np.testing.assert_allclose([weights[0], weights[-1]], [1 / 160, 1 / 1000])


def test_repeat_factor_leaves_common_classes_alone() -> None:
    # LVIS: r = max(1, sqrt(t / f)). f = 0.5 and 0.01 with t = 0.04 give 1 and 2.
    clips = [[0]] * 50 + [[1]] + [[2]] * 49
    index = make_index(clips, num_labels=3)
    weights = clip_weights(index, np.arange(100), RepeatFactor(threshold=0.04))
    assert (weights[0], weights[50]) == (1, 2)


def test_effective_number_goes_from_no_balance_to_class_uniform() -> None:
    clips = [[0]] * 100 + [[1]]
    index, rows = make_index(clips, num_labels=2), np.arange(101)
    weights = clip_weights(index, rows, EffectiveNumber(beta=0))
    assert (weights == 1).all()
    weights = clip_weights(index, rows, EffectiveNumber(beta=1 - 1e-9))
    assert math.isclose(weights[100] / weights[0], 100, rel_tol=1e-6)


def test_incidence_names_each_class_once_and_the_unlabelled_as_the_last() -> None:
    incidence = label_incidence(make_index([[2, 0, 2], [], [1]], num_labels=3), np.arange(3))
    assert (incidence.ids.tolist(), incidence.starts.tolist()) == ([0, 2, 3, 1], [0, 2, 3])
    assert incidence.num_classes == 4


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (InverseFrequency, {"exponent": -1}, r"exponent must be in 0\.\.4, got -1"),
        (InverseFrequency, {"exponent": math.nan}, "exponent must be"),
        (InverseFrequency, {"offset": -0.5}, "offset must be"),
        (InverseFrequency, {"combine": "min"}, "combine must be one of sum, max, mean, got 'min'"),
        (RepeatFactor, {"threshold": 0}, "threshold must be above 0"),
        (RepeatFactor, {"threshold": 1.5}, "at most 1, got 1.5"),
        (EffectiveNumber, {"beta": 1.0}, "below 1, got 1.0"),
    ],
)
def test_wrong_balance_is_refused(kind: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**settings)

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import hypergeom

from jobs.availability.label_shift import (
    js_divergence_bits,
    label_shifts,
    log_odds,
    loss_z,
    recall_half_width,
    shift_of_counts,
)
from jobs.availability.listing import listing_table
from jobs.availability.standing import stand
from jobs.report_html import wilson_interval
from tests.jobs.availability.drift_builders import catalogue, clip, snapshot
from tests.shardwriter.properties import bounded

counts = st.lists(st.integers(0, 10_000), min_size=2, max_size=20).filter(any)


@bounded()
@given(before=counts, seed=st.integers(0, 1000))
def test_divergence_equals_scipys(before: list[int], seed: int) -> None:
    before_K = np.array(before)
    after_K = np.random.default_rng(seed).binomial(before_K, 0.7) + 1
    ours = js_divergence_bits(before_K, after_K)
    assert ours == pytest.approx(jensenshannon(before_K, after_K, base=2) ** 2, abs=1e-12)
    assert ours == pytest.approx(js_divergence_bits(after_K, before_K), abs=1e-12)
    assert 0 <= ours <= 1


def test_divergence_of_the_same_is_nothing_and_of_strangers_one_bit() -> None:
    assert js_divergence_bits(np.array([3, 5]), np.array([6, 10])) == 0
    assert js_divergence_bits(np.array([3, 0]), np.array([0, 7])) == 1
    assert math.isnan(js_divergence_bits(np.array([3, 0]), np.array([0, 0])))


def test_log_odds_are_finite_for_empty_and_full_classes() -> None:
    values = log_odds(np.array([0, 50, 100]), 100)
    assert values == pytest.approx([-math.log(201), 0.0, math.log(201)])


def test_z_measures_a_class_by_the_hypergeometric_distribution_of_blind_loss() -> None:
    before_K, after_K = np.array([40, 200, 0, 1000]), np.array([20, 150, 0, 800])
    drawn = hypergeom(1000, before_K[:2], 800)
    expected = (after_K[:2] - drawn.mean()) / drawn.std()
    z_K = loss_z(before_K, after_K, num_before=1000, num_after=800)
    assert z_K[:2] == pytest.approx(expected)
    assert z_K[2:].tolist() == [0, 0]  # nothing to lose; all clips are of it


def test_half_width_is_wilsons_at_one_half() -> None:
    for num_positives in (1, 59, 1000):
        low, high = wilson_interval(0.5, num_positives)
        (width,) = recall_half_width(np.array([num_positives]))
        assert width == pytest.approx((high - low) / 2, abs=1e-5)
    assert recall_half_width(np.array([0])) == [0.5]


def test_class_that_lost_everything_stands_out() -> None:
    before_K, after_K = np.array([500, 400, 100]), np.array([450, 360, 0])
    shift = shift_of_counts(
        "eval", ("dog", "cat", "rain"), before_K, after_K, num_before=1000, num_after=810
    )
    assert shift.max_log_odds_label == "rain"
    assert shift.max_log_odds_change == pytest.approx(
        math.log(100.5 / 900.5) - math.log(0.5 / 810.5)
    )
    assert shift.num_classes_shifted == 3  # the others were spared what rain lost
    assert shift.recall_half_width_after > shift.recall_half_width_before
    (row,) = (row for row in shift.classes.to_pylist() if row["label"] == "rain")
    assert (row["prevalence_before"], row["prevalence_after"]) == (0.1, 0.0)
    assert row["z"] < -20


def test_loss_that_is_blind_to_labels_shifts_no_class() -> None:
    rng = np.random.default_rng(7)
    label_N = rng.integers(0, 100, size=20_000)
    is_alive_N = rng.random(20_000) < 0.85
    shift = shift_of_counts(
        "train",
        tuple(str(label) for label in range(100)),
        np.bincount(label_N, minlength=100),
        np.bincount(label_N[is_alive_N], minlength=100),
        num_before=20_000,
        num_after=int(is_alive_N.sum()),
    )
    assert shift.num_classes_shifted == 0
    assert shift.js_divergence_bits < 1e-3


def test_each_split_is_told_apart_and_all_together() -> None:
    clips = [clip(1), clip(2, labels=("cat",)), clip(3, split="eval"), clip(4, split="eval")]
    states = snapshot({c.id: "alive" for c in clips} | {clip(2).id: "gone", clip(4).id: "blocked"})
    listed = catalogue(*clips)
    shifts = label_shifts(stand(listing_table(listed), listed.labels, states))
    assert [(s.split, s.num_before, s.num_after) for s in shifts] == [
        ("*", 4, 2),
        ("train", 2, 1),
        ("eval", 2, 1),
    ]
    (train, eval_) = (shift.classes.to_pylist() for shift in shifts[1:])
    assert [(row["label"], row["positives_after"]) for row in train] == [("dog", 1), ("cat", 0)]
    assert [(row["label"], row["positives_after"]) for row in eval_] == [("dog", 1)]


def test_classes_that_are_not_listed_are_not_said_to_have_changed() -> None:
    some = shift_of_counts(
        "train", ("a", "b"), np.array([50, 50]), np.array([40, 20]), num_before=200, num_after=150
    )
    many = shift_of_counts(
        "train",
        ("x", "a", "y", "b", "z"),
        np.array([0, 50, 0, 50, 0]),
        np.array([0, 40, 0, 20, 0]),
        num_before=200,
        num_after=150,
    )
    assert many.max_log_odds_label == some.max_log_odds_label == "b"
    assert many.shifted_z == some.shifted_z
    assert many.recall_half_width_after == some.recall_half_width_after
    assert many.classes.equals(some.classes)


def test_nothing_alive_is_nan_and_no_error() -> None:
    listed = catalogue(clip(1))
    (shift,) = label_shifts(stand(listing_table(listed), listed.labels, snapshot({})))
    assert shift.num_after == 0
    assert math.isnan(shift.js_divergence_bits)
    assert math.isnan(shift.classes["prevalence_after"][0].as_py())
    assert math.isfinite(shift.max_log_odds_change)

"""The metrics against scikit-learn and scipy, and against values known by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import (
    average_precision_score,
    label_ranking_average_precision_score,
    roc_auc_score,
    roc_curve,
)

from jobs.metrics import d_prime, evaluate, lwlrap, roc_auc
from jobs.verification import equal_error_rate, error_rates, min_detection_cost

seeds = st.integers(0, 2**32 - 1)


def scores_and_targets(seed: int, num_clips: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Scores on a coarse grid, so that ties are common; every class has both kinds of clips."""
    rng = np.random.default_rng(seed)
    targets_NK = rng.random((num_clips, 6)) < 0.3
    targets_NK[0], targets_NK[1] = True, False
    scores_NK = np.round(rng.normal(size=(num_clips, 6)) + targets_NK, 1)
    return scores_NK, targets_NK


@given(seeds)
@settings(max_examples=40, deadline=None)
def test_macro_map_auc_and_lwlrap_are_those_of_scikit_learn(seed: int) -> None:
    scores_NK, targets_NK = scores_and_targets(seed)
    metrics = evaluate(scores_NK, targets_NK)
    expected = average_precision_score(targets_NK, scores_NK, average="macro")
    assert metrics.macro_map == pytest.approx(expected, abs=1e-12)
    assert metrics.macro_auc == pytest.approx(
        roc_auc_score(targets_NK, scores_NK, average="macro"), abs=1e-12
    )
    # lwlrap weighs clips by their number of labels (DCASE 2019 task 2).
    labelled = targets_NK.any(axis=1)
    expected = label_ranking_average_precision_score(
        targets_NK[labelled],
        scores_NK[labelled],
        sample_weight=targets_NK[labelled].sum(axis=1),
    )
    assert metrics.lwlrap == pytest.approx(expected, abs=1e-12)


def test_auc_leaves_out_classes_that_all_clips_have() -> None:
    targets_NK = np.array([[True, True], [False, True], [False, True]])
    scores_NK = np.array([[0.9, 0.1], [0.5, 0.2], [0.1, 0.3]])
    metrics = evaluate(scores_NK, targets_NK)
    assert metrics.macro_auc == 1.0
    assert metrics.d_prime is None  # it is infinite


def test_auc_of_equal_scores_is_a_half() -> None:
    assert roc_auc(np.zeros(4), np.array([True, False, False, True])) == 0.5


def test_d_prime_is_that_of_the_published_auc() -> None:
    # CNN14 of PANNs: mAUC 0.973, d' 2.732 (Kong et al. 2020, table of systems).
    assert d_prime(0.973) == pytest.approx(2.725, abs=0.01)
    assert d_prime(0.5) == 0.0


def test_lwlrap_by_hand() -> None:
    scores_NK = np.array([[0.9, 0.8, 0.7], [0.1, 0.2, 0.3]])
    targets_NK = np.array([[True, False, True], [True, False, False]])
    # Clip 1: ranks 1 and 3, precisions 1 and 2/3; clip 2: rank 3, precision 1/3.
    assert lwlrap(scores_NK, targets_NK) == pytest.approx((1 + 2 / 3 + 1 / 3) / 3)


@given(seeds)
@settings(max_examples=40, deadline=None)
def test_equal_error_rate_is_where_the_roc_curve_of_scikit_learn_crosses(seed: int) -> None:
    rng = np.random.default_rng(seed)
    is_same_N = rng.random(200) < 0.3
    is_same_N[:2] = True, False
    scores_N = rng.normal(size=200) + 1.5 * is_same_N  # no ties
    false_positive, true_positive, _ = roc_curve(is_same_N, scores_N, drop_intermediate=False)
    expected = brentq(lambda x: 1 - x - interp1d(false_positive, true_positive)(x), 0, 1)
    # Where the curve is vertical at the crossing, interpolation has a choice of one step.
    step = 1 / min(is_same_N.sum(), (~is_same_N).sum())
    assert equal_error_rate(scores_N, is_same_N) == pytest.approx(expected, abs=step)


def test_equal_error_rate_and_cost_by_hand() -> None:
    is_same_N = np.array([True, True, True, True, False, False, False, False])
    scores_N = np.array([0.9, 0.8, 0.7, 0.2, 0.6, 0.3, 0.1, 0.0])
    # Between 0.3 and 0.6 one of four is refused wrongly and one of four accepted wrongly.
    assert equal_error_rate(scores_N, is_same_N) == pytest.approx(0.25)
    # At 0.65: 0.01 * 1/4 missed, nothing accepted wrongly; normalised by 0.01.
    assert min_detection_cost(scores_N, is_same_N, p_target=0.01) == pytest.approx(0.25)
    assert min_detection_cost(scores_N, is_same_N, p_target=0.5) == pytest.approx(0.25)


def test_scores_that_separate_have_no_error_and_swapped_ones_cost_as_much_as_not_looking() -> None:
    is_same_N = np.array([True, True, False, False])
    scores_N = np.array([4.0, 3.0, 2.0, 1.0])
    assert equal_error_rate(scores_N, is_same_N) == 0.0
    assert min_detection_cost(scores_N, is_same_N, p_target=0.05) == 0.0
    assert equal_error_rate(-scores_N, is_same_N) == 1.0
    assert min_detection_cost(-scores_N, is_same_N, p_target=0.05) == 1.0


def test_trials_of_one_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="0 trials of the same speaker and 3 of others"):
        error_rates(np.zeros(3), np.zeros(3, dtype=bool))

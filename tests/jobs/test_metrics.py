from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.metrics import average_precision, confusion, evaluate

Ranking = list[tuple[int, bool]]


def slow_average_precision(ranking: Ranking) -> Fraction:
    """Sum over the thresholds, from the highest: precision times the gain in recall, exactly."""
    num_true = sum(is_true for _, is_true in ranking)
    total, recall_before = Fraction(0), Fraction(0)
    for threshold in sorted({score for score, _ in ranking}, reverse=True):
        taken = [is_true for score, is_true in ranking if score >= threshold]
        recall = Fraction(sum(taken), num_true)
        total += (recall - recall_before) * Fraction(sum(taken), len(taken))
        recall_before = recall
    return total


# Few distinct scores, so that ties are common.
rankings = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=30).filter(
    lambda ranking: any(is_true for _, is_true in ranking)
)


@given(rankings)
def test_average_precision_is_that_of_a_slow_loop(ranking: Ranking) -> None:
    scores_N = np.array([score for score, _ in ranking], dtype=np.float32)
    targets_N = np.array([is_true for _, is_true in ranking])
    expected = float(slow_average_precision(ranking))
    assert average_precision(scores_N, targets_N) == pytest.approx(expected, abs=1e-12)


@given(rankings, st.randoms(use_true_random=False))
def test_average_precision_does_not_depend_on_the_order_of_tied_clips(
    ranking: Ranking, random: object
) -> None:
    shuffled = list(ranking)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis ships no type for it
    values = [
        average_precision(
            np.array([score for score, _ in rows], dtype=np.float64),
            np.array([is_true for _, is_true in rows]),
        )
        for rows in (ranking, shuffled)
    ]
    assert values[0] == values[1]


def test_average_precision_of_the_example_in_the_manual_of_scikit_learn() -> None:
    value = average_precision(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    assert value == pytest.approx(0.8333333333)


def test_accuracy_counts_the_highest_score_and_chance_the_most_frequent_class() -> None:
    scores_NK = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1], [0.2, 0.3, 0.5]])
    targets_NK = np.eye(3, dtype=bool)[[0, 1, 1, 1]]
    metrics = evaluate(scores_NK, targets_NK)
    assert metrics.accuracy == 0.5
    assert metrics.chance == 0.75
    assert metrics.num_clips == 4


def test_accuracy_takes_any_of_several_labels() -> None:
    targets_NK = np.array([[True, True, False], [True, False, True]])
    scores_NK = np.array([[0.1, 0.9, 0.2], [0.1, 0.9, 0.2]])
    assert evaluate(scores_NK, targets_NK).accuracy == 0.5


def test_macro_map_leaves_out_classes_without_a_clip() -> None:
    targets_NK = np.array([[True, False, False], [False, True, False]])
    scores_NK = np.array([[0.9, 0.6, 0.5], [0.1, 0.5, 0.9]])
    # Class 0 is ranked right; class 1's only clip comes second; class 2 has none.
    assert evaluate(scores_NK, targets_NK).macro_map == pytest.approx((1.0 + 0.5) / 2)


def test_without_any_label_there_is_no_average_precision() -> None:
    metrics = evaluate(np.array([[0.9, 0.1], [0.2, 0.8]]), np.zeros((2, 2), dtype=bool))
    assert (metrics.macro_map, metrics.macro_auc, metrics.d_prime, metrics.lwlrap) == (None,) * 4
    assert metrics.accuracy == metrics.chance == 0


def test_no_clips_or_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one clip"):
        evaluate(np.zeros((0, 3)), np.zeros((0, 3), dtype=bool))
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(2, 2\)"):
        evaluate(np.zeros((2, 3)), np.zeros((2, 2), dtype=bool))


def test_confusion_has_true_classes_in_rows() -> None:
    targets_NK = np.eye(3, dtype=bool)[[0, 0, 1, 2]]
    scores_NK = np.eye(3)[[0, 1, 1, 0]]
    assert confusion(scores_NK, targets_NK).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_clips_with_several_labels_are_noticed() -> None:
    scores_NK = np.eye(3)
    targets_NK = np.eye(3, dtype=bool)
    assert not evaluate(scores_NK, targets_NK).is_multi_label
    targets_NK[0, 1] = True
    assert evaluate(scores_NK, targets_NK).is_multi_label

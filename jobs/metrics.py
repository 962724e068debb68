"""Figures of merit from scores and targets, as numpy. Axes: N clips, K classes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.floating]
Targets = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """How good the scores are."""

    accuracy: float
    """Share of clips whose highest score is one of their labels."""
    macro_map: float
    """Mean of the average precision over the classes that have a clip."""
    chance: float
    """Accuracy of always naming the most frequent class."""
    num_clips: int


def evaluate(scores_NK: Scores, targets_NK: Targets) -> Metrics:
    """Return the metrics of a held-out set; no clips is a `ValueError`."""
    if scores_NK.shape != targets_NK.shape or not len(scores_NK):
        raise ValueError(
            f"expected scores and targets of one shape and at least one clip, got "
            f"{scores_NK.shape} and {targets_NK.shape}"
        )
    top_N = scores_NK.argmax(axis=1)
    present = np.flatnonzero(targets_NK.any(axis=0))
    precisions = [average_precision(scores_NK[:, k], targets_NK[:, k]) for k in present]
    return Metrics(
        accuracy=float(targets_NK[np.arange(len(top_N)), top_N].mean()),
        macro_map=float(np.mean(precisions)) if precisions else float("nan"),
        chance=float(targets_NK.mean(axis=0).max()),
        num_clips=len(scores_NK),
    )


def average_precision(scores_N: Scores, targets_N: Targets) -> float:
    """Return the average precision of one class, without interpolation.

    The definition of scikit-learn's `average_precision_score`, which AudioSet and FSD50K results
    use: the sum of (R_i - R_{i-1}) P_i over the distinct score thresholds, so ties count once.
    At least one target must be true.
    """
    order = np.argsort(-scores_N, kind="stable")
    hits = np.cumsum(targets_N[order])
    is_last_of_tie = np.append(np.diff(scores_N[order]) != 0, True)
    hits = hits[is_last_of_tie]
    precision = hits / (np.flatnonzero(is_last_of_tie) + 1)
    return float(np.sum(np.diff(hits, prepend=0) * precision) / hits[-1])


def confusion(scores_NK: Scores, targets_NK: Targets) -> npt.NDArray[np.int64]:
    """Return counts with true classes in rows, predicted in columns (first label of each clip)."""
    num_classes = targets_NK.shape[1]
    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(matrix, (targets_NK.argmax(axis=1), scores_NK.argmax(axis=1)), 1)
    return matrix

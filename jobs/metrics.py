"""Figures of merit from scores and targets, as numpy. Axes: N clips, K classes."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.floating]
Targets = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """How good the scores are."""

    accuracy: float
    """Share of clips whose highest score is one of their labels."""
    macro_map: float | None
    """Mean of the average precision over the classes that have a clip; None where none has."""
    chance: float
    """Accuracy of always naming the most frequent class."""
    num_clips: int
    macro_auc: float | None = None
    """Mean area under the ROC curve, over the classes with a clip and a clip without."""
    d_prime: float | None = None
    """sqrt(2) times the normal quantile of `macro_auc`; None where that is 0 or 1."""
    lwlrap: float | None = None
    """Precision at the rank of each label, mean over all labels of all clips (DCASE 2019)."""
    is_multi_label: bool = False
    """Whether a clip has several labels: accuracy then says little."""


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
    varied = [k for k in present if not targets_NK[:, k].all()]
    areas = [roc_auc(scores_NK[:, k], targets_NK[:, k]) for k in varied]
    macro_auc = float(np.mean(areas)) if areas else None
    return Metrics(
        accuracy=float(targets_NK[np.arange(len(top_N)), top_N].mean()),
        macro_map=float(np.mean(precisions)) if precisions else None,
        chance=float(targets_NK.mean(axis=0).max()),
        num_clips=len(scores_NK),
        macro_auc=macro_auc,
        d_prime=None if macro_auc is None else d_prime(macro_auc),
        lwlrap=lwlrap(scores_NK, targets_NK) if len(present) else None,
        is_multi_label=bool((targets_NK.sum(axis=1) > 1).any()),
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


def roc_auc(scores_N: Scores, targets_N: Targets) -> float:
    """Return the area under the ROC curve of one class.

    It is the probability that a true clip scores above a false one, a tie counting half
    (Mann and Whitney 1947). There must be clips of both kinds.
    """
    _, place_N, counts = np.unique(scores_N, return_inverse=True, return_counts=True)
    rank_N = (np.cumsum(counts) - (counts - 1) / 2)[place_N]  # from 1, the mean over ties
    num_true = int(targets_N.sum())
    num_false = len(targets_N) - num_true
    return float((rank_N[targets_N].sum() - num_true * (num_true + 1) / 2) / (num_true * num_false))


def d_prime(area: float) -> float | None:
    """Return sqrt(2) Phi^-1(area), as AudioSet results give it; None where it is infinite."""
    return math.sqrt(2) * NormalDist().inv_cdf(area) if 0 < area < 1 else None


def lwlrap(scores_NK: Scores, targets_NK: Targets) -> float:
    """Return the label-weighted label-ranking average precision.

    For each label of each clip: of the classes that score as high or higher, the share that are
    labels of the clip; then the mean over labels. There must be a label.
    """
    total = 0.0
    for score_K, target_K in zip(scores_NK, targets_NK, strict=True):
        labels = np.sort(score_K[target_K])
        num_labels_above = len(labels) - np.searchsorted(labels, labels)
        num_above = len(score_K) - np.searchsorted(np.sort(score_K), labels)
        total += float(np.sum(num_labels_above / num_above))
    return total / float(targets_NK.sum())


def confusion(scores_NK: Scores, targets_NK: Targets) -> npt.NDArray[np.int64]:
    """Return counts with true classes in rows, predicted in columns (first label of each clip)."""
    num_classes = targets_NK.shape[1]
    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(matrix, (targets_NK.argmax(axis=1), scores_NK.argmax(axis=1)), 1)
    return matrix

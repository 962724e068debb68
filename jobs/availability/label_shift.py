"""How the loss of clips bends the labels: prevalence before and after, and how finely they score.

"Before" is what the catalogue lists, "after" what is alive. Axes: K classes.
"""

import itertools
import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.availability.census import ALL_SPLITS, class_counts
from jobs.availability.standing import ALIVE, Standing

_Z_95 = NormalDist().inv_cdf(0.975)

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelShift:
    """Labels before and after a loss; what can't be said of an empty set is NaN."""

    split: str
    """Name of the split, or `ALL_SPLITS`."""
    num_before: int
    num_after: int
    js_divergence_bits: float
    """Jensen-Shannon divergence of the two distributions of labels, 0 (same) to 1 (disjoint)."""
    max_log_odds_change: float
    """Largest change of a class's log-odds, without its sign, in nats."""
    max_log_odds_label: str
    num_classes_shifted: int
    """Classes whose loss differs from the split's by more than chance: 5 % over all classes."""
    shifted_z: float
    """The |z| over which a class counts as shifted."""
    recall_half_width_before: float
    """95 % half-width of the mean recall over classes, from the numbers of positives alone."""
    recall_half_width_after: float
    classes: pa.Table
    """A row for each class that is listed: `label`, `positives_before`, `positives_after`,
    `prevalence_before`, `prevalence_after`, `log_odds_change`, `z`, `recall_half_width_before`,
    `recall_half_width_after`."""


def label_shifts(standing: Standing) -> tuple[LabelShift, ...]:
    """Return the shift of all splits together, then that of each split where there are several."""
    counts_SKX = class_counts(standing)
    is_alive_N = standing.state_N == ALIVE
    num_splits = len(standing.splits)
    listed_S = np.bincount(standing.split_N, minlength=num_splits)
    alive_S = np.bincount(standing.split_N[is_alive_N], minlength=num_splits)
    before_SK, after_SK = counts_SKX.sum(axis=2), counts_SKX[:, :, ALIVE]
    everything = shift_of_counts(
        ALL_SPLITS,
        standing.labels,
        before_SK.sum(axis=0),
        after_SK.sum(axis=0),
        num_before=int(listed_S.sum()),
        num_after=int(alive_S.sum()),
    )
    parts = [
        shift_of_counts(
            split,
            standing.labels,
            before_SK[row],
            after_SK[row],
            num_before=int(listed_S[row]),
            num_after=int(alive_S[row]),
        )
        for row, split in enumerate(standing.splits)
    ]
    return (everything, *(parts if num_splits > 1 else ()))


def shift_of_counts(
    split: str,
    labels: tuple[str, ...],
    before_K: Counts,
    after_K: Counts,
    *,
    num_before: int,
    num_after: int,
) -> LabelShift:
    """Return the shift between two counts of positives per class.

    Classes of which nothing is listed have nothing to lose, and are left out.

    Args:
        split: Its name.
        labels: The classes.
        before_K: Listed clips of each class.
        after_K: Those of them that are alive.
        num_before: All listed clips.
        num_after: All that are alive.
    """
    is_listed_K = before_K > 0
    labels = tuple(itertools.compress(labels, is_listed_K))
    before_K, after_K = before_K[is_listed_K], after_K[is_listed_K]
    change_K = log_odds(after_K, num_after) - log_odds(before_K, num_before)
    z_K = loss_z(before_K, after_K, num_before=num_before, num_after=num_after)
    half_before_K, half_after_K = recall_half_width(before_K), recall_half_width(after_K)
    extreme = int(np.argmax(np.abs(change_K))) if len(labels) else None
    shifted_z = NormalDist().inv_cdf(1 - 0.05 / (2 * max(1, len(labels))))
    return LabelShift(
        split=split,
        num_before=num_before,
        num_after=num_after,
        js_divergence_bits=js_divergence_bits(before_K, after_K),
        max_log_odds_change=float("nan") if extreme is None else float(abs(change_K[extreme])),
        max_log_odds_label="" if extreme is None else labels[extreme],
        num_classes_shifted=int((np.abs(z_K) > shifted_z).sum()),
        shifted_z=shifted_z,
        recall_half_width_before=_mean_half_width(half_before_K),
        recall_half_width_after=_mean_half_width(half_after_K),
        classes=pa.table(
            {
                "label": pa.array(labels, pa.string()),
                "positives_before": before_K,
                "positives_after": after_K,
                "prevalence_before": before_K / num_before if num_before else before_K * np.nan,
                "prevalence_after": after_K / num_after if num_after else after_K * np.nan,
                "log_odds_change": change_K,
                "z": z_K,
                "recall_half_width_before": half_before_K,
                "recall_half_width_after": half_after_K,
            }
        ),
    )


def js_divergence_bits(before_K: Counts, after_K: Counts) -> float:
    """Return the Jensen-Shannon divergence of two histograms, in bits: 0 to 1.

    J. Lin, "Divergence measures based on the Shannon entropy", IEEE Trans. Inf. Theory 37(1),
    1991. With several labels a clip, the distribution is that of all labels given, not of clips.
    NaN where a histogram is empty.
    """
    if not before_K.sum() or not after_K.sum():
        return float("nan")
    p_K, q_K = before_K / before_K.sum(), after_K / after_K.sum()
    middle_K = (p_K + q_K) / 2
    divergence = _relative_entropy_bits(p_K, middle_K) + _relative_entropy_bits(q_K, middle_K)
    return max(0.0, divergence / 2)  # rounding may leave it a hair below zero


def log_odds(positives_K: Counts, num_clips: int) -> Floats:
    """Return the log-odds of each class, in nats, smoothed so that empty classes stay finite.

    Half a clip is added to both sides, which also removes the estimate's bias in the first order:
    J. B. S. Haldane 1956; F. J. Anscombe, "On estimating binomial response relations",
    Biometrika 43, 1956.
    """
    odds: Floats = np.log((positives_K + 0.5) / (num_clips - positives_K + 0.5))
    return odds


def loss_z(before_K: Counts, after_K: Counts, *, num_before: int, num_after: int) -> Floats:
    """Return how many standard deviations each class lies from a loss that is blind to labels.

    If the survivors were drawn at random, a class's number of them would be hypergeometric:
    mean n M/N, variance n (M/N) (1 - M/N) (N - n)/(N - 1). Clips of one uploader go together, so
    real losses spread somewhat wider. 0 where nothing could vary. Negative: lost more than most.
    """
    if not num_before:
        return np.zeros(len(before_K))
    share = num_after / num_before
    variance_K = before_K * share * (1 - share) * (num_before - before_K) / max(1, num_before - 1)
    deviation_K = np.sqrt(np.where(variance_K > 0, variance_K, np.inf))
    z_K: Floats = (after_K - before_K * share) / deviation_K
    return z_K


def recall_half_width(positives_K: Counts) -> Floats:
    """Return the 95 % half-width of a recall of 1/2 that is measured on so many positives.

    Half the width of Wilson's interval at its widest, z / (2 sqrt(m + z^2)); E. B. Wilson, JASA
    22, 1927. It needs no model: it says how finely an evaluation set can tell two models apart,
    which holds for average precision in its order of magnitude. 1/2 for a class without positives.
    """
    widths: Floats = _Z_95 / (2 * np.sqrt(positives_K + _Z_95**2))
    return widths


def _mean_half_width(half_width_K: Floats) -> float:
    """Return the half-width of the mean over classes, taken as independent."""
    if not len(half_width_K):
        return float("nan")
    return math.sqrt(float((half_width_K**2).sum())) / len(half_width_K)


def _relative_entropy_bits(p_K: Floats, q_K: Floats) -> float:
    there = p_K > 0
    return float((p_K[there] * np.log2(p_K[there] / q_K[there])).sum())

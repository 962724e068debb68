"""How often each clip should come in an epoch, from the classes of all. Pure; off by default.

A balance turns class counts into class weights, and a clip's class weights into its own weight.
What is balanced are *draws*: with several labels a clip, the common ones still come along with the
rare ones, and no weighting of clips makes label rates equal. Balancing is a dial: on AudioSet it
raised the score on the public evaluation and lowered it on another one (Moore et al., "Dataset
balancing can hurt model performance", ICASSP 2023), so look at `ShardLoader.exposure()`.

Clips without labels make up a class of their own, so that they are not left out. With `target`, the
classes are those of a named target, e.g. of a speaker or a city.

Axes: N clips, K labels.
"""

import math
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from loader.dataset import DatasetIndex
from loader.targets import NO_CLASS, TargetColumn, class_target_of

Combine = Literal["sum", "max", "mean"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InverseFrequency:
    """A class of n clips weighs `(n + offset) ** -exponent`.

    With the defaults each draw takes a class, all with equal probability, and then one of its
    clips: the law of AST's sample weights (Gong et al. 2021, `gen_weight_file.py`: the sum of
    1000 / (n + 0.01)) and, but for replacement, of PANNs' balanced sampler (Kong et al. 2020).
    PaSST adds an offset of 100, which caps the boost of a class of 60 clips at 1/160 in place of
    1/60 (Koutini et al. 2022). An exponent between 0 and 1 goes part of the way.
    """

    exponent: float = 1.0
    """0: no balance between clips of one label each; 1: class-uniform."""
    offset: float = 0.0
    combine: Combine = "sum"
    """How the weights of a clip's several classes make its own."""
    target: str | None = None
    """Name of the class target whose classes are balanced; None: the labels."""

    def __post_init__(self) -> None:
        _check_range("exponent", self.exponent, 0, 4)
        _check_range("offset", self.offset, 0, 1e12)
        _check_combine(self.combine)

    def class_weights_K(self, counts_K: NDArray[np.int64], num_clips: int) -> NDArray[np.float64]:
        """Return the weight of each class; classes without clips weigh 0."""
        del num_clips
        return _where_counted(counts_K, lambda n: (n + self.offset) ** -self.exponent)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatFactor:
    """A class of frequency f weighs `max(1, (threshold / f) ** exponent)`: copies of each clip.

    Repeat factor sampling as of LVIS (Gupta, Dollár, Girshick 2019, section 4.2), where the
    exponent is 1/2 and a clip comes as often as its rarest class asks for. Common clips keep
    coming once, and the epoch becomes longer by the repeats.
    """

    threshold: float
    """Classes that are in a larger share of the clips than this are not repeated."""
    exponent: float = 0.5
    combine: Combine = "max"
    """How the weights of a clip's several classes make its own."""
    target: str | None = None
    """Name of the class target whose classes are balanced; None: the labels."""

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold must be above 0 and at most 1, got {self.threshold!r}")
        _check_range("exponent", self.exponent, 0, 4)
        _check_combine(self.combine)

    def class_weights_K(self, counts_K: NDArray[np.int64], num_clips: int) -> NDArray[np.float64]:
        """Return the weight of each class, at least 1; classes without clips weigh 0."""
        return _where_counted(
            counts_K,
            lambda n: np.maximum(1.0, (self.threshold * num_clips / n) ** self.exponent),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveNumber:
    """A class of n clips weighs `(1 - beta) / (1 - beta ** n)`.

    Cui et al., "Class-balanced loss based on effective number of samples", CVPR 2019: between no
    balance (beta 0) and class-uniform (beta towards 1), with classes of many more clips than
    1 / (1 - beta) weighing about the same per clip.
    """

    beta: float = 0.9999
    combine: Combine = "sum"
    """How the weights of a clip's several classes make its own."""
    target: str | None = None
    """Name of the class target whose classes are balanced; None: the labels."""

    def __post_init__(self) -> None:
        if not 0 <= self.beta < 1:
            raise ValueError(f"beta must be at least 0 and below 1, got {self.beta!r}")
        _check_combine(self.combine)

    def class_weights_K(self, counts_K: NDArray[np.int64], num_clips: int) -> NDArray[np.float64]:
        """Return the weight of each class; classes without clips weigh 0."""
        del num_clips
        return _where_counted(counts_K, lambda n: (1 - self.beta) / (1 - self.beta**n))


Balance = InverseFrequency | RepeatFactor | EffectiveNumber


class _CountsToWeights(Protocol):
    def __call__(self, counts: NDArray[np.float64], /) -> NDArray[np.float64]: ...


def clip_weights(
    index: DatasetIndex, rows_N: NDArray[np.int64], balance: Balance
) -> NDArray[np.float64]:
    """Return the weight of some rows among each other: class counts are those of these rows."""
    incidence = label_incidence(index, rows_N, balance.target)
    counts_K = np.bincount(incidence.ids, minlength=incidence.num_classes)
    weights_K = balance.class_weights_K(counts_K, len(rows_N))
    values = weights_K[incidence.ids]
    if balance.combine == "max":
        return np.maximum.reduceat(values, incidence.starts)
    sums_N = np.add.reduceat(values, incidence.starts)
    if balance.combine == "sum":
        return sums_N
    return sums_N / np.diff(np.append(incidence.starts, len(values)))


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelIncidence:
    """The classes of some rows; at least one each, because having no label is a class too."""

    ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    """Where each row's classes begin in `ids`."""
    num_classes: int
    """Labels of the vocabulary, plus one: the last class is that of clips without labels."""


def label_incidence(
    index: DatasetIndex, rows_N: NDArray[np.int64], target: str | None = None
) -> LabelIncidence:
    """Return the classes of some rows; a label that a clip lists twice counts once.

    Args:
        index: Whose rows they are.
        rows_N: The rows.
        target: Name of a class target, whose classes count in place of the labels.

    Raises:
        ConfigError: there is no such target, or it is a number.
    """
    if target is not None:
        return _target_incidence(class_target_of(index.targets, target), rows_N)
    num_labels = len(index.labels)
    begin_N, end_N = index.label_starts[rows_N], index.label_starts[rows_N + 1]
    counts_N = end_N - begin_N
    place = np.repeat(np.arange(len(rows_N)), counts_N)
    within = np.arange(len(place)) - np.repeat(np.cumsum(counts_N) - counts_N, counts_N)
    ids = index.label_ids[begin_N[place] + within].astype(np.int64)
    unlabelled = np.flatnonzero(counts_N == 0)
    # (row, class) as one number: sorting these sorts by row, then class, and shows what is twice.
    pairs = np.sort(
        np.concatenate((place * (num_labels + 1) + ids, unlabelled * (num_labels + 1) + num_labels))
    )
    pairs = pairs[np.diff(pairs, prepend=-1) != 0]
    row, ids = np.divmod(pairs, num_labels + 1)
    starts = np.searchsorted(row, np.arange(len(rows_N)))
    return LabelIncidence(ids=ids, starts=starts, num_classes=num_labels + 1)


def _target_incidence(column: TargetColumn, rows_N: NDArray[np.int64]) -> LabelIncidence:
    num_labels = len(column.labels or ())
    ids_N = column.values_N[rows_N].astype(np.int64)
    return LabelIncidence(
        ids=np.where(ids_N == NO_CLASS, num_labels, ids_N),
        starts=np.arange(len(rows_N)),
        num_classes=num_labels + 1,
    )


def _where_counted(counts_K: NDArray[np.int64], weigh: _CountsToWeights) -> NDArray[np.float64]:
    weights_K = np.zeros(len(counts_K))
    is_counted_K = counts_K > 0
    weights_K[is_counted_K] = weigh(counts_K[is_counted_K].astype(np.float64))
    return weights_K


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise ValueError(f"{name} must be in {low}..{high}, got {value!r}")


def _check_combine(combine: object) -> None:
    if combine not in get_args(Combine):
        raise ValueError(f"combine must be one of {', '.join(get_args(Combine))}, got {combine!r}")

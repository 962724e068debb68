"""Pictures of results as PNG bytes: loss curves, confusion matrices, class histograms.

Axes: K classes.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from jobs.plot_style import (
    BLUE,
    INK,
    RED,
    SERIES,
    new_figure,
    short_label,
    style_axes,
    to_png,
)

_FAINT = "#DFE2E6"


def curves(
    losses: Sequence[float],
    accuracies: Sequence[float],
    *,
    steps_per_epoch: int = 1,
    chance: float | None = None,
    title: str = "Training loss and held-out accuracy",
) -> bytes:
    """Draw the training loss against the left axis and the held-out accuracy against the right.

    Args:
        losses: One training loss per step, or per epoch where `steps_per_epoch` is 1. With four
            or more per epoch they are drawn faintly, under their running mean over half an epoch.
        accuracies: Held-out accuracy in [0, 1] after each epoch; without any, no right axis.
        steps_per_epoch: How many losses make an epoch.
        chance: Accuracy of guessing, drawn as a dashed line.
        title: What is seen.
    """
    figure = new_figure(9, 3.6)
    loss_axes = style_axes(figure.add_subplot(), title)
    epochs = (np.arange(len(losses)) + 1) / steps_per_epoch
    width = max(1, min(steps_per_epoch // 2, len(losses)))
    loss_axes.plot(epochs, losses, color=BLUE, alpha=1 if width == 1 else 0.25, linewidth=1.5)
    if width > 1:
        means = np.convolve(losses, np.full(width, 1 / width), mode="valid")
        loss_axes.plot(epochs[width - 1 :], means, color=BLUE, linewidth=2)
    loss_axes.set_xlim(0, 1.01 * max(1, len(losses) / steps_per_epoch, len(accuracies)))
    loss_axes.set_ylim(bottom=0)
    loss_axes.set_xlabel("epoch")
    loss_axes.set_ylabel("training loss", color=BLUE)
    loss_axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    loss_axes.grid(axis="y", color=_FAINT, linewidth=0.7)
    if accuracies:
        _draw_accuracies(style_axes(loss_axes.twinx()), accuracies, chance)
    return to_png(figure)


def evaluation_curves(
    rows: Sequence[Mapping[str, float | None]],
    *,
    steps_per_epoch: int,
    title: str = "Held-out clips during the training",
) -> bytes:
    """Draw accuracy and macro mAP over the epochs; rows have `step`, `accuracy`, `macro_map`.

    A figure that is None leaves a gap.
    """
    figure = new_figure(9, 3.0)
    axes = style_axes(figure.add_subplot(), title)
    epochs = [(row["step"] or 0) / steps_per_epoch for row in rows]
    for name, label, color, marker in (
        ("accuracy", "accuracy", RED, "o-"),
        ("macro_map", "macro mAP", BLUE, "s--"),
    ):
        values = [math.nan if (value := row[name]) is None else value for row in rows]
        axes.plot(epochs, values, marker, color=color, markersize=4, label=label)
    axes.set_xlim(0, 1.01 * max(epochs))
    axes.set_ylim(0, 1)
    axes.set_xlabel("epoch")
    axes.set_ylabel("share")
    axes.grid(axis="y", color=_FAINT, linewidth=0.7)
    axes.legend(frameon=False, fontsize=9, loc="best")
    return to_png(figure)


def confusion_picture(
    matrix_KK: NDArray[np.integer],
    labels: Sequence[str],
    *,
    title: str = "Confusion matrix of the held-out clips",
) -> bytes:
    """Draw the counts of true classes (rows) that were predicted as others (columns).

    The colour is the share of the row, so that rare classes read like frequent ones; the number is
    the count, zeros are blank. Made for up to 50 classes. A matrix that isn't K x K for K labels is
    a `ValueError`.
    """
    num_classes = len(labels)
    if num_classes == 0 or matrix_KK.shape != (num_classes, num_classes):
        raise ValueError(f"expected a square for {num_classes} labels, got {matrix_KK.shape}")
    side = 2.4 + 0.2 * max(num_classes, 12)
    figure = new_figure(side, side)
    axes = style_axes(figure.add_subplot(), title)
    share_KK = matrix_KK / np.maximum(matrix_KK.sum(axis=1, keepdims=True), 1)
    axes.imshow(share_KK, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(matrix_KK):
        color = "white" if share_KK[row, column] > 0.55 else INK
        count = str(matrix_KK[row, column])
        axes.text(column, row, count, color=color, ha="center", va="center", fontsize=8)
    names = [short_label(label) for label in labels]
    axes.set_xticks(range(num_classes), names, rotation=90, fontsize=8, parse_math=False)
    axes.set_yticks(range(num_classes), names, fontsize=8, parse_math=False)
    borders = np.arange(num_classes + 1) - 0.5
    axes.set_xticks(borders, minor=True)
    axes.set_yticks(borders, minor=True)
    axes.grid(which="minor", color=_FAINT, linewidth=0.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    return to_png(figure)


def class_histogram(
    counts: Mapping[str, Sequence[int]],
    labels: Sequence[str],
    *,
    title: str = "Clips per class",
) -> bytes:
    """Draw how many clips each class has, the parts stacked, from the largest class down.

    `counts` has for each part (train, held out), in drawing order, one count per label; anything
    else is a `ValueError`. Made for up to 50 classes.
    """
    if not counts or not labels or any(len(part) != len(labels) for part in counts.values()):
        raise ValueError(f"expected parts with one count for each of {len(labels)} labels")
    totals_K = np.sum([list(part) for part in counts.values()], axis=0)
    order_K = np.argsort(-totals_K, kind="stable")
    figure = new_figure(9, 1.3 + 0.19 * max(len(labels), 6))
    axes = style_axes(figure.add_subplot(), title)
    left_K = np.zeros(len(labels))
    for number, (name, part) in enumerate(counts.items()):
        part_K = np.asarray(part)[order_K]
        color = SERIES[number % len(SERIES)]
        axes.barh(range(len(labels)), part_K, left=left_K, height=0.72, color=color, label=name)
        left_K += part_K
    for row, total in enumerate(totals_K[order_K]):
        axes.text(total + 0.005 * totals_K.max(), row, str(total), va="center", fontsize=8)
    names = [short_label(labels[class_]) for class_ in order_K]
    axes.set_yticks(range(len(labels)), names, fontsize=8, parse_math=False)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlim(0, 1.06 * max(1, totals_K.max()))
    axes.set_xlabel("clips")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    legend = figure.legend(loc="outside upper right", ncols=4, frameon=False, fontsize=9)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return to_png(figure)


def _draw_accuracies(axes: Axes, accuracies: Sequence[float], chance: float | None) -> None:
    axes.plot(range(1, len(accuracies) + 1), accuracies, "o-", color=RED, markersize=4)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter("{x:.0%}")
    name = "held-out accuracy"
    if chance is not None:
        axes.axhline(chance, color=RED, linestyle=(0, (4, 3)), linewidth=1)
        name += f"\n(dashed: chance, {chance:.1%})"
    axes.set_ylabel(name, color=RED)

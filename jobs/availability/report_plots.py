"""Pictures of what is left of a dataset, as PNG bytes.

States keep one colour in all pictures; what could not be seen is grey, never red. Axes: N dots,
X states or coordinates.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogFormatter, MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from jobs.availability.census import ALL_SPLITS, Census, Reason, Tally
from jobs.availability.label_shift import LabelShift
from jobs.availability.standing import STATES
from jobs.availability.verdict_times import SuspectWindow, VerdictTimeline
from jobs.plot_style import BLUE, INK, QUIET, RED, new_figure, short_label, style_axes, to_png

STATE_COLORS = {
    "alive": "#0072B2",
    "gone": "#C44601",
    "gated": "#E69F00",
    "blocked": "#8A8F98",
    "absent": "#CC79A7",
    "unknown": "#C9CDD3",
}
_FAINT = "#DFE2E6"
_Z_95 = 1.96
_MAX_NAMED = 6
_ROOM_FOR_NAME = (0.2, 0.045)
"""Shares of a picture's width and height."""


def survival_picture(tallies: Mapping[str, Tally]) -> bytes:
    """Draw each split as a bar of its states, with the share that is alive and its bounds."""
    figure = new_figure(9, 1.35 + 0.42 * len(tallies))
    axes = style_axes(figure.add_subplot(), "What is left of each split")
    left = np.zeros(len(tallies))
    used = [state for state in STATES if any(tally.counts[state] for tally in tallies.values())]
    for state in used:
        shares = np.array(
            [tally.counts[state] / max(1, tally.num_listed) for tally in tallies.values()]
        )
        axes.barh(range(len(tallies)), shares, left=left, height=0.66, color=STATE_COLORS[state])
        left += shares
    for row, tally in enumerate(tallies.values()):
        text = f"{tally.survival:.1%}" if tally.num_listed else "no clip"
        if tally.num_undecided:
            text += f" to {tally.survival_at_most:.1%}"
        axes.text(1.01, row, text, va="center", fontsize=9, fontweight="bold", color=INK)
    names = [f"{short_label(name)}  {tally.num_listed:,}" for name, tally in tallies.items()]
    axes.set_yticks(range(len(names)), names, fontsize=9, parse_math=False)
    axes.set_ylim(len(tallies) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel("share of the listed clips")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    _state_legend(figure, used)
    return to_png(figure)


def class_funnel_picture(census: Census) -> bytes:
    """Draw the survival of each class over its size, with the band that chance alone fills."""
    rows = census.classes.filter(
        (pc.field("split") == ALL_SPLITS) & (pc.field("num_listed") > 0)
    ).sort_by("label")
    listed, survival = rows["num_listed"].to_numpy(), rows["survival"].to_numpy()
    figure = new_figure(9, 4.2)
    axes = style_axes(figure.add_subplot(), "Survival of each class by its size")
    share = census.total.survival
    sizes = np.geomspace(listed.min() / 1.3, 1.3 * listed.max(), 200)
    spread = _Z_95 * np.sqrt(share * (1 - share) / sizes)
    band = np.clip([share - spread, share + spread], 0, 1)
    axes.fill_between(sizes, *band, color=_FAINT, linewidth=0, label="95 % of classes, by chance")
    axes.axhline(share, color=QUIET, linewidth=1, linestyle=(0, (4, 3)), label=f"all: {share:.1%}")
    axes.scatter(listed, survival, s=14, color=BLUE, alpha=0.65, linewidth=0)
    far = np.abs(survival - share) / np.sqrt(np.maximum(share * (1 - share), 1e-9) / listed)
    low, high = max(0, survival.min() - 0.08), min(1, survival.max() + 0.08)
    across = np.log(listed / sizes[0]) / np.log(sizes[-1] / sizes[0])
    place_NX = np.stack([across, (survival - low) / (high - low)], axis=1)
    for row, num_more in named_dots(place_NX, far):
        more = f" and {num_more} more" if num_more else ""
        name = short_label(rows["label"][row].as_py(), 28) + more
        _annotate(axes, name, float(listed[row]), float(survival[row]))
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.4)))  # where space is
    axes.set_xlim(sizes[0], sizes[-1])
    axes.set_ylim(low - 0.04 * (high - low), high + 0.04 * (high - low))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel("clips listed in the class")
    axes.set_ylabel("alive")
    axes.grid(axis="y", color=_FAINT, linewidth=0.7)
    axes.tick_params(axis="x", which="both", labelsize=8)
    figure.legend(loc="outside upper right", ncols=2, frameon=False, fontsize=9)
    return to_png(figure)


def named_dots(place_NX: NDArray[np.float64], far_N: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return the dots to name, the farthest first, each with the number of others at its place.

    One that has no room for its name beside those has none.

    Args:
        place_NX: Where the dots are, as shares of the picture's width and height.
        far_N: How far from what chance does, in standard deviations; those within 95 % get no name.
    """
    num_others: dict[int, int] = {}
    for row in np.argsort(-far_N, kind="stable"):
        if far_N[row] <= _Z_95:
            break
        near = [
            other
            for other in num_others
            if (np.abs(place_NX[row] - place_NX[other]) < _ROOM_FOR_NAME).all()
        ]
        if not near and len(num_others) < _MAX_NAMED:
            num_others[int(row)] = 0
        for other in near:
            num_others[other] += int((place_NX[row] == place_NX[other]).all())
    return list(num_others.items())


def worst_classes_picture(worst: pa.Table) -> bytes:
    """Draw the classes of `worst_classes` as bars of their states."""
    rows = worst.to_pylist()
    figure = new_figure(9, 1.3 + 0.23 * max(4, len(rows)))
    axes = style_axes(figure.add_subplot(), "The classes that lost most")
    left = np.zeros(len(rows))
    used = [state for state in STATES if any(row[state] for row in rows)]
    for state in used:
        shares = np.array([row[state] / row["num_listed"] for row in rows])
        axes.barh(range(len(rows)), shares, left=left, height=0.72, color=STATE_COLORS[state])
        left += shares
    for number, row in enumerate(rows):
        text = f"{row['survival']:.0%}: {row['alive']:,} of {row['num_listed']:,}"
        axes.text(1.01, number, text, va="center", fontsize=8, color=INK)
    names = [short_label(row["label"], 32) for row in rows]
    axes.set_yticks(range(len(names)), names, fontsize=8, parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel("share of the listed clips")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    _state_legend(figure, used)
    return to_png(figure)


def reasons_picture(reasons: tuple[Reason, ...], *, limit: int = 15) -> bytes:
    """Draw why clips are not alive, the most frequent reasons first."""
    shown = [reason for reason in reasons if reason.state != "alive"][:limit]
    figure = new_figure(9, 1.3 + 0.25 * max(3, len(shown)))
    axes = style_axes(figure.add_subplot(), "Why clips are not there")
    counts = [reason.num_clips for reason in shown]
    axes.barh(range(len(shown)), counts, height=0.7, color=[STATE_COLORS[r.state] for r in shown])
    for row, reason in enumerate(shown):
        axes.text(
            reason.num_clips + 0.006 * max(counts), row, f"{reason.num_clips:,}",
            va="center", fontsize=8, color=INK,
        )  # fmt: skip
    names = [_reason_name(reason, shown) for reason in shown]
    axes.set_yticks(range(len(names)), names, fontsize=8, parse_math=False)
    axes.set_ylim(max(1, len(shown)) - 0.4, -0.6)
    axes.set_xlim(0, 1.1 * max([1, *counts]))
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("clips")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    _state_legend(figure, [s for s in STATES if any(reason.state == s for reason in shown)])
    return to_png(figure)


def transitions_picture(transitions_XY: NDArray[np.int64]) -> bytes:
    """Draw the matrix of states before (rows) and now (columns); colour is the share of the row."""
    used = np.flatnonzero(transitions_XY.sum(axis=0) + transitions_XY.sum(axis=1))
    matrix = transitions_XY[np.ix_(used, used)]
    names = [STATES[state] for state in used]
    figure = new_figure(9, 1.3 + 0.38 * max(3, len(used)))
    axes = style_axes(figure.add_subplot(), "From state to state")
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.argwhere(matrix):
        color = "white" if share[row, column] > 0.55 else INK
        text = f"{matrix[row, column]:,}"
        axes.text(column, row, text, color=color, ha="center", va="center", fontsize=9)
    axes.set_xticks(range(len(names)), names, fontsize=9)
    axes.set_yticks(range(len(names)), names, fontsize=9)
    borders = np.arange(len(names) + 1) - 0.5
    axes.set_xticks(borders, minor=True)
    axes.set_yticks(borders, minor=True)
    axes.grid(which="minor", color=_FAINT, linewidth=0.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("now")
    axes.set_ylabel("before")
    return to_png(figure)


def label_shift_picture(shift: LabelShift, *, limit: int = 10) -> bytes:
    """Draw the classes whose odds rose and fell most, beside all classes in order."""
    rows = shift.classes.sort_by("log_odds_change")
    change_K = rows["log_odds_change"].to_numpy()
    places = np.arange(len(change_K))
    extremes = np.unique(np.concatenate([places[:limit], places[-limit:]]))
    figure = new_figure(9, 1.3 + 0.22 * max(5, len(extremes)))
    every, named = figure.subplots(1, 2, width_ratios=(1, 1.25))
    style_axes(every, "How the loss bends the labels")
    style_axes(named)
    every.axhline(0, color=QUIET, linewidth=0.8)
    every.fill_between(np.arange(len(change_K)), change_K, color=BLUE, alpha=0.25, linewidth=0)
    every.plot(change_K, color=BLUE, linewidth=1.5)
    every.set_xlabel("classes, in order of change")
    every.set_ylabel("change of log-odds (nats)")
    every.grid(axis="y", color=_FAINT, linewidth=0.7)
    values = change_K[extremes]
    colors = [RED if value < 0 else BLUE for value in values]
    named.barh(range(len(values)), values, height=0.7, color=colors)
    names = [short_label(rows["label"][int(row)].as_py(), 30) for row in extremes]
    named.set_yticks(range(len(names)), names, fontsize=8, parse_math=False)
    named.set_ylim(len(names) - 0.4, -0.6)
    named.axvline(0, color=QUIET, linewidth=0.8)
    named.tick_params(axis="y", length=0)
    named.spines["left"].set_visible(False)
    named.set_xlabel("change of log-odds (nats)")
    return to_png(figure)


def timeline_picture(timeline: VerdictTimeline, windows: tuple[SuspectWindow, ...]) -> bytes:
    """Draw when the verdicts were made, by state; suspect windows are shaded and numbered."""
    figure = new_figure(9, 3.2)
    axes = style_axes(figure.add_subplot(), "When the verdicts were made")
    edges = _days(timeline.edges)
    bottom = np.zeros(len(edges) - 1)
    used = [state for x, state in enumerate(STATES) if timeline.counts_BX[:, x].any()]
    for state in used:
        counts = timeline.counts_BX[:, STATES.index(state)]
        axes.bar(
            edges[:-1], counts, width=np.diff(edges), bottom=bottom, align="edge",
            color=STATE_COLORS[state],
        )  # fmt: skip
        bottom += counts
    half_bin = float(edges[1] - edges[0]) / 2
    for number, window in enumerate(windows, start=1):
        times = np.array([window.start_utc[:-1], window.stop_utc[:-1]], dtype="datetime64[ms]")
        start, stop = _days(times).tolist()
        axes.axvspan(start - half_bin, stop + half_bin, color=RED, alpha=0.14, linewidth=0)
        axes.text(
            (start + stop) / 2, 1.0, str(number), transform=axes.get_xaxis_transform(),
            ha="center", va="bottom", fontsize=8, color=RED,
        )  # fmt: skip
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]  # no types there
    axes.xaxis.set_major_locator(locator)
    formatter = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]  # nor there
    axes.xaxis.set_major_formatter(formatter)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel("time of the last look at a clip (UTC)")
    axes.set_ylabel("clips")
    _state_legend(figure, used, *([("suspect window", RED)] if windows else []))
    return to_png(figure)


def _reason_name(reason: Reason, shown: list[Reason]) -> str:
    """Return a code in words; with its state where the same code leads to several."""
    words = reason.code.replace("_", " ")
    is_common = sum(other.code == reason.code for other in shown) > 1
    return f"{words} ({reason.state})" if is_common else words


def _days(times: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Return times as matplotlib counts them: in days from 1970 on."""
    days: NDArray[np.float64] = times.astype("datetime64[ms]").astype(np.float64) / 86_400_000
    return days


def _state_legend(figure: Figure, states: list[str], *others: tuple[str, str]) -> None:
    handles = [Patch(color=STATE_COLORS[state], label=state) for state in states]
    handles += [Patch(color=color, alpha=0.2, label=name) for name, color in others]
    figure.legend(
        handles=handles, loc="outside upper right", ncols=7, frameon=False, fontsize=9,
        handlelength=1, handleheight=1,
    )  # fmt: skip


def _annotate(axes: Axes, name: str, x: float, y: float) -> None:
    axes.annotate(
        name, (x, y), xytext=(5, 3), textcoords="offset points", fontsize=7.5, color=INK,
        parse_math=False,
    )  # fmt: skip

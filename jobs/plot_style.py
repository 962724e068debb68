"""The look that all pictures share: colours, axes, titles, and their way to PNG bytes.

Everything is drawn through matplotlib's `Figure` objects, never through pyplot: no window, no
shared state. Colours are told apart by colour-blind readers (after Okabe and Ito; magma), and right
or wrong is a sign too. Labels come from outside: they are shortened, and never read as formulas.
"""

import io

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

BLUE, GREEN, RED = "#0072B2", "#007A5A", "#C44601"
SERIES = (BLUE, "#E69F00", "#56B4E9", "#CC79A7")
INK, QUIET = "#22262B", "#6A7078"


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches."""
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def draw_title(figure: Figure, title: str) -> None:
    """Write a title over the whole figure."""
    figure.suptitle(
        title, x=0.01, ha="left", fontsize=11, fontweight="bold", color=INK, parse_math=False
    )


def style_axes(axes: Axes, title: str | None = None) -> Axes:
    """Give axes the common look, and the figure a title; return the axes."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(QUIET)
    axes.tick_params(labelsize=8, color=QUIET, labelcolor=INK)
    axes.xaxis.label.set(fontsize=9, color=INK)
    axes.yaxis.label.set(fontsize=9, color=INK)
    if title is not None:
        draw_title(axes.get_figure(root=True), title)  # type: ignore[arg-type]  # it has a figure
    return axes


def short_label(label: str, limit: int = 24) -> str:
    """Return a label on one line, cut where it would push the picture aside."""
    line = " ".join(label.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def to_png(figure: Figure) -> bytes:
    """Return the figure as a PNG file; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    # Without matplotlib's version in the file, the same picture is the same bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()

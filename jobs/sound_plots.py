"""Pictures of sounds as PNG bytes: waveforms and log-mels.

Axes: T samples, M mel bands, F frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from jobs.plot_style import (
    BLUE,
    GREEN,
    INK,
    QUIET,
    RED,
    draw_title,
    new_figure,
    short_label,
    style_axes,
    to_png,
)

_SHOWN_DB = 80.0  # what lies further below the loudest point is drawn as black
_TICKS_HZ = (250, 500, 1000, 2000, 4000, 8000, 16000)


@dataclass(frozen=True, slots=True, kw_only=True)
class MelTile:
    """One log-mel of a grid.

    Attributes:
        mel_MF: Log-mel in dB, lowest band first.
        label: The true label.
        predicted: What a model said, or None where no model was asked.
    """

    mel_MF: NDArray[np.floating]
    label: str
    predicted: str | None = None


def clip_picture(
    wave_T: NDArray[np.int16],
    mel_MF: NDArray[np.floating],
    *,
    sample_rate_hz: int,
    hop_seconds: float,
    title: str,
    mel_centres_hz: Sequence[float] | None = None,
) -> bytes:
    """Draw one clip: its waveform over its log-mel in dB, on one time axis.

    Frame f is drawn at f * hop_seconds. With `mel_centres_hz`, the frequency at which each band
    peaks, the mel axis is labelled in Hz, otherwise by band number.
    """
    figure = new_figure(9, 4.4)
    cells = figure.add_gridspec(2, 2, width_ratios=(60, 1), height_ratios=(2, 5))
    wave_axes = style_axes(figure.add_subplot(cells[0, 0]), title)
    mel_axes = style_axes(figure.add_subplot(cells[1, 0], sharex=wave_axes))
    duration_seconds = len(wave_T) / sample_rate_hz
    _draw_wave(wave_axes, wave_T, duration_seconds)
    image = _draw_mel(mel_axes, mel_MF, hop_seconds, mel_centres_hz, float(mel_MF.max()))
    wave_axes.set_xlim(0, duration_seconds)
    mel_axes.set_xlabel("time in seconds")
    mel_axes.set_ylabel(_mel_axis_name(mel_centres_hz))
    _colour_bar(figure, image, cax=figure.add_subplot(cells[1, 1]))
    return to_png(figure)


def mel_grid(
    tiles: Sequence[MelTile],
    *,
    hop_seconds: float,
    title: str,
    columns: int = 4,
    mel_centres_hz: Sequence[float] | None = None,
) -> bytes:
    """Draw log-mels side by side, each under its label and, where given, the predicted one.

    All share one colour scale, so that loud and quiet clips are seen as such. A right prediction
    is green with a tick, a wrong one red with a cross. Few tiles leave columns empty, so that the
    title has its room. No tiles at all is a `ValueError`.
    """
    if not tiles:
        raise ValueError("a grid needs at least one log-mel")
    rows = -(-len(tiles) // columns)
    figure = new_figure(0.9 + 2.3 * columns, 0.9 + 1.9 * rows)
    draw_title(figure, title)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    loudest_db = max(float(tile.mel_MF.max()) for tile in tiles)
    for axes, tile in zip(grid.flat, tiles, strict=False):
        image = _draw_mel(style_axes(axes), tile.mel_MF, hop_seconds, mel_centres_hz, loudest_db)
        _title_tile(axes, tile)
    for axes in list(grid.flat)[len(tiles) :]:
        axes.set_axis_off()
    figure.supxlabel("time in seconds", fontsize=9, color=INK)
    figure.supylabel(_mel_axis_name(mel_centres_hz), fontsize=9, color=INK)
    _colour_bar(figure, image, ax=grid, aspect=15 * rows, pad=0.01)
    return to_png(figure)


def _draw_wave(axes: Axes, wave_T: NDArray[np.int16], duration_seconds: float) -> None:
    """Draw the lowest and highest sample of each of 1200 columns: no peak gets lost."""
    columns = np.array_split(wave_T.astype(np.float32) / 32768, min(1200, len(wave_T)))
    low = np.array([column.min() for column in columns])
    high = np.array([column.max() for column in columns])
    seconds = (np.arange(len(columns)) + 0.5) / len(columns) * duration_seconds
    axes.fill_between(seconds, low, high, color=BLUE, linewidth=0.6)
    peak = max(0.01, 1.05 * float(np.abs([low, high]).max()))
    axes.set_ylim(-peak, peak)
    axes.set_ylabel("amplitude")
    axes.tick_params(labelbottom=False)


def _draw_mel(
    axes: Axes,
    mel_MF: NDArray[np.floating],
    hop_seconds: float,
    mel_centres_hz: Sequence[float] | None,
    loudest_db: float,
) -> AxesImage:
    num_frames = mel_MF.shape[1]
    if mel_centres_hz is not None:
        ticks = [hz for hz in _TICKS_HZ if mel_centres_hz[0] <= hz <= mel_centres_hz[-1]]
        names = [f"{hz // 1000} k" if hz >= 1000 else str(hz) for hz in ticks]
        axes.set_yticks(np.interp(ticks, mel_centres_hz, range(len(mel_centres_hz))), names)
    return axes.imshow(
        mel_MF,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap="magma",
        vmin=loudest_db - _SHOWN_DB,
        vmax=loudest_db,
        extent=(-hop_seconds / 2, (num_frames - 0.5) * hop_seconds, -0.5, len(mel_MF) - 0.5),
    )


def _mel_axis_name(mel_centres_hz: Sequence[float] | None) -> str:
    return "mel band" if mel_centres_hz is None else "frequency in Hz"


def _title_tile(axes: Axes, tile: MelTile) -> None:
    text, color = short_label(tile.label), INK
    if tile.predicted == tile.label:
        text, color = f"✓ {text}", GREEN
    elif tile.predicted is not None:
        text, color = f"{text}\n✗ {short_label(tile.predicted)}", RED
    axes.set_title(text, loc="left", fontsize=9, color=color, parse_math=False)


def _colour_bar(figure: Figure, image: AxesImage, **place: Any) -> None:
    bar = figure.colorbar(image, **place)
    bar.set_label("level in dB", color=INK, fontsize=9)
    bar.ax.tick_params(labelsize=8, color=QUIET, labelcolor=INK)
    bar.ax.spines[:].set_visible(False)

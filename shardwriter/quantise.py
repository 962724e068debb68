"""Between 16-bit samples and float32 of full scale 1.0.

The scale is 2^15, libsndfile's and FLAC's, so that 16-bit sources survive unchanged.
"""

import functools
from enum import StrEnum
from typing import Any

import numpy as np

from shardwriter.mixdown import Pcm, Wave

_FULL_SCALE = np.float32(32768.0)
_STEP = np.float32(1.0 / 32768.0)


class Dither(StrEnum):
    """What is added before rounding to 16 bit."""

    NONE = "none"
    TPDF = "tpdf"
    """Noise of triangular density from -1 to 1 steps of 16 bit."""


def to_float(wave_T: Wave | Pcm) -> Wave:
    """Return samples as float32 of full scale 1.0; those that are float32 as they are."""
    if wave_T.dtype == np.float32:
        return wave_T  # type: ignore[return-value]  # the dtype says which of the two it is
    float_T = np.empty(len(wave_T), np.float32)
    _load_kernel().scale_to_float(np.ascontiguousarray(wave_T), _STEP, float_T)
    return float_T


def to_pcm16(wave_T: Wave | Pcm, *, dither: Dither = Dither.NONE, seed: int = 0) -> tuple[Pcm, int]:
    """Round to 16 bit; return the samples and how many of them full scale limited.

    Args:
        wave_T: float32 of full scale 1.0. int16 comes through as it is, never dithered.
        dither: What to add before rounding.
        seed: Seed of the dither: equal seeds give equal samples.
    """
    if wave_T.dtype == np.int16:
        return wave_T, 0  # type: ignore[return-value]  # the dtype says which of the two it is
    scale = _FULL_SCALE
    if dither is Dither.TPDF:
        rng = np.random.Generator(np.random.PCG64(seed))
        wave_T, scale = wave_T * _FULL_SCALE, np.float32(1.0)
        wave_T += rng.random(len(wave_T), dtype=np.float32)
        wave_T -= rng.random(len(wave_T), dtype=np.float32)
    pcm_T = np.empty(len(wave_T), np.int16)
    num_clipped = _load_kernel().round_to_int16(np.ascontiguousarray(wave_T), scale, pcm_T)
    return pcm_T, int(num_clipped)


@functools.cache
def _load_kernel() -> Any:
    from shardwriter import quantise_kernel as kernel  # takes 0.6 s, as numba does

    return kernel

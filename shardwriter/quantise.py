"""Between 16-bit samples and float32 of full scale 1.0.

The scale is 2^15, libsndfile's and FLAC's, so that 16-bit sources survive unchanged.
"""

from enum import StrEnum

import numpy as np

from shardwriter.mixdown import Pcm, Wave

_FULL_SCALE = np.float32(32768.0)


class Dither(StrEnum):
    """What is added before rounding to 16 bit."""

    NONE = "none"
    TPDF = "tpdf"
    """Noise of triangular density from -1 to 1 steps of 16 bit."""


def to_float(wave_T: Wave | Pcm) -> Wave:
    """Return samples as float32 of full scale 1.0; those that are float32 as they are."""
    if wave_T.dtype == np.float32:
        return wave_T  # type: ignore[return-value]  # the dtype says which of the two it is
    return wave_T * (np.float32(1.0) / _FULL_SCALE)


def to_pcm16(wave_T: Wave | Pcm, *, dither: Dither = Dither.NONE, seed: int = 0) -> tuple[Pcm, int]:
    """Round to 16 bit; return the samples and how many of them full scale limited.

    Args:
        wave_T: float32 of full scale 1.0. int16 comes through as it is, never dithered.
        dither: What to add before rounding.
        seed: Seed of the dither: equal seeds give equal samples.
    """
    if wave_T.dtype == np.int16:
        return wave_T, 0  # type: ignore[return-value]  # the dtype says which of the two it is
    scaled_T = wave_T * _FULL_SCALE
    if dither is Dither.TPDF:
        rng = np.random.Generator(np.random.PCG64(seed))
        scaled_T += rng.random(len(scaled_T), dtype=np.float32)
        scaled_T -= rng.random(len(scaled_T), dtype=np.float32)
    np.rint(scaled_T, out=scaled_T)
    num_clipped = 0
    if scaled_T.max(initial=0.0) > 32767 or scaled_T.min(initial=0.0) < -32768:
        num_clipped = int(np.count_nonzero((scaled_T > 32767) | (scaled_T < -32768)))
        np.clip(scaled_T, -32768, 32767, out=scaled_T)
    return scaled_T.astype(np.int16), num_clipped

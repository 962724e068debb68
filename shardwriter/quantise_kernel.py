"""Rounding to 16 bit and back, compiled: one pass over the samples where numpy takes five."""

import numpy as np

from shardwriter.compiled import jit

_LOW, _HIGH = np.float32(-32768.0), np.float32(32767.0)


@jit
def scale_to_float(pcm, scale, wave):
    """Write int16 samples times `scale`."""
    for i in range(len(pcm)):
        wave[i] = np.float32(pcm[i]) * scale


@jit
def round_to_int16(wave, scale, pcm):
    """Write samples times `scale`, rounded and limited; return how many had to be limited."""
    num_clipped = 0
    for i in range(len(wave)):
        value = np.rint(wave[i] * scale)
        num_clipped += (value > _HIGH) | (value < _LOW)
        pcm[i] = np.int16(np.int32(min(max(value, _LOW), _HIGH)))
    return num_clipped

"""Noise added to a clip at a ratio of levels. Pure.

Axes: T samples.
"""

import numpy as np
from numpy.typing import NDArray

FRAME_SECONDS = 0.1
ACTIVE_DBFS = -50.0
"""Frames of 100 ms that are not above it are no part of a level, as in the Microsoft DNS challenge
(Reddy et al., Interspeech 2020; `active_rms` in its audiolib.py)."""
_FULL_SCALE = 32768.0
_MAX_PCM = 32767.0


def active_power(pcm_T: NDArray[np.int16], *, sample_rate_hz: int) -> float:
    """Return the mean square of the active parts, 1 for a square wave of full scale.

    Active are frames of 100 ms above -50 dBFS; where there are none, all of them. Squares are
    summed as integers, so the level doesn't depend on how they are added up.
    """
    if not len(pcm_T):
        return 0.0
    frame = max(1, round(FRAME_SECONDS * sample_rate_hz))
    num_whole = len(pcm_T) // frame * frame
    parts = (pcm_T[:num_whole].reshape(-1, frame), pcm_T[None, num_whole:])
    # einsum widens a little at a time: a tenth of the time of squares in an array of their own.
    sums = np.concatenate([np.einsum("ft,ft->f", part, part, dtype=np.int64) for part in parts])
    lengths = np.array([frame] * len(parts[0]) + [len(pcm_T) - num_whole])
    is_active = sums > lengths * (_FULL_SCALE**2 * 10.0 ** (ACTIVE_DBFS / 10))
    if is_active.any():
        sums, lengths = sums[is_active], lengths[is_active]
    return float(sums.sum()) / float(lengths.sum()) / _FULL_SCALE**2


def mix_noise(
    clip_T: NDArray[np.int16],
    noise_T: NDArray[np.int16],
    *,
    snr_db: float,
    sample_rate_hz: int,
) -> NDArray[np.int16] | None:
    """Return the clip with noise added, or None where one of the two is digital silence.

    With P and Q the active powers of clip and noise, the noise is multiplied with
    sqrt(P / Q) 10**(-snr_db / 20), as in torchaudio's `add_noise` and Kaldi, but for silent parts.
    They are added in float32 and rounded to the nearest of 16 bits. A sum that would go over full
    scale is turned down as a whole until its peak is 32767: neither the ratio nor the wave changes
    its form, as clipping would make it (so does the DNS challenge's mixer).

    Args:
        clip_T: The clip without padding.
        noise_T: As long as the clip.
        snr_db: Ratio of the levels in dB.
        sample_rate_hz: Rate of both.
    """
    clip_power = active_power(clip_T, sample_rate_hz=sample_rate_hz)
    noise_power = active_power(noise_T, sample_rate_hz=sample_rate_hz)
    if not clip_power or not noise_power:
        return None
    factor = (clip_power / noise_power) ** 0.5 * 10.0 ** (-snr_db / 20)
    mixed_T = noise_T * np.float32(factor)
    mixed_T += clip_T
    peak = max(float(mixed_T.max()), -float(mixed_T.min()))
    if peak > _MAX_PCM:
        mixed_T *= np.float32(_MAX_PCM / peak)
    rounded_T: NDArray[np.int16] = np.rint(mixed_T, out=mixed_T).astype(np.int16)
    return rounded_T

"""Speed by resampling, through the spectrum of the whole clip.

The spectrum of N samples, cut or filled up to N / factor of them, is the clip at the new length. No
filter has to be designed, and neither TF32 nor autocast can spoil it, as they do a convolution.

Axes: B samples, T samples of a wave, F frequencies.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

from loader.augment.responses import fast_length
from loader.augment.rows import Rows, is_own, with_changed_rows

_GUARD = 1024
"""Zeros behind the clip, so that what rings beyond its end doesn't come in at its front."""
_ROLL_OFF = 0.02
"""Share of the band over which it fades out: a sharp edge would ring."""


def change_speed(
    wave_BT: Tensor, num_samples_B: Tensor, *, factors: Sequence[float], index_B: Tensor
) -> tuple[Tensor, Tensor]:
    """Return each clip at its speed, and the new lengths.

    A clip that becomes shorter is followed by zeros, one that becomes longer than T is cut.

    Args:
        wave_BT: float32, 0 beyond each clip's end.
        num_samples_B: int64.
        factors: Multiples of 0.05.
        index_B: Place of each clip's speed in `factors`.
    """
    for index, factor in enumerate(factors):
        if factor == 1.0:
            continue
        is_changed_B = index_B == index
        fraction = Fraction(round(factor * 20), 20)

        def resampled(rows: Rows, wave_BT: Tensor = wave_BT, ratio: Fraction = fraction) -> Tensor:
            return _resampled(wave_BT[rows], ratio)

        longer_B = -(-num_samples_B * fraction.denominator // fraction.numerator)
        num_samples_B = longer_B.clamp(max=wave_BT.shape[1]).where(is_changed_B, num_samples_B)
        wave_BT = with_changed_rows(wave_BT, is_changed_B, resampled)
    return wave_BT * is_own(num_samples_B, wave_BT.shape[1]), num_samples_B


def _resampled(wave_BT: Tensor, factor: Fraction) -> Tensor:
    """Return the waves at another speed, T samples of them."""
    num_samples = wave_BT.shape[1]
    unit = fast_length(math.ceil((num_samples + _GUARD) / factor.numerator))
    n_in, n_out = unit * factor.numerator, unit * factor.denominator
    num_kept = min(n_in, n_out) // 2 + 1
    spectrum_BF = torch.fft.rfft(wave_BT, n_in)[:, :num_kept] * _fade(num_kept, wave_BT.device)
    # irfft fills the spectrum up with zeros.
    result_BT = torch.fft.irfft(spectrum_BF, n_out)[:, :num_samples] * (n_out / n_in)
    return torch.nn.functional.pad(result_BT, (0, num_samples - result_BT.shape[1]))


def _fade(num_frequencies: int, device: torch.device) -> Tensor:
    """Return ones that end in half a period of a cosine, 0 at the last one."""
    place_F = torch.arange(num_frequencies - 1, -1, -1, device=device, dtype=torch.float32)
    share_F = (place_F / (_ROLL_OFF * num_frequencies)).clamp(max=1.0)
    return 0.5 - 0.5 * (math.pi * share_F).cos()

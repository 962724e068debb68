"""Filters and impulse responses as one response for each sample, and one convolution with it.

Equaliser, band-pass, device and room are all linear, so they are multiplied at a short FFT first,
and the wave is transformed once, however many of them there are.

The filters are analogue prototypes under the bilinear transform, like those of R. Bristow-Johnson's
"Cookbook formulae for audio EQ biquad filter coefficients", which torchaudio has too. At digital
frequency w a filter tuned to w0 has the value of its prototype at s = j tan(w/2) / tan(w0/2).
Written with p = sin(w/2) cos(w0/2) and q = cos(w/2) sin(w0/2), that s = j p/q, it has no poles
and no differences of almost equal numbers: float32 is enough down to 20 Hz.

Axes: B samples, T samples of a wave, R samples of a response, F frequencies, K filters,
X 1.
"""

import math

import torch
from torch import Tensor

from loader.augment.recipe import AugmentRecipe

_BUTTERWORTH_Q = math.sqrt(0.5)
_DECAY = math.log(1e5)
"""A filter's response is cut where it is 100 dB down."""


def fast_length(num_samples: int) -> int:
    """Return the least 2**a 3**b 5**c of at least `num_samples`, which FFTs are fast at.

    One factor 2 at least, so that half of it is whole.
    """
    best = 1 << max(1, (num_samples - 1).bit_length())
    power_5 = 1
    while power_5 < best:
        power_35 = power_5
        while power_35 < best:
            twos = max(1, (-(-num_samples // power_35) - 1).bit_length())
            best = min(best, power_35 << twos)
            power_35 *= 3
        power_5 *= 5
    return best


def convolve(wave_BT: Tensor, response_BR: Tensor) -> Tensor:
    """Return each wave convolved with its response, cut to the wave's length T."""
    num_samples = wave_BT.shape[1]
    n_fft = fast_length(num_samples + response_BR.shape[1] - 1)
    spectrum_BF = torch.fft.rfft(wave_BT, n_fft)
    spectrum_BF *= torch.fft.rfft(response_BR, n_fft)
    result: Tensor = torch.fft.irfft(spectrum_BF, n_fft)
    return result[:, :num_samples]


def tail_samples(recipe: AugmentRecipe, *, sample_rate_hz: int) -> int:
    """Return how long the responses of the recipe's filters are, 0 without any."""
    tails_seconds = [0.0]
    if recipe.equalizer is not None:
        setting = recipe.equalizer
        # A boost narrows the poles: their Q is the filter's times the root of its gain.
        q = setting.max_q * 10.0 ** (max(0.0, setting.max_db) / 40.0)
        tails_seconds.append(_DECAY * q / (math.pi * setting.min_hz))
    if recipe.band_pass is not None:
        lowest_hz = recipe.band_pass.min_low_hz
        tails_seconds.append(_DECAY * _BUTTERWORTH_Q / (math.pi * lowest_hz))
    return math.ceil(sum(tails_seconds) * sample_rate_hz)


def unit_energy(response_BR: Tensor) -> Tensor:
    """Return responses of energy 1, which on average keep a noise's level.

    One of digital silence becomes an impulse: it changes nothing, where it would silence the clip.
    """
    energy_BX = response_BR.square().sum(dim=1, keepdim=True)
    impulse_R = torch.arange(response_BR.shape[1], device=response_BR.device).eq(0).float()
    scaled_BR = response_BR * energy_BX.clamp(min=1e-12).rsqrt()
    return scaled_BR.where(energy_BX > 0, impulse_R)


def half_angles(n_fft: int, *, device: torch.device) -> Tensor:
    """Return w/2 of each frequency of an FFT."""
    steps_F = torch.arange(n_fft // 2 + 1, device=device, dtype=torch.float32)
    return steps_F * (math.pi / n_fft)


def peaking_BF(
    half_F: Tensor, hz_BK: Tensor, db_BK: Tensor, q_BK: Tensor, *, sample_rate_hz: int
) -> Tensor:
    """Return the response of peaking filters in a row."""
    response_BF = torch.ones((len(hz_BK), len(half_F)), dtype=torch.complex64, device=half_F.device)
    for hz_B, db_B, q_B in zip(hz_BK.T, db_BK.T, q_BK.T, strict=True):
        real_BF, cross_BF, _, _ = _prototype(half_F, hz_B, sample_rate_hz=sample_rate_hz)
        root_gain_B = 10.0 ** (db_B / 40.0)
        response_BF *= torch.complex(real_BF, cross_BF * (root_gain_B / q_B)[:, None])
        response_BF /= torch.complex(real_BF, cross_BF / (root_gain_B * q_B)[:, None])
    return response_BF


def high_pass_BF(half_F: Tensor, hz_B: Tensor, *, sample_rate_hz: int) -> Tensor:
    """Return the response of Butterworth high-passes of order 2."""
    real_BF, cross_BF, p_BF, _ = _prototype(half_F, hz_B, sample_rate_hz=sample_rate_hz)
    return -p_BF.square() / torch.complex(real_BF, cross_BF / _BUTTERWORTH_Q)


def low_pass_BF(half_F: Tensor, hz_B: Tensor, *, sample_rate_hz: int) -> Tensor:
    """Return the response of Butterworth low-passes of order 2."""
    real_BF, cross_BF, _, q_BF = _prototype(half_F, hz_B, sample_rate_hz=sample_rate_hz)
    return q_BF.square() / torch.complex(real_BF, cross_BF / _BUTTERWORTH_Q)


def _prototype(
    half_F: Tensor, hz_B: Tensor, *, sample_rate_hz: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return q^2 - p^2, p q, p and q: (1 + s^2) q^2 and s q^2 / j."""
    # Anything in place of a frequency that isn't used, so that no quotient is 0 / 0.
    half_B = hz_B.clamp(min=1.0) * (math.pi / sample_rate_hz)
    p_BF = half_F.sin() * half_B.cos()[:, None]
    q_BF = half_F.cos() * half_B.sin()[:, None]
    # sin(a - b) sin(a + b) = sin(a)^2 - sin(b)^2 without the cancellation of either.
    real_BF = (half_B[:, None] - half_F).sin() * (half_B[:, None] + half_F).sin()
    return real_BF, p_BF * q_BF, p_BF, q_BF

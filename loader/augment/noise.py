"""Noise at a signal-to-noise ratio.

With P the clip's mean square over its own samples, Q that of the noise over the same samples, and
R = 10**(snr_db / 10), the noise is multiplied with, and the clip with:

- `rms`: sqrt(P / (Q R)), and 1. The ratio of powers is R exactly. torchaudio's `add_noise`, Kaldi.
- `rms_floor`: sqrt((P + 1e-4) / ((Q + 1e-4) R)), and 1. clovaai/voxceleb_trainer and WeSpeaker:
  the floor lies at -40 dBFS, below which a clip gets more noise than the ratio says.
- `speechbrain`: f sqrt(P / Q), and 1 - f, with f = 1 / (sqrt(R) + 1). The ratio of powers is R, and
  the amplitudes add up to the clip's. SpeechBrain's AddNoise. Of several voices, each turns down
  the clip and the voices before it, so that all ratios hold in the end.

A noise without any power stays out.

Axes: B samples, T samples of a wave, V voices, N rows of a bank, S samples of one.
"""

import functools
from functools import partial

import numpy as np
import torch
from torch import Tensor

from loader.augment.recipe_wave import SnrFormula
from loader.augment.rows import Rows, is_own, power, with_changed_rows
from loader.augment.segments import segments_BT

_POWER_FLOOR = 1e-4
_PEAK_OFFSET = 1e-4
_LEAST_POWER = 1e-12
"""-120 dBFS: less than the rounding of 16 bits leaves of anything but silence."""


def snr_factors(
    formula: SnrFormula, *, clip_power_B: Tensor, noise_power_B: Tensor, snr_db_B: Tensor
) -> tuple[Tensor, Tensor]:
    """Return what the clip and what the noise is to be multiplied with."""
    ratio_B = 10.0 ** (snr_db_B / 20.0)
    is_noise_B = noise_power_B > _LEAST_POWER
    clip_factor_B = torch.ones_like(ratio_B)
    if formula == "rms_floor":
        quotient_B = (clip_power_B + _POWER_FLOOR) / (noise_power_B + _POWER_FLOOR)
        noise_factor_B = quotient_B.sqrt() / ratio_B
    elif formula == "speechbrain":
        share_B = 1.0 / (ratio_B + 1.0)
        noise_factor_B = share_B * (clip_power_B / noise_power_B.clamp(min=_LEAST_POWER)).sqrt()
        clip_factor_B = torch.where(is_noise_B, 1.0 - share_B, 1.0)
    else:
        quotient_B = clip_power_B / noise_power_B.clamp(min=_LEAST_POWER)
        noise_factor_B = quotient_B.sqrt() / ratio_B
    return clip_factor_B, noise_factor_B * is_noise_B


def add_noise(
    wave_BT: Tensor,
    num_samples_B: Tensor,
    bank_NS: Tensor,
    *,
    formula: SnrFormula,
    has_noise_BV: Tensor,
    row_BV: Tensor,
    share_BV: Tensor,
    snr_db_BV: Tensor,
) -> Tensor:
    """Return the waves with noise; each voice's ratio is to the clip without any of them."""
    clip_power_B = power(wave_BT, num_samples_B)
    clip_scale_B = torch.ones_like(clip_power_B)  # what the voices so far have turned it down to

    def with_voice(mixed_BT: Tensor, voice: int, rows: Rows) -> Tensor:
        noise_BT = segments_BT(
            bank_NS, row_BV[rows, voice], share_BV[rows, voice], num_samples=wave_BT.shape[1]
        )
        noise_BT *= is_own(num_samples_B[rows], wave_BT.shape[1])
        clip_factor_B, noise_factor_B = snr_factors(
            formula,
            clip_power_B=clip_power_B[rows],
            noise_power_B=power(noise_BT, num_samples_B[rows]),
            snr_db_B=snr_db_BV[rows, voice],
        )
        noise_factor_B = noise_factor_B * clip_scale_B[rows]
        is_on_B = has_noise_BV[rows, voice] > 0
        clip_scale_B[rows] = clip_scale_B[rows] * clip_factor_B.where(is_on_B, 1.0)
        return mixed_BT[rows] * clip_factor_B[:, None] + noise_BT * noise_factor_B[:, None]

    for voice in range(row_BV.shape[1]):
        wave_BT = with_changed_rows(
            wave_BT, has_noise_BV[:, voice] > 0, partial(with_voice, wave_BT, voice)
        )
    return wave_BT


def peak_normalised(wave_BT: Tensor) -> Tensor:
    """Return each wave divided by its peak plus 1e-4 (WeSpeaker, dataset/processor.py)."""
    return wave_BT / (wave_BT.abs().amax(dim=1, keepdim=True) + _PEAK_OFFSET)


def add_white_noise(
    wave_BT: Tensor, num_samples_B: Tensor, white_NS: Tensor, *, rms_B: Tensor, share_B: Tensor
) -> Tensor:
    """Return the waves with white noise of a level; `white_NS` is what `make_white_noise` made."""

    def with_white(rows: Rows) -> Tensor:
        noise_BT = segments_BT(
            white_NS, torch.zeros_like(share_B[rows]), share_B[rows], num_samples=wave_BT.shape[1]
        )
        noise_BT *= is_own(num_samples_B[rows], wave_BT.shape[1])
        return wave_BT[rows] + noise_BT * (rms_B[rows] / WHITE_NOISE_RMS)[:, None]

    return with_changed_rows(wave_BT, rms_B > 0, with_white)


WHITE_NOISE_RMS = 0.125
"""Level of what `make_white_noise` makes: 18 dB below full scale, so that nothing clips."""


@functools.lru_cache(maxsize=2)
def make_white_noise(num_samples: int) -> Tensor:
    """Return white Gaussian noise as a bank of one row: int16 (N=1, S), always the same.

    More of it begins with the same samples.

    Drawing new noise for each sample, keyed by it, would cost more than the rest of the chain. A
    window of a million samples or more that begins where the sample's key says is as good. The
    result is shared: leave it as it is.
    """
    bits = np.random.Philox(key=0).random_raw(2 * num_samples)
    uniform = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    radius = np.sqrt(-2.0 * np.log1p(-uniform[0::2]))
    normal = radius * np.cos(2.0 * np.pi * uniform[1::2])
    wave = np.clip(np.rint(normal * WHITE_NOISE_RMS * 32768.0), -32768, 32767)
    return torch.from_numpy(wave.astype(np.int16))[None]

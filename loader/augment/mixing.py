"""Mixing samples of a batch, and their targets.

Axes: B samples, T samples of a wave, M mel bands, F frames or frequencies, K labels,
X 1.
"""

import torch
from torch import Tensor

from loader.augment.parameters import MixParameters
from loader.augment.recipe_mix import Mix
from loader.augment.rows import PART_ROWS

_LEAST_DB = -80.0


def mix_waves(
    wave_BT: Tensor,
    num_samples_B: Tensor,
    parameters: MixParameters,
    mix: Mix,
    *,
    sample_rate_hz: int,
) -> tuple[Tensor, Tensor]:
    """Return each wave mixed with its partner, and the longer length of both."""
    partner_B = parameters.partner_B.long()
    is_mixed_B = parameters.weight_B < 1
    own_B, other_B = parameters.weight_B, 1 - parameters.weight_B
    if mix.mode == "energy":
        level_db_B = loudest_frame_db(wave_BT, sample_rate_hz=sample_rate_hz)
        own_B, other_B = energy_weights(parameters.weight_B, level_db_B, level_db_B[partner_B])
    mixed_BT = wave_BT * own_B[:, None]
    mixed_BT.addcmul_(wave_BT[partner_B], other_B[:, None])
    longer_B = torch.maximum(num_samples_B, num_samples_B[partner_B])
    return mixed_BT, longer_B.where(is_mixed_B, num_samples_B)


def mix_mels(mel_BMF: Tensor, parameters: MixParameters) -> Tensor:
    """Return each spectrogram mixed with its partner's."""
    return torch.lerp(
        mel_BMF[parameters.partner_B.long()], mel_BMF, parameters.weight_B[:, None, None]
    )


def mix_targets(target_BK: Tensor, parameters: MixParameters, mix: Mix) -> Tensor:
    """Return the targets of the mixed samples, by the recipe's rule."""
    other_BK = target_BK[parameters.partner_B.long()]
    weight_BX = parameters.weight_B[:, None]
    if mix.targets == "union":
        return torch.maximum(target_BK, other_BK).where(weight_BX < 1, target_BK)
    return torch.lerp(other_BK, target_BK, weight_BX)


def energy_weights(
    ratio_B: Tensor, level_db_B: Tensor, other_level_db_B: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the factors of both waves in between-class learning.

    t = 1 / (1 + 10**((G1 - G2) / 20) (1 - r) / r), divided by sqrt(t^2 + (1 - t)^2): the louder
    wave is turned down, so that r is what one hears, and two waves that have nothing in common keep
    their energy (Tokozume et al., ICLR 2018; bc_learning_sound utils.py).
    """
    ratio_B = ratio_B.clamp(min=1e-6)
    louder_B = 10.0 ** ((level_db_B - other_level_db_B) / 20.0)
    own_B = 1.0 / (1.0 + louder_B * (1.0 - ratio_B) / ratio_B)
    norm_B = torch.hypot(own_B, 1.0 - own_B)
    return own_B / norm_B, (1.0 - own_B) / norm_B


def loudest_frame_db(wave_BT: Tensor, *, sample_rate_hz: int) -> Tensor:
    """Return each clip's largest A-weighted energy of a frame in dB, as bc_learning_sound has it.

    Frames of 2048 samples (4096 above 24 kHz), half of that apart, under a Hann window.
    """
    n_fft = 2048 if sample_rate_hz <= 24000 else 4096
    missing = max(0, n_fft - wave_BT.shape[1])
    wave_BT = torch.nn.functional.pad(wave_BT, (0, missing))
    window = torch.hann_window(n_fft, device=wave_BT.device, dtype=torch.float32)
    weight_F = a_weighting(n_fft, sample_rate_hz=sample_rate_hz, device=wave_BT.device)
    num_rows = PART_ROWS if wave_BT.device.type == "cpu" else len(wave_BT)
    levels = []
    for part_BT in torch.split(wave_BT, num_rows):
        spectrum = torch.fft.rfft(part_BT.unfold(1, n_fft, n_fft // 2) * window)
        levels.append(((spectrum.real.square() + spectrum.imag.square()) @ weight_F).amax(dim=1))
    return 10.0 * torch.cat(levels).clamp(min=10.0 ** (_LEAST_DB / 10.0)).log10()


def a_weighting(n_fft: int, *, sample_rate_hz: int, device: torch.device) -> Tensor:
    """Return the A weight of each frequency's power (IEC 61672-1), at least -80 dB."""
    hz_F = torch.arange(n_fft // 2 + 1, device=device, dtype=torch.float32)
    # In units of 1 kHz, so that the fourth power stays in float32.
    square_F = (hz_F * (sample_rate_hz / n_fft / 1000.0)).square()
    amplitude_F = (
        12.194**2
        * square_F.square()
        / (
            (square_F + 0.020598997**2)
            * ((square_F + 0.10765265**2) * (square_F + 0.73786223**2)).sqrt()
            * (square_F + 12.194217**2)
        )
    )
    power_F: Tensor = amplitude_F.square() * 10.0**0.2
    return power_F.clamp(min=10.0 ** (_LEAST_DB / 10.0))

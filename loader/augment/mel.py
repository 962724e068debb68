"""What is done to spectrograms, in the order of the recipe. Pure.

Axes: B samples, M mel bands, F frames, J masks, X 1.
"""

import math

import torch
from torch import Tensor

from loader.augment.parameters import MelParameters
from loader.augment.recipe import AugmentRecipe
from loader.augment.recipe_mel import SpecAugment


def mix_styles(mel_BMF: Tensor, num_frames_B: Tensor, parameters: MelParameters) -> Tensor:
    """Return spectrograms whose bands have means and deviations mixed with their partners'.

    Frames beyond a clip's end don't count, and stay as they are.
    """
    is_own_BF = torch.arange(mel_BMF.shape[2], device=mel_BMF.device) < num_frames_B[:, None]
    count_BX = num_frames_B.clamp(min=1)[:, None]
    mean_BM = (mel_BMF * is_own_BF[:, None]).sum(dim=2) / count_BX
    centred_BMF = mel_BMF - mean_BM[..., None]
    square_BM = (centred_BMF * is_own_BF[:, None]).square().sum(dim=2)
    std_BM = (square_BM / (count_BX - 1).clamp(min=1) + _LEAST_VARIANCE).sqrt()
    partner_B = parameters.style_partner_B.long()
    weight_BX = parameters.style_weight_B[:, None]
    mixed_std_BM = torch.lerp(std_BM[partner_B], std_BM, weight_BX)
    mixed_mean_BM = torch.lerp(mean_BM[partner_B], mean_BM, weight_BX)
    result_BMF = centred_BMF * (mixed_std_BM / std_BM)[..., None] + mixed_mean_BM[..., None]
    is_changed_BF = is_own_BF & (weight_BX < 1)
    return result_BMF.where(is_changed_BF[:, None], mel_BMF)


_LEAST_VARIANCE = 1e-6


def is_masked(
    mel_BMF: Tensor, num_frames_B: Tensor, parameters: MelParameters, setting: SpecAugment
) -> Tensor:
    """Return which values the masks cover: bool (B, M, F).

    Widths are whole numbers from 0 to the maximum, all alike; places are those where a mask fits.
    """
    width_BJ, place_BJ, height_BJ, level_BJ = parameters.mask_BJQ.unbind(dim=2)
    times, bands, cutouts = setting.num_time_masks, setting.num_band_masks, setting.num_cutouts
    most_frames_B = (num_frames_B.float() * setting.max_time_share).floor()
    time_BJF = _spans(
        width_BJ, place_BJ, most_frames_B.clamp(max=setting.max_time_frames), num_frames_B,
        mel_BMF.shape[2],
    )  # fmt: skip
    cutout_time_BJF = _spans(
        width_BJ, place_BJ, num_frames_B.clamp(max=setting.max_cutout_frames), num_frames_B,
        mel_BMF.shape[2],
    )  # fmt: skip
    num_mels_B = torch.full_like(num_frames_B, mel_BMF.shape[1])
    most_mels_B = (num_mels_B.float() * setting.max_band_share).floor()
    band_BJM = _spans(
        height_BJ, level_BJ, most_mels_B.clamp(max=setting.max_bands), num_mels_B, mel_BMF.shape[1]
    )
    cutout_band_BJM = _spans(
        height_BJ, level_BJ, num_mels_B.clamp(max=setting.max_cutout_bands), num_mels_B,
        mel_BMF.shape[1],
    )  # fmt: skip
    is_masked_BMF = time_BJF[:, :times].any(dim=1)[:, None, :]
    is_masked_BMF = is_masked_BMF | band_BJM[:, times : times + bands].any(dim=1)[:, :, None]
    for cutout in range(times + bands, times + bands + cutouts):
        is_masked_BMF = is_masked_BMF | (
            cutout_band_BJM[:, cutout, :, None] & cutout_time_BJF[:, cutout, None, :]
        )
    return is_masked_BMF & (parameters.has_masks_B > 0)[:, None, None]


def _spans(
    width_BJ: Tensor, place_BJ: Tensor, most_B: Tensor, length_B: Tensor, size: int
) -> Tensor:
    """Return spans of random width and place in `length_B` as bool (B, J, size)."""
    # Products can round up to the next whole number in float32.
    widest_BX = most_B[:, None]
    span_BJ = torch.minimum((width_BJ * (widest_BX + 1)).floor(), widest_BX)
    last_BJ = length_B[:, None] - span_BJ
    first_BJ = torch.minimum((place_BJ * (last_BJ + 1)).floor(), last_BJ)
    index = torch.arange(size, device=width_BJ.device)
    return (index >= first_BJ[..., None]) & (index < (first_BJ + span_BJ)[..., None])


def augment_mel(
    mel_BMF: Tensor,
    num_frames_B: Tensor,
    parameters: MelParameters,
    recipe: AugmentRecipe,
    *,
    units_per_db: float,
    mask_value: float | None,
) -> Tensor:
    """Return the augmented log-mel spectrograms, not yet mixed.

    Args:
        mel_BMF: float32, logarithmic.
        num_frames_B: How many frames of each row are the clip's; the rest stays as it is.
        parameters: What to do, on the same device.
        recipe: What the parameters were drawn from.
        units_per_db: What 1 dB is in the spectrogram's units, see `units_per_db`.
        mask_value: What masks are filled with; None: each clip's mean.
    """
    if recipe.freq_mix_style is not None:
        mel_BMF = mix_styles(mel_BMF, num_frames_B, parameters)
    if recipe.filter_augment is not None:
        is_own_BF = torch.arange(mel_BMF.shape[2], device=mel_BMF.device) < num_frames_B[:, None]
        gain_BMX = (parameters.filter_db_BM * units_per_db)[..., None]
        mel_BMF = mel_BMF + gain_BMX * is_own_BF[:, None]
    if recipe.spec_augment is not None:
        is_masked_BMF = is_masked(mel_BMF, num_frames_B, parameters, recipe.spec_augment)
        if mask_value is None:
            mel_BMF = means_BXX(mel_BMF, num_frames_B).where(is_masked_BMF, mel_BMF)
        else:
            mel_BMF = mel_BMF.masked_fill(is_masked_BMF, mask_value)
    return mel_BMF


def means_BXX(mel_BMF: Tensor, num_frames_B: Tensor) -> Tensor:
    """Return the mean of each clip's spectrogram over bands and its own frames."""
    is_own_BF = torch.arange(mel_BMF.shape[2], device=mel_BMF.device) < num_frames_B[:, None]
    sum_B = (mel_BMF * is_own_BF[:, None]).sum(dim=(1, 2))
    return (sum_B / (num_frames_B.clamp(min=1) * mel_BMF.shape[1]))[:, None, None]


def units_per_db(*, log_factor: float, std: float, of_magnitude: bool = False) -> float:
    """Return what 1 dB is in the units of a log-mel front end.

    Args:
        log_factor: What the front end multiplies the natural logarithm with: 1, or 10 / ln(10) for
            dB, or 1 / ln(10) for log10.
        std: What it divides the result by.
        of_magnitude: Whether it weighs magnitudes instead of powers.
    """
    return math.log(10.0) / 10.0 * log_factor / std / (2.0 if of_magnitude else 1.0)

"""What is done to waves, in the order of the recipe. Pure: all that is random is in the parameters.

Axes: B samples, T samples of a wave, R samples of a response, F frequencies,
N rows of a bank, S samples of one, X 1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from loader.augment.noise import add_noise, add_white_noise, peak_normalised
from loader.augment.parameters import WaveParameters
from loader.augment.recipe import AugmentRecipe
from loader.augment.responses import (
    convolve,
    fast_length,
    half_angles,
    high_pass_BF,
    low_pass_BF,
    peaking_BF,
    tail_samples,
    unit_energy,
)
from loader.augment.rows import PART_ROWS, Rows, is_own, with_changed_rows
from loader.augment.segments import INT16_FULL_SCALE
from loader.augment.speed import change_speed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BankContents:
    """What the banks hold in an epoch, on the batch's device; int16, None where there is none.

    Attributes:
        noise_NS: Noises.
        device_NS: Impulse responses of devices.
        room_NS: Impulse responses of rooms.
        white_NS: White noise.
    """

    noise_NS: Tensor | None = None
    device_NS: Tensor | None = None
    room_NS: Tensor | None = None
    white_NS: Tensor | None = None


def augment_wave(
    wave_BT: Tensor,
    num_samples_B: Tensor,
    parameters: WaveParameters,
    recipe: AugmentRecipe,
    banks: BankContents,
    *,
    sample_rate_hz: int,
) -> tuple[Tensor, Tensor]:
    """Return the augmented waves as float32, and their lengths.

    What lies beyond a clip's end stays 0 and counts for no level. Nothing is clipped: float32 has
    room above 1.

    Args:
        wave_BT: int16, or floating point in [-1, 1); 0 beyond each clip's end.
        num_samples_B: int64: how many samples of each row are the clip's.
        parameters: What to do, on the same device.
        recipe: What the parameters were drawn from.
        banks: Noises and responses.
        sample_rate_hz: Rate of the waves.
    """
    if wave_BT.device.type != "cpu" or len(wave_BT) <= PART_ROWS:
        return _augment(wave_BT, num_samples_B, parameters, recipe, banks, sample_rate_hz)
    result_BT = torch.empty(wave_BT.shape, dtype=torch.float32)
    result_samples_B = torch.empty_like(num_samples_B)
    for first in range(0, len(wave_BT), PART_ROWS):
        part = slice(first, first + PART_ROWS)
        result_BT[part], result_samples_B[part] = _augment(
            wave_BT[part], num_samples_B[part], parameters.rows(part), recipe, banks, sample_rate_hz
        )
    return result_BT, result_samples_B


def _augment(
    wave_BT: Tensor,
    num_samples_B: Tensor,
    parameters: WaveParameters,
    recipe: AugmentRecipe,
    banks: BankContents,
    sample_rate_hz: int,
) -> tuple[Tensor, Tensor]:
    is_integer = wave_BT.dtype == torch.int16
    wave_BT = wave_BT.float().div_(INT16_FULL_SCALE) if is_integer else wave_BT.float()
    if recipe.remove_mean:
        wave_BT = without_mean(wave_BT, num_samples_B)
    if recipe.speed is not None:
        wave_BT, num_samples_B = change_speed(
            wave_BT, num_samples_B, factors=recipe.speed.factors, index_B=parameters.speed_index_B
        )
    if recipe.roll is not None:
        wave_BT = rolled(
            wave_BT,
            num_samples_B,
            shift_samples_B=parameters.roll_samples_B,
            shift_share_B=parameters.roll_share_B,
        )
    if recipe.gain is not None or recipe.polarity is not None:
        wave_BT = wave_BT * parameters.factor_B[:, None]
    wave_BT = _filtered(wave_BT, num_samples_B, parameters, recipe, banks, sample_rate_hz)
    return _with_noise(wave_BT, num_samples_B, parameters, recipe, banks), num_samples_B


def _with_noise(
    wave_BT: Tensor,
    num_samples_B: Tensor,
    parameters: WaveParameters,
    recipe: AugmentRecipe,
    banks: BankContents,
) -> Tensor:
    if recipe.noise is not None and banks.noise_NS is not None:
        wave_BT = add_noise(
            wave_BT,
            num_samples_B,
            banks.noise_NS,
            formula=recipe.noise.formula,
            has_noise_BV=parameters.has_noise_BV,
            row_BV=parameters.noise_row_BV,
            share_BV=parameters.noise_share_BV,
            snr_db_BV=parameters.snr_db_BV,
        )
    if recipe.normalise_peaks:
        wave_BT = _with_peaks(wave_BT, parameters)
    if recipe.white_noise is not None and banks.white_NS is not None:
        wave_BT = add_white_noise(
            wave_BT,
            num_samples_B,
            banks.white_NS,
            rms_B=parameters.white_rms_B,
            share_B=parameters.white_share_B,
        )
    return wave_BT


def _with_peaks(wave_BT: Tensor, parameters: WaveParameters) -> Tensor:
    is_changed_B = (parameters.has_room_B > 0) | (parameters.has_noise_BV > 0).any(dim=1)
    return with_changed_rows(wave_BT, is_changed_B, lambda rows: peak_normalised(wave_BT[rows]))


def without_mean(wave_BT: Tensor, num_samples_B: Tensor) -> Tensor:
    """Return each clip less its mean; what lies beyond it stays 0."""
    mean_B = wave_BT.sum(dim=1) / num_samples_B.clamp(min=1)
    return (wave_BT - mean_B[:, None]) * is_own(num_samples_B, wave_BT.shape[1])


def rolled(
    wave_BT: Tensor, num_samples_B: Tensor, *, shift_samples_B: Tensor, shift_share_B: Tensor
) -> Tensor:
    """Return each clip turned around within its own length, to later times by the shift."""
    shift_B = shift_samples_B.long() + (shift_share_B * num_samples_B).long()
    if wave_BT.device.type == "cpu" and not torch.compiler.is_compiling():
        return _rolled_by_row(wave_BT, num_samples_B, shift_B)

    # A clip that stays turns by 0: no need to put its row back.
    place_T = torch.arange(wave_BT.shape[1], device=wave_BT.device)
    length_BX = num_samples_B[:, None].clamp(min=1)
    from_BT = (place_T - shift_B[:, None]) % length_BX
    return wave_BT.gather(1, from_BT.where(place_T < length_BX, place_T))


def _rolled_by_row(wave_BT: Tensor, num_samples_B: Tensor, shift_B: Tensor) -> Tensor:
    """Return the same by copies: one gather over all places takes 5 times as long on a CPU."""
    result_BT = wave_BT.clone()
    sizes = zip(num_samples_B.tolist(), shift_B.tolist(), strict=True)
    for row, (num_samples, shift) in enumerate(sizes):
        if num_samples and shift % num_samples:
            result_BT[row, :num_samples] = wave_BT[row, :num_samples].roll(shift)
    return result_BT


def _filtered(
    wave_BT: Tensor,
    num_samples_B: Tensor,
    parameters: WaveParameters,
    recipe: AugmentRecipe,
    banks: BankContents,
    sample_rate_hz: int,
) -> Tensor:
    """Return the waves through equaliser, band-pass, device and room."""
    device_NS = banks.device_NS if recipe.device is not None else None
    room_NS = banks.room_NS if recipe.room is not None else None
    tail = tail_samples(recipe, sample_rate_hz=sample_rate_hz)
    tail += sum(bank_NS.shape[1] for bank_NS in (device_NS, room_NS) if bank_NS is not None)
    if not tail:
        return wave_BT
    n_fft = fast_length(tail)
    is_on_B = (
        parameters.equalizer_db_BK.ne(0).any(dim=1)
        | (parameters.has_band_pass_B > 0)
        | (parameters.has_device_B > 0)
        | (parameters.has_room_B > 0)
    )

    def filtered(rows: Rows) -> Tensor:
        response_BF = _filter_response_BF(
            parameters, rows, recipe, n_fft=n_fft, sample_rate_hz=sample_rate_hz
        )
        for bank_NS, has_B, row_B in (
            (device_NS, parameters.has_device_B, parameters.device_row_B),
            (room_NS, parameters.has_room_B, parameters.room_row_B),
        ):
            if bank_NS is not None:
                impulse_BR = unit_energy(bank_NS[row_B[rows].long()].float())
                own_BF = torch.fft.rfft(impulse_BR, n_fft)
                response_BF = response_BF * own_BF.where(has_B[rows, None] > 0, 1.0)
        result_BT = convolve(wave_BT[rows], torch.fft.irfft(response_BF, n_fft))
        return result_BT * is_own(num_samples_B[rows], wave_BT.shape[1])

    return with_changed_rows(wave_BT, is_on_B, filtered)


def _filter_response_BF(
    parameters: WaveParameters,
    rows: Rows,
    recipe: AugmentRecipe,
    *,
    n_fft: int,
    sample_rate_hz: int,
) -> Tensor:
    """Return the response of equaliser and band-pass, 1 where there is neither."""
    half_F = half_angles(n_fft, device=parameters.low_hz_B.device)
    response_BF = peaking_BF(
        half_F,
        parameters.equalizer_hz_BK[rows],
        parameters.equalizer_db_BK[rows],
        parameters.equalizer_q_BK[rows],
        sample_rate_hz=sample_rate_hz,
    )
    if recipe.band_pass is None:
        return response_BF
    low_hz_B, high_hz_B = parameters.low_hz_B[rows], parameters.high_hz_B[rows]
    band_BF = high_pass_BF(half_F, low_hz_B, sample_rate_hz=sample_rate_hz)
    band_BF = band_BF * low_pass_BF(half_F, high_hz_B, sample_rate_hz=sample_rate_hz)
    return response_BF * band_BF.where(parameters.has_band_pass_B[rows, None] > 0, 1.0)

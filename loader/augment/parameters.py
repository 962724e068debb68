"""What was drawn for a batch: kept for replay, moved to the device in one copy.

All values are float32 tensors with one row for each sample, so that a batch's parameters are one
matrix on their way to the device. Whole numbers in them are below 2**24, where float32 is exact.

Axes: B samples, K equaliser bands, V voices of noise, M mel bands, J masks, Q 4.
"""

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from torch import Tensor

_Parameters = TypeVar("_Parameters", "WaveParameters", "MixParameters", "MelParameters")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WaveParameters:
    """What is done to each wave.

    Attributes:
        speed_index_B: Place of its speed in the recipe's factors.
        roll_samples_B: Shift in samples; what goes out at the end comes in at the front.
        roll_share_B: Further shift, as share of the clip's length.
        factor_B: Gain and polarity: what each sample is multiplied with.
        equalizer_hz_BK: Frequency of each peaking filter.
        equalizer_db_BK: Its gain; 0 changes nothing.
        equalizer_q_BK: Its Q.
        has_band_pass_B: 0 or 1.
        low_hz_B: Where the band-pass begins.
        high_hz_B: Where it ends.
        has_device_B: 0 or 1.
        device_row_B: Row of the bank.
        has_room_B: 0 or 1.
        room_row_B: Row of the bank.
        has_noise_BV: 0 or 1.
        noise_row_BV: Row of the bank.
        noise_share_BV: Where the noise begins, as share of the row's places.
        snr_db_BV: Signal-to-noise ratio of each voice.
        white_rms_B: Level of white noise; 0 for none.
        white_share_B: Where the white noise begins.
    """

    speed_index_B: Tensor
    roll_samples_B: Tensor
    roll_share_B: Tensor
    factor_B: Tensor
    equalizer_hz_BK: Tensor
    equalizer_db_BK: Tensor
    equalizer_q_BK: Tensor
    has_band_pass_B: Tensor
    low_hz_B: Tensor
    high_hz_B: Tensor
    has_device_B: Tensor
    device_row_B: Tensor
    has_room_B: Tensor
    room_row_B: Tensor
    has_noise_BV: Tensor
    noise_row_BV: Tensor
    noise_share_BV: Tensor
    snr_db_BV: Tensor
    white_rms_B: Tensor
    white_share_B: Tensor

    def rows(self, part: slice) -> "WaveParameters":
        """Return the parameters of some rows."""
        return replace(
            self, **{field.name: getattr(self, field.name)[part] for field in fields(self)}
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MixParameters:
    """Which sample each is mixed with, and how much of each is in the mix.

    Attributes:
        partner_B: Row of the partner in the batch.
        weight_B: The sample's own weight; 1 where it is not mixed.
    """

    partner_B: Tensor
    weight_B: Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MelParameters:
    """What is done to each spectrogram.

    Attributes:
        style_partner_B: Row in the batch of the sample that lends its statistics.
        style_weight_B: Weight of a sample's own statistics; 1 changes nothing.
        filter_db_BM: Gain of each mel band.
        has_masks_B: 0 or 1.
        mask_BJQ: For each mask four numbers in [0, 1): width and place in time, height and place
            in frequency. Their order is time masks, band masks, cutouts.
    """

    style_partner_B: Tensor
    style_weight_B: Tensor
    filter_db_BM: Tensor
    has_masks_B: Tensor
    mask_BJQ: Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AugmentParameters:
    """All that was drawn for a batch.

    Attributes:
        epoch: The epoch that it was drawn for, which decides what the banks hold.
        wave: What is done to waves.
        mix: Who is mixed with whom.
        mel: What is done to spectrograms.
    """

    epoch: int
    wave: WaveParameters
    mix: MixParameters
    mel: MelParameters

    def to(self, device: torch.device | str) -> "AugmentParameters":
        """Return the parameters on a device. They travel as one matrix, and nothing waits."""
        if torch.device(device) == self.mix.weight_B.device:
            return self
        table_BP = self.packed_BP()
        if torch.device(device).type == "cuda" and table_BP.device.type == "cpu":
            table_BP = table_BP.pin_memory()
        return self.unpacked(table_BP.to(device, non_blocking=True))

    def packed_BP(self) -> Tensor:
        """Return all values as one float32 matrix, a row for each sample."""
        parts = [*_columns(self.wave), *_columns(self.mix), *_columns(self.mel)]
        return torch.cat(parts, dim=1)

    def unpacked(self, table_BP: Tensor) -> "AugmentParameters":
        """Return parameters of the same shapes with the values of a matrix, as views of it."""
        parts = (_columns(self.wave), _columns(self.mix), _columns(self.mel))
        widths = [sum(column.shape[1] for column in part) for part in parts]
        wave, mix, mel = torch.split(table_BP, widths, dim=1)
        return replace(
            self,
            wave=_with_columns(self.wave, wave),
            mix=_with_columns(self.mix, mix),
            mel=_with_columns(self.mel, mel),
        )


def _columns(parameters: _Parameters) -> list[Tensor]:
    values = [getattr(parameters, field.name) for field in fields(parameters)]
    return [value.flatten(1) if value.ndim > 1 else value[:, None] for value in values]


def _with_columns(parameters: _Parameters, table_BP: Tensor) -> _Parameters:
    names = [field.name for field in fields(parameters)]
    widths = [column.shape[1] for column in _columns(parameters)]
    columns = torch.split(table_BP, widths, dim=1)
    values = {
        name: column.reshape(getattr(parameters, name).shape)
        for name, column in zip(names, columns, strict=True)
    }
    return replace(parameters, **values)

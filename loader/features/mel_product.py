"""The product of power spectra and mel filters, whatever the precision of products is set to.

PyTorch's global flags (`set_float32_matmul_precision`, `allow_tf32`) let a product of float32
matrices round its inputs to 11 bits on CUDA and to 8 on some CPUs. A user sets them for the
network; a front end must not change with them, so neither way below depends on them:

    CPU        in float64, which no flag touches
    elsewhere  each factor as the sum of two numbers that TF32 holds without rounding (the higher
               11 bits and the rest): three products, wrong by less than 2^-20
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_MELS_IN_BAND = 16
# float32 keeps 23 bits behind the point, TF32 the first 10 of them.
_TF32_BITS = ~((1 << 13) - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Some neighbouring filters and the bins outside of which all of them are zero."""

    mels: slice
    bins: slice


def bands_of(bank_MS: Tensor) -> tuple[Band, ...]:
    """Return the filters in groups, with the bins that each group needs, at least one.

    Most of a bank is zeros: of 64 filters a quarter of the products is left over, of 128 an eighth.
    """
    bands = []
    for start in range(0, bank_MS.shape[0], _MELS_IN_BAND):
        mels = slice(start, min(start + _MELS_IN_BAND, bank_MS.shape[0]))
        used = bank_MS[mels].any(dim=0).nonzero().flatten().tolist() or [0]
        bands.append(Band(mels=mels, bins=slice(used[0], used[-1] + 1)))
    return tuple(bands)


def exact_product(left: Tensor, right: Tensor) -> Tensor:
    """Return left @ right in float32, to float32's precision under any flags."""
    if left.device.type == "cpu":
        return (left.double() @ right.double()).float()
    return split_product(left, right)


def split_product(left: Tensor, right: Tensor) -> Tensor:
    """Return left @ right from products of numbers that TF32 holds without rounding."""
    left_high, right_high = tf32_part(left), tf32_part(right)
    left_low, right_low = left - left_high, right - right_high
    # The gradient goes through the last product alone, hence the whole of `right` there.
    return left_high @ right_high + (left_high @ right_low + left_low @ right)


def tf32_part(values: Tensor) -> Tensor:
    """Return float32 values with all bits cleared that TF32 does not keep."""
    return (values.detach().view(torch.int32) & _TF32_BITS).view(torch.float32)

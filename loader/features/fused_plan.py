"""What the fused kernel works from: its factors of the FFT, where bins lie, and its tables.

A frame of n_fft = 2 n1 n2 real samples is a complex sequence z of half that length, even samples
beside odd ones. With n = n2 j + l and k = k1 + n1 k2, its transform takes two steps:

    Z[k] = sum over l of W^(l k2) ( w^(l k1)  sum over j of z[n] W^(j k1) )

each a short FFT over what one thread holds. Then a bin k and its mirror image come from the same
two numbers, e and d being the sum and the difference of Z[k] and the conjugate of Z[n1 n2 - k]:

    2 X[k] = e + t,   2 X[n1 n2 - k] = conj(e - t),   t = -i exp(-2 pi i k / n_fft) d

The thread of lane j holds k1 = j and k1 = n1 - j, which are each other's images; lane 0 holds
k1 = 0 and n1 / 2, images of themselves. Slot s of a lane is one pair of bins. One step of all lanes
is a tile: neighbouring bins, with few exceptions, so that a mel filter touches few tiles.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from loader.features.config import LogMelConfig
from loader.features.windows import make_window

# n1 and n2 by n_fft: what a thread holds at once fits its registers.
_FACTORS = {512: (16, 16), 1024: (32, 16)}
MELS_IN_GROUP = 32

# For each group of filters the first row of its weights, their number, and for each of its filters
# the rows in the group and the tiles that they weigh.
Groups = tuple[tuple[int, int, tuple[tuple[tuple[int, int], ...], ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedPlan:
    """Factors and tables of one front end.

    Attributes:
        n1: Length of the first step's FFTs, twice the number of lanes.
        n2: Length of the second step's.
        groups: Tiles that each mel filter touches, and where their weights stand.
        window_N: The window, followed by zeros.
        twiddles: w^(l k1), real and imaginary parts, [2, n1, n2].
        turns: -i exp(-2 pi i k / n_fft) for the first bin of each pair, [2, n2, n1 / 2].
        weights: Filters' weights of the tiles that they touch, one row each; the rows of a group
            are filled up to a power of two, as Triton has it.
    """

    n1: int
    n2: int
    groups: Groups
    window_N: Tensor
    twiddles: Tensor
    turns: Tensor
    weights: Tensor


def check_fusable(config: LogMelConfig) -> None:
    """Refuse a front end that the kernel can't compute.

    Raises:
        ValueError: with the setting and the reason.
    """
    reasons = {
        f"n_fft={config.n_fft}: its FFT has {' or '.join(map(str, _FACTORS))} points": (
            config.n_fft not in _FACTORS
        ),
        f"clip_samples={config.clip_samples}: it doesn't cut or fill clips": (
            config.clip_samples is not None
        ),
        f"preemphasis={config.preemphasis!r}: it emphasises within frames only": (
            config.preemphasis in ("clip", "clip_short")
        ),
        "remove_clip_mean without preemphasis='frame': it removes means of frames only": (
            config.remove_clip_mean and config.preemphasis != "frame"
        ),
        f"max_range={config.max_range}: it doesn't know a clip's peak": (
            config.max_range is not None
        ),
        f"clip_norm={config.clip_norm!r}: it doesn't know a clip's mean": (
            config.clip_norm != "none"
        ),
    }
    found = [reason for reason, applies in reasons.items() if applies]
    if found:
        raise ValueError(f"the fused kernel can't compute {'; nor '.join(found)}. Use LogMel")


def make_plan(config: LogMelConfig, bank_MS: Tensor) -> FusedPlan:
    """Return the plan of a front end.

    Args:
        config: Its settings.
        bank_MS: Its mel filters, float64.

    Raises:
        ValueError: the kernel can't compute it.
    """
    check_fusable(config)
    if bank_MS[:, -1].any():
        raise ValueError(
            "the fused kernel leaves out the bin at half the sample rate, to which this mel bank "
            "gives a weight. Use LogMel"
        )
    n1, n2 = _FACTORS[config.n_fft]
    bins_TL = tile_bins(n1, n2)
    window_N = torch.zeros(config.n_fft, dtype=torch.float64)
    window_N[: config.window_samples] = make_window(
        config.window, config.window_samples, periodic=config.periodic_window
    )
    # In float64 up to the tables: whole numbers times a float would be of torch's default dtype.
    angles = torch.outer(torch.arange(n1), torch.arange(n2)).double() * (2 * math.pi / (n1 * n2))
    first_bins = bins_TL[:n2].double() * (2 * math.pi / config.n_fft)
    # The pairs' sums are twice the spectrum: four times its power.
    groups, weights = _filters(bank_MS * (0.5 if config.magnitude else 0.25), bins_TL)
    return FusedPlan(
        n1=n1,
        n2=n2,
        groups=groups,
        window_N=window_N.float(),
        twiddles=torch.stack([angles.cos(), -angles.sin()]).float(),
        turns=torch.stack([-first_bins.sin(), -first_bins.cos()]).float(),
        weights=weights.float(),
    )


def tile_bins(n1: int, n2: int) -> Tensor:
    """Return the bin that each tile has in each lane: first ones of pairs, then their images.

    Every bin is there once. The image of bin 0 would be that at half the sample rate; in its place
    stands the middle bin, which is its own image.
    """
    slot_T = torch.arange(n2)[:, None]
    lane_L = torch.arange(n1 // 2)[None]
    # Lane 0 has its own two sequences one after the other, in the order nearest to its neighbours.
    own_T = n1 * slot_T + torch.where(slot_T < n2 // 2, 0, n1 // 2)
    first_TL = torch.where(lane_L == 0, own_T, n1 * slot_T + lane_L)
    image_TL = n1 * n2 - first_TL
    image_TL[0, 0] = n1 * n2 // 2
    return torch.cat([first_TL, image_TL])


def _filters(bank_MS: Tensor, bins_TL: Tensor) -> tuple[Groups, Tensor]:
    groups, tables, start = [], [], 0
    for filters_MS in torch.split(bank_MS, MELS_IN_GROUP):
        mels: list[tuple[tuple[int, int], ...]] = []
        rows: list[Tensor] = []
        for weights_TL in filters_MS[:, bins_TL]:
            touched = weights_TL.any(dim=1).nonzero().flatten().tolist()
            mels.append(tuple((len(rows) + number, tile) for number, tile in enumerate(touched)))
            rows.extend(weights_TL[touched])
        mels += [()] * (MELS_IN_GROUP - len(mels))
        num_rows = 1 << max(0, len(rows) - 1).bit_length()
        table = torch.zeros(num_rows, bins_TL.shape[1], dtype=torch.float64)
        table[: len(rows)] = torch.stack(rows)
        groups.append((start, num_rows, tuple(mels)))
        tables.append(table)
        start += num_rows
    return tuple(groups), torch.cat(tables)

"""Standardisation by a clip's own statistics or by given ones; frames beyond a clip don't count."""

import torch
from torch import Tensor, nn

# NeMo's, and enough for digital silence, whose bands don't vary.
_STD_OFFSET = 1e-5
# Kaldi's, in SlidingWindowCmn.
_VARIANCE_FLOOR = 1e-10


def standardised_clips(x_BMF: Tensor, is_own_BF: Tensor | None, *, with_std: bool) -> Tensor:
    """Return each band less its mean over the clip's own frames, and 0 in the others.

    Args:
        x_BMF: Features.
        is_own_BF: Which frames are the clip's own; None means all.
        with_std: Divide by the standard deviation too: of n - 1, plus 1e-5.
    """
    if is_own_BF is None:
        is_own_BF = torch.ones_like(x_BMF[:, 0], dtype=torch.bool)
    own_BMF = is_own_BF[:, None].to(x_BMF.dtype)
    count_BMF = own_BMF.sum(dim=2, keepdim=True)
    mean_BMF = (x_BMF * own_BMF).sum(dim=2, keepdim=True) / count_BMF.clamp(min=1)
    x_BMF = (x_BMF - mean_BMF) * own_BMF
    if with_std:
        square_BMF = x_BMF.square().sum(dim=2, keepdim=True)
        x_BMF = x_BMF / ((square_BMF / (count_BMF - 1).clamp(min=1)).sqrt() + _STD_OFFSET)
    return x_BMF


def cmvn(x_BMF: Tensor, num_frames_B: Tensor | None = None, *, with_std: bool = False) -> Tensor:
    """Return features less each band's mean over its clip (cepstral mean normalisation).

    Args:
        x_BMF: Log-mels or MFCCs.
        num_frames_B: Own frames of each clip; the others become 0. None means all are.
        with_std: Divide by the standard deviation too: of n - 1, plus 1e-5.
    """
    return standardised_clips(x_BMF, _own_frames(x_BMF, num_frames_B), with_std=with_std)


def sliding_cmvn(
    x_BMF: Tensor,
    num_frames_B: Tensor | None = None,
    *,
    window_frames: int = 300,
    centred: bool = True,
    min_window_frames: int = 100,
    with_std: bool = False,
) -> Tensor:
    """Return features less their mean over a window that moves with the frame.

    What Kaldi's apply-cmvn-sliding computes: at a clip's ends the window keeps its length and stays
    inside. Sums are in float64, as there.

    Args:
        x_BMF: Log-mels or MFCCs.
        num_frames_B: Own frames of each clip; the others become 0. None means all are.
        window_frames: Length of the window; 300 in the VoxCeleb recipe.
        centred: Put the frame in the window's middle; else the window ends with it.
        min_window_frames: How far from its start a clip is seen ahead where not `centred`.
        with_std: Divide by the standard deviation too, of n.

    Raises:
        ValueError: a window below 1 frame.
    """
    if window_frames < 1 or min_window_frames < 1:
        raise ValueError(
            f"windows need at least 1 frame, got window_frames={window_frames} and "
            f"min_window_frames={min_window_frames}"
        )
    num_frames = x_BMF.shape[2]
    frame_F = torch.arange(num_frames, device=x_BMF.device)
    num_own_BF = (
        torch.full_like(frame_F[:1], num_frames)[:, None]
        if num_frames_B is None
        else num_frames_B[:, None]
    )
    if centred:
        start_F = (frame_F - window_frames // 2).clamp(min=0)
        end_F = start_F + window_frames
    else:
        start_F = (frame_F - window_frames).clamp(min=0)
        end_F = (frame_F + 1).clamp(min=min_window_frames)
    excess_BF = (end_F - num_own_BF).clamp(min=0)
    start_BF, end_BF = (start_F - excess_BF).clamp(min=0), end_F - excess_BF
    is_own_BF = frame_F < num_own_BF
    own_BMF = x_BMF.where(is_own_BF[:, None], 0.0).double()
    count_BMF = (end_BF - start_BF).clamp(min=1)[:, None]
    mean_BMF = _sums(own_BMF, start_BF, end_BF) / count_BMF
    result_BMF = own_BMF - mean_BMF
    if with_std:
        square_BMF = _sums(own_BMF.square(), start_BF, end_BF) / count_BMF
        variance_BMF = (square_BMF - mean_BMF.square()).clamp(min=_VARIANCE_FLOOR)
        result_BMF = (result_BMF / variance_BMF.sqrt()).where(count_BMF > 1, 0.0)
    return result_BMF.where(is_own_BF[:, None], 0.0).to(x_BMF.dtype)


class Standardize(nn.Module):
    """Subtracts each band's mean over the data set and divides by its standard deviation."""

    mean_M: Tensor
    std_M: Tensor

    def __init__(self, mean_M: Tensor, std_M: Tensor) -> None:
        """Take the statistics, one number for each band.

        Raises:
            ValueError: their shapes differ, or a number is not finite or a deviation not above 0.
        """
        super().__init__()
        if mean_M.ndim != 1 or mean_M.shape != std_M.shape:
            raise ValueError(
                f"expected a mean and a deviation for each band, got shapes {tuple(mean_M.shape)} "
                f"and {tuple(std_M.shape)}"
            )
        if not (mean_M.isfinite().all() and std_M.isfinite().all() and (std_M > 0).all()):
            raise ValueError("means must be finite, deviations finite and above 0")
        self.register_buffer("mean_M", mean_M.float())
        self.register_buffer("std_M", std_M.float())

    def forward(self, x_BMF: Tensor) -> Tensor:
        """Return the features standardised, in float32."""
        return (x_BMF.float() - self.mean_M[:, None]) / self.std_M[:, None]


def _own_frames(x_BMF: Tensor, num_frames_B: Tensor | None) -> Tensor | None:
    if num_frames_B is None:
        return None
    return torch.arange(x_BMF.shape[2], device=x_BMF.device) < num_frames_B[:, None]


def _sums(x_BMF: Tensor, start_BF: Tensor, end_BF: Tensor) -> Tensor:
    """Return the sum over frames start to end, end left out, for every frame."""
    total_BMF = torch.nn.functional.pad(x_BMF.cumsum(dim=2), (1, 0))
    shape = x_BMF.shape
    end_BMF = total_BMF.gather(2, end_BF[:, None].expand(shape))
    return end_BMF - total_BMF.gather(2, start_BF[:, None].expand(shape))

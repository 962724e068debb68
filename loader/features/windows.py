"""Analysis windows: the shapes that published front ends use."""

import math
from typing import Literal, get_args

import torch
from torch import Tensor

Window = Literal["hann", "hamming", "povey"]
WINDOWS: tuple[Window, ...] = get_args(Window)

# The window of Kaldi's feat/feature-window.cc that "goes to zero at the edges" like Hann's.
_POVEY_EXPONENT = 0.85


def make_window(window: Window, num_taps: int, *, periodic: bool) -> Tensor:
    """Return window_W in float64.

    A periodic window of N taps is the first N of a symmetric one of N + 1. Whether a front end
    takes the one or the other shifts its values by up to 0.1 dB, so each preset says it.

    Args:
        window: "hann" is 0.5 - 0.5 cos, "hamming" is 0.54 - 0.46 cos, "povey" is Hann's to the
            power of 0.85.
        num_taps: Length in samples.
        periodic: Divide the circle by `num_taps`, not by `num_taps - 1`.
    """
    steps = num_taps if periodic else max(1, num_taps - 1)
    cosine_W = torch.cos(2 * math.pi / steps * torch.arange(num_taps, dtype=torch.float64))
    if window == "hamming":
        return 0.54 - 0.46 * cosine_W
    hann_W = 0.5 - 0.5 * cosine_W
    # Rounding may leave -1e-17 at the edge, which has no real power of 0.85.
    return hann_W.clamp(min=0) ** _POVEY_EXPONENT if window == "povey" else hann_W

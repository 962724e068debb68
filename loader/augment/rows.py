"""Changing the rows of a batch that a parameter says.

On CUDA all rows are computed, and those that stay are put back, because asking the device which
rows these are would wait for it. On the CPU, where the parameters are at hand, the others are not
computed at all. Both give the same rows.

Axes: B rows, T samples.
"""

from collections.abc import Callable

import torch
from torch import Tensor

PART_ROWS = 8
"""Rows that go through a chain together on a CPU: what they need stays in its caches."""

Rows = Tensor | slice
"""Numbers of rows, or all of them."""


def with_changed_rows(
    wave_BT: Tensor, is_changed_B: Tensor, change: Callable[[Rows], Tensor]
) -> Tensor:
    """Return the batch with some rows replaced by what `change` makes of them."""
    if wave_BT.device.type != "cpu" or torch.compiler.is_compiling():
        return change(slice(None)).where(is_changed_B[:, None], wave_BT)
    rows = is_changed_B.nonzero()[:, 0]
    if len(rows) == len(wave_BT):
        return change(slice(None))
    if not len(rows):
        return wave_BT
    return wave_BT.index_copy(0, rows, change(rows))


def is_own(num_samples_B: Tensor, num_samples: int) -> Tensor:
    """Return which of each row's samples are the clip's own: bool (B, T)."""
    place_T = torch.arange(num_samples, device=num_samples_B.device)
    return place_T < num_samples_B[:, None]


def power(wave_BT: Tensor, num_samples_B: Tensor) -> Tensor:
    """Return each clip's mean square; what lies beyond its end must be 0."""
    return wave_BT.square().sum(dim=1) / num_samples_B.clamp(min=1)

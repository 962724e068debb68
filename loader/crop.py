"""Where the window of each clip lies. Pure.

Axes: B rows of a batch.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loader.config import Crop
from loader.randomness import Operation, sample_ids, sample_uniform


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """The part of each clip that goes into its row."""

    start_B: NDArray[np.int64]
    num_samples_B: NDArray[np.int64]
    """Samples from there on; less than the row's length only where the clip is shorter."""


def choose_windows(
    keys: tuple[str, ...],
    clip_num_samples_B: NDArray[np.int64],
    *,
    window_num_samples: int,
    crop: Crop,
    seed: int,
    epoch: int,
    copies_B: NDArray[np.int64] | None = None,
) -> Windows:
    """Return the window of each clip.

    A clip that is not longer than the window is taken whole, from 0. Otherwise `start` takes
    its beginning, `center` its middle (one sample earlier of two), and `random` each start from
    0 to the last possible with equal probability, drawn from (seed, epoch, key, copy) alone:
    a clip that comes several times in an epoch is cut elsewhere each time.
    """
    num_starts_B = np.maximum(clip_num_samples_B - window_num_samples, 0) + 1
    if crop == "start":
        start_B = np.zeros_like(num_starts_B)
    elif crop == "center":
        start_B = (num_starts_B - 1) // 2
    else:
        uniform_B = sample_uniform(
            sample_ids(keys, copies_B), seed=seed, epoch=epoch, operation=Operation.CROP
        )
        start_B = (uniform_B * num_starts_B).astype(np.int64)
    return Windows(
        start_B=start_B,
        num_samples_B=np.minimum(clip_num_samples_B, window_num_samples),
    )

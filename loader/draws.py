"""How many copies of each clip an epoch holds. Pure.

Axes: N rows of the index.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from loader.balance import Balance, RepeatFactor, clip_weights
from loader.dataset import DatasetIndex
from loader.randomness import OrderStream, order_bits

EpochSize = int | Literal["shortest", "longest"] | None

_FRACTION_BITS = 32
MAX_EPOCH_SIZE = 2**31 - 1
"""So that the sum of all copies with their fraction fits into 63 bits."""


def expected_copies(
    index: DatasetIndex,
    *,
    balance: Balance | None,
    weights: Sequence[float] | None,
    epoch_size: EpochSize,
) -> NDArray[np.float64] | None:
    """Return how many copies of each row an epoch holds on average.

    Without `weights` all datasets are one pool. With them, dataset d gets the share
    `weights[d] / sum(weights)` of the epoch, and within it each row its part; classes are then
    counted within each dataset.

    Args:
        index: The selected samples.
        balance: How often rare classes come; `None` weighs all clips alike.
        weights: One for each of the datasets that the index was merged from.
        epoch_size: Samples in an epoch. `None` takes as many as there are (with `RepeatFactor`
            and without `weights`: plus its repeats). With `weights`, `shortest` ends the epoch
            when some dataset has been used up once on average, `longest` when each has.

    Returns:
        Numbers of at least 0 whose sum is the epoch's size; `None`: every row once.
    """
    if balance is None and weights is None and epoch_size is None:
        return None
    if weights is None:
        weight_N = _weights_of(index, np.arange(len(index), dtype=np.int64), balance)
        total = float(weight_N.sum())
        natural_size = round(total) if isinstance(balance, RepeatFactor) else len(index)
        num_draws = epoch_size if isinstance(epoch_size, int) else natural_size
        return weight_N * (num_draws / total)
    dataset_N = index.dataset_N
    num_rows_D = np.bincount(dataset_N, minlength=len(weights))
    share_D = np.array(weights, dtype=np.float64) / sum(weights)
    size = _mixture_size(num_rows_D, share_D, epoch_size)
    expected_N = np.empty(len(index))
    for dataset, share in enumerate(share_D):
        rows = np.flatnonzero(dataset_N == dataset)
        weight = _weights_of(index, rows, balance)
        expected_N[rows] = weight * (size * share / weight.sum())
    return expected_N


def draw_copies(
    expected_N: NDArray[np.float64], sequence_N: NDArray[np.int64], *, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Return how many copies of each row one epoch holds, by systematic sampling.

    The expected numbers are laid end to end along `sequence_N`, and a comb of spacing 1 with a
    random phase is laid over them; a row gets one copy for each tooth in its part (Madow 1949).
    So a row's copies differ from the expected number by less than 1, their mean over all phases
    is the expected number, any consecutive rows together are off by less than 1, too, and the sum
    is exact.

    Args:
        expected_N: From `expected_copies`.
        sequence_N: All rows, in the order they are laid end to end.
        seed: Seed of the run.
        epoch: Number of the epoch.
    """
    # Whole numbers of 2**-32: a sum of floats would depend on the order it is taken in.
    scaled_N = np.rint(expected_N * 2.0**_FRACTION_BITS).astype(np.int64)
    missing = (round(expected_N.sum()) << _FRACTION_BITS) - int(scaled_N.sum())
    rows = np.flatnonzero(scaled_N)
    each, rest = divmod(missing, len(rows))
    scaled_N[rows] += each
    scaled_N[rows[:rest]] += 1
    bits = order_bits(1, seed=seed, epoch=epoch, stream=OrderStream.COPIES)
    phase = int(bits[0] >> np.uint64(64 - _FRACTION_BITS))
    ends_N = (np.cumsum(scaled_N[sequence_N]) + phase) >> _FRACTION_BITS
    copies_N = np.empty(len(expected_N), dtype=np.int64)
    copies_N[sequence_N] = np.diff(ends_N, prepend=0)
    return copies_N


def _weights_of(
    index: DatasetIndex, rows: NDArray[np.int64], balance: Balance | None
) -> NDArray[np.float64]:
    return np.ones(len(rows)) if balance is None else clip_weights(index, rows, balance)


def _mixture_size(
    num_rows_D: NDArray[np.int64], share_D: NDArray[np.float64], epoch_size: EpochSize
) -> int:
    if isinstance(epoch_size, int):
        return epoch_size
    sizes_D = num_rows_D / share_D
    if epoch_size == "shortest":
        # Rounded first: 30 / 0.3 is 100.00000000000001 or 99.99999999999999.
        return max(1, int(np.floor(np.round(sizes_D.min(), 6))))
    if epoch_size == "longest":
        return int(np.ceil(np.round(sizes_D.max(), 6)))
    return int(num_rows_D.sum())

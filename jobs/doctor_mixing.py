"""Whether shards are mixed: if those open at a time have the classes of all. Pure.

Axes: N samples of the selection, E labels of all samples one after the other, V shards.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loader.dataset import DatasetIndex

_NUM_DRAWS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixing:
    """How many classes come along at a time, each counted by its share.

    Effective numbers, 2 to the power of the entropy: of 10 classes, if one has half of all labels
    and the other nine share the rest, it is 6.
    """

    num_open_shards: int
    num_classes: float
    """Effective, in so many shards taken at random; the mean of several draws."""
    num_classes_if_mixed: float
    """Effective, in as many samples taken at random."""


def mixing_of(index: DatasetIndex, *, open_shards: int) -> Mixing:
    """Return how well the shards of an index are mixed.

    Args:
        index: The selected samples.
        open_shards: Shards that are read at a time.
    """
    sample_E = np.repeat(np.arange(len(index)), np.diff(index.label_starts))
    shard_E = index.shard_N[sample_E]
    used_V = np.unique(index.shard_N)
    num_open = min(open_shards, len(used_V))
    random = np.random.default_rng(0)
    in_shards, in_samples = [], []
    for _ in range(_NUM_DRAWS if num_open < len(used_V) else 1):
        is_open_V = np.zeros(len(index.tars), dtype=np.bool_)
        is_open_V[random.choice(used_V, num_open, replace=False)] = True
        num_samples = int(is_open_V[index.shard_N].sum())
        is_taken_N = np.zeros(len(index), dtype=np.bool_)
        is_taken_N[random.choice(len(index), num_samples, replace=False)] = True
        in_shards.append(_effective_number(index.label_ids[is_open_V[shard_E]]))
        in_samples.append(_effective_number(index.label_ids[is_taken_N[sample_E]]))
    return Mixing(
        num_open_shards=num_open,
        num_classes=float(np.mean(in_shards)),
        num_classes_if_mixed=float(np.mean(in_samples)),
    )


def _effective_number(ids: NDArray[np.int32]) -> float:
    counts = np.bincount(ids)
    share = counts[counts > 0] / max(len(ids), 1)
    return float(np.exp2(-(share * np.log2(share)).sum()))

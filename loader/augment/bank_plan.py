"""Which clips of a dataset a bank holds, and which part of each. Pure.

Axes: N rows of the dataset's index.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loader.dataset import DatasetIndex
from loader.randomness import Operation, sample_bits, sample_ids, sample_uniform
from shardwriter.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BankPlan:
    """The rows of one generation of a bank.

    Attributes:
        rows: Rows of the index, kind after kind, ascending within a kind.
        starts: First sample of the part of each.
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]


def rows_of_kinds(
    index: DatasetIndex, kinds: Mapping[str, Sequence[str]] | None, *, where: str
) -> dict[str, NDArray[np.int64]]:
    """Return the rows of each kind: those with any of its labels; without kinds, all as "all".

    Raises:
        ConfigError: a label is not in the vocabulary, or a kind has no clip.
    """
    if kinds is None:
        return {"all": np.arange(len(index), dtype=np.int64)}
    row_of_label = np.repeat(np.arange(len(index), dtype=np.int64), np.diff(index.label_starts))
    rows = {}
    for kind, labels in kinds.items():
        unknown = sorted(set(labels) - set(index.labels))
        if unknown:
            raise ConfigError(
                f"{where}: kind {kind!r} names the label {unknown[0]!r}, which is not among the "
                f"dataset's: {', '.join(index.labels[:20])}"
            )
        ids = [index.labels.index(label) for label in labels]
        rows[kind] = np.unique(row_of_label[np.isin(index.label_ids, ids)])
        if not len(rows[kind]):
            raise ConfigError(f"{where}: kind {kind!r} has no clip with {', '.join(labels)}")
    return rows


def plan_bank(
    index: DatasetIndex,
    rows_of: Mapping[str, NDArray[np.int64]],
    kinds: Mapping[str, tuple[int, int]],
    *,
    segment_samples: int,
    seed: int,
    generation: int,
) -> BankPlan:
    """Choose clips and parts: a function of (dataset, seed, generation), never of timing.

    Of a clip that is longer than the segment, each part is as likely as any other.

    Args:
        index: The dataset.
        rows_of: The rows of each kind.
        kinds: Where each kind lies in the bank, see `place_kinds`.
        segment_samples: Length of the parts.
        seed: Seed of the bank.
        generation: Which generation to plan, from 0.
    """
    chosen = []
    for kind, rows in rows_of.items():
        ids = sample_ids(index.keys_of(rows))
        bits = sample_bits(ids, seed=seed, epoch=generation, operation=Operation.BANK_CLIP)
        _, size = kinds[kind]
        chosen.append(np.sort(rows[np.argsort(bits, kind="stable")[:size]]))
    rows = np.concatenate(chosen)
    uniform = sample_uniform(
        sample_ids(index.keys_of(rows)),
        seed=seed,
        epoch=generation,
        operation=Operation.BANK_SEGMENT,
    )
    num_starts = np.maximum(index.num_samples_N[rows] - segment_samples, 0) + 1
    return BankPlan(
        rows=rows,
        starts=(uniform * num_starts).astype(np.int64),
    )


def place_kinds(counts: Mapping[str, int], *, max_rows: int) -> dict[str, tuple[int, int]]:
    """Return where each kind lies in a bank: its first row and its number of rows.

    Kinds get equal parts of `max_rows`, at least one row each; what one doesn't need goes to the
    others. It is the same in every generation, so that drawing needs none.
    """
    sizes, left = {}, max_rows
    for place, kind in enumerate(sorted(counts, key=lambda kind: counts[kind])):
        sizes[kind] = max(1, min(counts[kind], left // (len(counts) - place)))
        left -= sizes[kind]
    places, first = {}, 0
    for kind in counts:
        places[kind] = (first, sizes[kind])
        first += sizes[kind]
    return places

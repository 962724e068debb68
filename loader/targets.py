"""Named targets beside the labels, as columns over the samples of an index.

Axes: N samples of the index, B rows of a batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from loader.arrow_arrays import as_numpy
from shardwriter.errors import ConfigError, ShardFormatError
from shardwriter.index import TARGET_PREFIX
from shardwriter.schema import Settings

NO_CLASS = -1
"""Stands for the class of a sample that has none; numbers that are not there are NaN."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TargetColumn:
    """A target of all samples of an index."""

    labels: tuple[str, ...] | None
    """The vocabulary of a class target; None: a number."""
    values_N: NDArray[Any]
    """int32 ids or `NO_CLASS` for classes; float32, NaN where unknown, for numbers."""

    def of(self, rows_B: NDArray[np.int64]) -> torch.Tensor:
        """Return the values of some rows, int64 for classes and float32 for numbers."""
        values_B = self.values_N[rows_B]
        return torch.from_numpy(values_B if self.labels is None else values_B.astype(np.int64))


def load_targets(table: Any, settings: Settings, *, where: str) -> dict[str, TargetColumn]:
    """Return the targets of a dataset from the rows of its index.

    Args:
        table: As `shardwriter.index.read_index` returns it; it may lack targets that none of its
            samples has.
        settings: Of the dataset.
        where: The index, for messages.

    Raises:
        ShardFormatError: index and manifest contradict each other.
    """
    held = {name for name in table.column_names if name.startswith(TARGET_PREFIX)}
    unknown = held - {TARGET_PREFIX + name for name in settings.targets}
    if unknown:
        raise ShardFormatError(f"{where}: the manifest knows nothing of {sorted(unknown)}")
    return {
        name: _column(
            table[TARGET_PREFIX + name] if TARGET_PREFIX + name in held else None,
            target.labels or None,
            num_rows=len(table),
            where=f"{where}: target {name}",
        )
        for name, target in settings.targets.items()
    }


def merge_targets(
    columns: Sequence[Mapping[str, TargetColumn]], num_samples: Sequence[int]
) -> dict[str, TargetColumn]:
    """Return the targets of several indices behind each other, joined by name.

    As with labels, classes of one name become one, and new ones come behind. Samples of an index
    without a target have no value of it.

    Raises:
        ConfigError: a target is a class in one index and a number in another.
    """
    names = dict.fromkeys(name for targets in columns for name in targets)
    return {name: _merged(name, [c.get(name) for c in columns], num_samples) for name in names}


def class_target_of(targets: Mapping[str, TargetColumn], name: str) -> TargetColumn:
    """Return a class target.

    Raises:
        ConfigError: there is none of the name, or it is a number.
    """
    if name not in targets:
        known = ", ".join(targets) or "none"
        raise ConfigError(f"the samples have no target {name!r}; they have: {known}")
    column = targets[name]
    if column.labels is None:
        raise ConfigError(f"target {name!r} is a number, expected one that has classes")
    return column


def _column(
    values: Any, labels: tuple[str, ...] | None, *, num_rows: int, where: str
) -> TargetColumn:
    if values is None:
        values = pa.nulls(num_rows, pa.float64() if labels is None else pa.int32())
    if (labels is None) != pa.types.is_floating(values.type):
        raise ShardFormatError(
            f"{where}: the index holds {values.type}, the manifest says that it is "
            f"{'a number' if labels is None else 'a class'}"
        )
    if labels is None:
        numbers_N = as_numpy(values, np.float32, null=float("nan"))
        return TargetColumn(labels=None, values_N=numbers_N)
    ids_N = as_numpy(values, np.int32, null=NO_CLASS)
    if len(ids_N) and not NO_CLASS <= ids_N.min() <= ids_N.max() < len(labels):
        raise ShardFormatError(
            f"{where}: ids from {ids_N.min()} to {ids_N.max()}, the vocabulary has {len(labels)}"
        )
    return TargetColumn(labels=labels, values_N=ids_N)


def _merged(
    name: str, columns: Sequence[TargetColumn | None], num_samples: Sequence[int]
) -> TargetColumn:
    present = [column for column in columns if column is not None]
    if len({column.labels is None for column in present}) > 1:
        raise ConfigError(
            f"target {name!r} is a number in one dataset and a class in another; load them apart"
        )
    if present[0].labels is None:
        values = [
            np.full(num, np.nan, np.float32) if column is None else column.values_N
            for column, num in zip(columns, num_samples, strict=True)
        ]
        return TargetColumn(labels=None, values_N=np.concatenate(values))
    labels = tuple(dict.fromkeys(label for column in present for label in column.labels or ()))
    id_by_label = {label: number for number, label in enumerate(labels)}
    ids = []
    for column, num in zip(columns, num_samples, strict=True):
        if column is None:
            ids.append(np.full(num, NO_CLASS, np.int32))
            continue
        # The last entry is what NO_CLASS points to.
        renumbered = [id_by_label[label] for label in column.labels or ()] + [NO_CLASS]
        ids.append(np.array(renumbered, dtype=np.int32)[column.values_N])
    return TargetColumn(labels=labels, values_N=np.concatenate(ids))

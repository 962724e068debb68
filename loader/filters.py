"""Which samples of an index are used: by fold, label and length. Pure.

Axes: N samples of the index.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from loader.targets import TargetColumn, class_target_of
from shardwriter.errors import ConfigError


def kept_rows(
    table: Any,
    labels: Sequence[str],
    *,
    folds: Sequence[int] | None,
    include_labels: Sequence[str] | None,
    exclude_labels: Sequence[str],
    min_seconds: float | None,
    where: str,
) -> NDArray[np.bool_]:
    """Return which rows of an index table pass all filters.

    Args:
        table: As `shardwriter.index.read_index` returns it.
        labels: The vocabulary.
        folds: Folds to keep; `None` keeps all.
        include_labels: Keep samples with at least one of these; `None` keeps all.
        exclude_labels: Leave out samples with any of these.
        min_seconds: Leave out shorter clips; `None` keeps all.
        where: The split and dataset, for messages.

    Raises:
        ConfigError: no sample is in one of the folds, or a label is not in the vocabulary.
    """
    is_kept_N = np.ones(len(table), dtype=np.bool_)
    if folds is not None:
        is_kept_N &= _is_in_folds(table["fold"], folds, where=where)
    if include_labels is not None:
        is_kept_N &= _has_any_label(table["label_ids"], include_labels, labels, where=where)
    if exclude_labels:
        is_kept_N &= ~_has_any_label(table["label_ids"], exclude_labels, labels, where=where)
    if min_seconds is not None:
        num_samples_N = table["num_samples"].to_numpy()
        # The product may come out a rounding above a whole number of samples.
        is_kept_N &= num_samples_N >= min_seconds * table["sample_rate_hz"].to_numpy() - 1e-6
    return is_kept_N


def kept_by_targets(
    targets: Mapping[str, TargetColumn], include: Mapping[str, Sequence[str]], *, where: str
) -> NDArray[np.bool_] | bool:
    """Return which rows have, for each target of `include`, one of the classes there.

    Raises:
        ConfigError: no class target of that name, or no class of that name in it.
    """
    is_kept_N: NDArray[np.bool_] | bool = True
    for name, wanted in include.items():
        column = class_target_of(targets, name)
        labels = column.labels or ()
        unknown = sorted(set(wanted) - set(labels))
        if unknown:
            raise ConfigError(
                f"target {name!r} of {where} has no class {unknown}; its {len(labels)} classes "
                f"begin with {', '.join(labels[:20])}"
            )
        is_kept_N = is_kept_N & np.isin(column.values_N, [labels.index(label) for label in wanted])
    return is_kept_N


def _is_in_folds(column: Any, folds: Sequence[int], *, where: str) -> NDArray[np.bool_]:
    existing = sorted(fold for fold in pc.unique(column).to_pylist() if fold is not None)
    absent = sorted(set(folds) - set(existing))
    if absent:
        has = f"has the folds {existing}" if existing else "has no folds: leave folds at None"
        raise ConfigError(f"no sample of {where} is in fold {absent}; the split {has}")
    fold_N = column.to_numpy()  # with nulls: floats, which are exact for 32 bits
    return np.isin(fold_N, list(folds))


def _has_any_label(
    column: Any, wanted: Sequence[str], labels: Sequence[str], *, where: str
) -> NDArray[np.bool_]:
    unknown = sorted(set(wanted) - set(labels))
    if unknown:
        shown = ", ".join(labels[:20]) + (", ..." if len(labels) > 20 else "")
        raise ConfigError(f"{where} has no label {unknown}; its {len(labels)} labels are: {shown}")
    ids = [number for number, label in enumerate(labels) if label in set(wanted)]
    lists = column.combine_chunks()
    has_label_N = np.zeros(len(column), dtype=np.bool_)
    is_wanted = np.isin(lists.flatten().to_numpy(zero_copy_only=False), ids)
    has_label_N[pc.list_parent_indices(lists).to_numpy()[is_wanted]] = True
    return has_label_N

"""Labels renamed, merged and dropped as a dataset is loaded. Pure.

Axes: N samples of the index.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from loader.dataset import DatasetIndex
from shardwriter.errors import ConfigError

LabelMap = Mapping[str, str | tuple[str, ...] | None]
"""From a label of the dataset to what it is called here: another name, several, or nothing. Labels
that are not in the map stay as they are."""


def with_mapped_labels(index: DatasetIndex, label_map: LabelMap) -> DatasetIndex:
    """Return the index with its labels renamed; no sample is left out, not even without a label.

    The new vocabulary is in the order of the old one. A sample whose labels become the same one
    has it once.

    Raises:
        ConfigError: the map names a label that the dataset does not have, or drops them all.
    """
    unknown = sorted(set(label_map) - set(index.labels))
    url = index.stores[0].url
    if unknown:
        raise ConfigError(
            f"label_map names {len(unknown)} labels that {url} does not have, the first is "
            f"{unknown[0]!r}; its vocabulary begins with {', '.join(index.labels[:10])}"
        )
    names = [_names(label_map.get(label, label)) for label in index.labels]
    labels = tuple(dict.fromkeys(name for several in names for name in several))
    if not labels:
        raise ConfigError(f"label_map drops every label of {url}; keep one at least")
    id_by_label = {label: number for number, label in enumerate(labels)}
    new_ids = np.array([id_by_label[name] for several in names for name in several], np.int64)
    num_new = np.array([len(several) for several in names], np.int64)
    # Each (sample, old label) becomes as many (sample, new label) as the old label has names.
    row = np.repeat(np.arange(len(index)), np.diff(index.label_starts))
    counts = num_new[index.label_ids]
    first = (np.cumsum(num_new) - num_new)[index.label_ids]
    within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    ids = new_ids[np.repeat(first, counts) + within]
    row, ids = np.divmod(np.unique(np.repeat(row, counts) * len(labels) + ids), len(labels))
    return replace(
        index,
        labels=labels,
        label_starts=np.searchsorted(row, np.arange(len(index) + 1)).astype(np.int64),
        label_ids=ids.astype(np.int32),
    )


def _names(names: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if names is None:
        return ()
    return (names,) if isinstance(names, str) else names

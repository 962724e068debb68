"""Every dataset that can be ingested. To add one: a module with a `DATASET`, and its line here."""

from typing import Final

from jobs.catalogues import audioset, esc50, fsd50k, voxceleb1, voxceleb2
from jobs.catalogues.description import Dataset
from shardwriter.errors import ConfigError

DATASETS: Final[tuple[Dataset, ...]] = (
    esc50.DATASET,
    audioset.DATASET,
    fsd50k.DATASET,
    voxceleb1.DATASET,
    voxceleb2.DATASET,
)
"""In the order in which they are shown."""


def find_dataset(name: str) -> Dataset:
    """Return the dataset of this name.

    Raises:
        ConfigError: there is none; the message lists those there are.
    """
    for dataset in DATASETS:
        if dataset.name == name:
            return dataset
    known = ", ".join(dataset.name for dataset in DATASETS)
    raise ConfigError(f"no dataset is called {name!r}; there are {known}")

"""Every dataset that can be ingested. To add one: a module with a `DATASET`, and its line here."""

from typing import Final

from jobs.catalogues import (
    audioset,
    esc50,
    folder,
    fsd50k,
    gtzan,
    huggingface,
    magnatagatune,
    mtg_jamendo,
    musan,
    nsynth,
    rirs_noises,
    speech_commands,
    superb_er,
    superb_ic,
    superb_ks,
    superb_sid,
    tau2019,
    tau2020_mobile,
    urbansound8k,
    voxceleb1,
    voxceleb2,
)
from jobs.catalogues.description import Dataset
from shardwriter.errors import ConfigError

DATASETS: Final[tuple[Dataset, ...]] = (
    esc50.DATASET,
    urbansound8k.DATASET,
    audioset.DATASET,
    fsd50k.DATASET,
    voxceleb1.DATASET,
    voxceleb2.DATASET,
    tau2019.DATASET,
    tau2020_mobile.DATASET,
    speech_commands.DATASET,
    nsynth.DATASET,
    superb_ks.DATASET,
    superb_sid.DATASET,
    superb_ic.DATASET,
    superb_er.DATASET,
    musan.DATASET,
    rirs_noises.DATASET,
    gtzan.DATASET,
    magnatagatune.DATASET,
    mtg_jamendo.DATASET,
    folder.DATASET,
    huggingface.DATASET,
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

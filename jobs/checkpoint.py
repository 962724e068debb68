"""Checkpoints: model, optimiser and loader state in one file, written whole or not at all."""

import os
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from jobs.recipe import Recipe
from shardwriter.errors import ConfigError

VERSION = 4
_LOAD_ERRORS = (
    *(OSError, RuntimeError, EOFError, pickle.UnpicklingError),  # what torch.load documents
    *(ValueError, TypeError, LookupError, AttributeError),  # and what a damaged pickle gives
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Everything that a run needs to go on; equal on every rank."""

    step: int
    """Optimiser steps taken."""
    loader: dict[str, Any]
    """`ShardLoader.state_dict()` after that step."""
    model: dict[str, Any]
    average: dict[str, Any] | None
    """Moving average of the model, if one is kept."""
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    recipe: dict[str, Any]
    """Every field of the run's `Recipe`."""
    objective: str
    """What is minimised, with `auto` decided by the labels that were trained on."""
    augmentation: dict[str, str]
    """What decides the augmentation, content of its banks included."""
    statistics: dict[str, list[float]] | None
    """Mean and deviation that the features were standardised by, if they were."""
    labels: list[str]
    """The vocabulary, in the order of the model's logits."""
    num_outputs: int
    """Of the model: more than labels where the augmentation makes classes of its own."""
    history: dict[str, Any]
    """Losses and evaluations so far."""

    def check_fits(
        self,
        recipe: Recipe,
        augmentation: Mapping[str, str],
        statistics: Mapping[str, list[float]] | None,
    ) -> None:
        """Refuse to go on with what makes another network or another run.

        The number of epochs, checkpoints and the like may change.

        Raises:
            ConfigError: names the first setting that differs, what was saved and what is now.
        """
        # What the version that saved it didn't know was at its default.
        before = asdict(Recipe()) | self.recipe
        for name, now in asdict(recipe).items():
            saved = before[name]
            if name not in _MAY_CHANGE and saved != now:
                raise ConfigError(
                    f"the checkpoint was made with {name}={saved!r}, now it is {now!r}; "
                    "give the same recipe and flags, or start anew without --resume"
                )
        if self.statistics != statistics:
            raise ConfigError(
                "the checkpoint was made with other statistics of the features: `melstream stats` "
                "has measured the dataset anew since; start anew without --resume"
            )
        for name in sorted(self.augmentation.keys() | augmentation.keys()):
            if self.augmentation.get(name) != augmentation.get(name):
                raise ConfigError(
                    f"the checkpoint was made with another --{name}: the content of its file or "
                    f"dataset, its splits or --bank-gb: {self.augmentation.get(name)}, now "
                    f"{augmentation.get(name)}; give the same, or start anew without --resume"
                )


_MAY_CHANGE = {
    *("epochs", "checkpoint_steps", "eval_every", "eval_clips", "precision", "accumulation"),
    "weights",  # only for the start
}


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write to a temporary file, flush it, rename it: a killed run leaves the previous one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        torch.save({"version": VERSION} | _shallow(checkpoint), file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load_checkpoint(path: Path) -> Checkpoint:
    """Load a checkpoint, tensors and plain values only (no pickled code runs).

    Raises:
        ConfigError: it is not there, not readable, or of another version.
    """
    if not path.exists():
        raise ConfigError(f"no checkpoint at {path}; leave out --resume to train anew")
    if not _is_whole(path):
        raise ConfigError(f"{path} is not a whole checkpoint; leave out --resume to train anew")
    try:
        row = torch.load(path, map_location="cpu", weights_only=True)
    except _LOAD_ERRORS as err:
        raise ConfigError(
            f"{path} is not a readable checkpoint ({type(err).__name__}); leave out --resume to "
            "train anew"
        ) from err
    if not isinstance(row, dict) or row.pop("version", None) != VERSION:
        raise ConfigError(
            f"{path} is not a checkpoint of version {VERSION}; leave out --resume to train anew"
        )
    if row.keys() != set(Checkpoint.__dataclass_fields__):
        raise ConfigError(f"{path} lacks parts of a checkpoint; leave out --resume to train anew")
    return Checkpoint(**row)


def _is_whole(path: Path) -> bool:
    """Tell whether a file is a zip, as checkpoints are, whose members match their checksums.

    torch does not look at the checksums; and it would try its old, pickled format on other files.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError):
        return False


def _shallow(checkpoint: Checkpoint) -> dict[str, Any]:
    return {name: getattr(checkpoint, name) for name in Checkpoint.__dataclass_fields__}

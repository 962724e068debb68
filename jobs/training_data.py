"""The loaders of a training: what is trained on, and what is held out, each clip once."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jobs.recipe import Recipe
from jobs.train_options import TrainOptions
from loader import InverseFrequency, LoaderConfig, ShardLoader, World
from loader.dataset import DatasetIndex
from shardwriter.errors import ConfigError
from shardwriter.storage import Store

_EVAL_BATCH_SIZE = 16


def training_loader(options: TrainOptions, *, world: World, store: Store) -> ShardLoader:
    """Open what is trained on; a batch is one rank's share of one part of a step.

    Raises:
        ConfigError: the step can't be shared, or the dataset lacks what was asked for.
    """
    recipe = options.recipe
    num_shares = world.size * recipe.accumulation
    if recipe.batch_size % num_shares:
        by = f"{world.size} processes"
        if recipe.accumulation > 1:
            by += f" in {recipe.accumulation} parts"
        raise ConfigError(
            f"--batch-size {recipe.batch_size} can't be shared by {by}; "
            f"choose a multiple of {num_shares}"
        )
    return _open(
        _settings(
            url=options.url,
            split=options.splits,
            folds=options.folds,
            batch_size=recipe.batch_size // num_shares,
            crop_seconds=recipe.crop_seconds,
            seed=options.seed,
            balance=InverseFrequency(exponent=recipe.balance) if recipe.balance else None,
            **asdict(options.loading),
        ),
        world=world,
        store=store,
    )


def held_out_loader(
    recipe: Recipe,
    *,
    url: str,
    split: str,
    folds: Sequence[int] | None,
    world: World,
    store: Store,
) -> ShardLoader:
    """Open held-out clips, in order; rows that fill the last step are marked as padding.

    Clips are whole, or their middle `crop_seconds`; shorter ones are padded as in the training.
    The position embeddings of AST are for one length, so it always gets the middle.
    """
    config = _settings(
        url=url,
        split=split,
        folds=None if folds is None else tuple(folds),
        batch_size=_EVAL_BATCH_SIZE,
        crop_seconds=recipe.crop_seconds,
        crop="center",
        shuffle=False,
        tail="pad",
    )
    loader = _open(config, world=world, store=store)
    longest_seconds = loader.index.num_samples_N.max() / loader.sample_rate_hz
    is_cropped = recipe.eval_clips == "crop" or recipe.model == "ast"
    if is_cropped or longest_seconds <= recipe.crop_seconds:
        return loader
    return _open(replace(config, crop_seconds=None, crop="start"), world=world, store=store)


def class_counts(index: DatasetIndex) -> Tensor:
    """Return the clips of each class."""
    return torch.from_numpy(np.bincount(index.label_ids, minlength=len(index.labels)))


def _settings(**settings: Any) -> LoaderConfig:
    """Return the loader's settings; what it refuses, the command line asked for."""
    try:
        return LoaderConfig(**settings)
    except ValueError as err:
        raise ConfigError(str(err)) from err


def _open(config: LoaderConfig, *, world: World, store: Store) -> ShardLoader:
    try:
        return ShardLoader(config, world=world, store=store)
    except ValueError as err:
        raise ConfigError(str(err)) from err

"""`melstream evaluate`: a checkpoint's network on clips that it has not seen."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from jobs.checkpoint import Checkpoint, load_checkpoint
from jobs.console import say, table
from jobs.distributed import process_group
from jobs.evaluation import Evaluator
from jobs.front_end import FrontEnd, recipe_front_end
from jobs.metrics import Metrics
from jobs.models.build import build_network
from jobs.objectives import Objective
from jobs.optimisation import amp_dtype
from jobs.recipe import Recipe, recipe_from
from jobs.results import metric_rows
from jobs.training_data import held_out_loader
from jobs.verification import Verification, open_trials, verify_trials
from loader import ShardLoader, World
from shardwriter.errors import ConfigError
from shardwriter.storage import S3Options, Store, open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions:
    """What to evaluate."""

    url: str
    checkpoint: Path
    split: str = "test"
    folds: tuple[int, ...] | None = None
    trials: str | None = None
    out: Path | None = None
    """A file for the figures."""
    s3: S3Options | None = None


def run_evaluation(options: EvaluateOptions) -> int:
    """Score every clip once over all ranks; rank 0 prints and writes the figures."""
    world = World.from_env()
    with process_group(world) as device:
        checkpoint = load_checkpoint(options.checkpoint)
        recipe = recipe_from({**checkpoint.recipe, "weights": ""})
        store = open_store(options.url, options.s3)
        loader = held_out_loader(
            recipe,
            url=options.url,
            split=options.split,
            folds=options.folds,
            world=world,
            store=store,
        )
        _check_labels(checkpoint, loader)
        network, front_end = _network(checkpoint, recipe, loader, store)
        evaluator = Evaluator(
            network.to(device),
            front_end.to(device),
            world=world,
            device=device,
            amp_dtype=amp_dtype(recipe, device),
        )
        metrics: Metrics | None = None
        verification: Verification | None = None
        if options.trials is None:
            # The checkpoint's, and not what would suit the labels of the clips that are tested.
            objective = Objective(recipe, kind=checkpoint.objective, weight_K=None)
            metrics = evaluator.scores(loader, objective).metrics()
        else:
            if recipe.model != "ecapa":
                raise ConfigError("--trials compare embeddings, which only ecapa has")
            pairs = open_trials(options.trials, store)
            verification = verify_trials(pairs, evaluator.embeddings(loader))
        if world.rank == 0:
            _tell(metrics, verification, options)
    return 0


def _network(
    checkpoint: Checkpoint, recipe: Recipe, loader: ShardLoader, store: Store
) -> tuple[nn.Module, FrontEnd]:
    """Return what the checkpoint holds; its moving average where there is one."""
    config = recipe_front_end(
        recipe,
        sample_rate_hz=loader.sample_rate_hz,
        seed=0,
        store=store,
        features=loader.features,
        statistics=checkpoint.statistics,
    )
    num_samples = round(recipe.crop_seconds * loader.sample_rate_hz)
    network = build_network(
        recipe,
        num_classes=checkpoint.num_outputs,
        num_mels=config.log_mel.num_mels,
        num_frames=config.log_mel.num_frames_out or config.log_mel.num_frames(num_samples),
    )
    network.load_state_dict(_weights(checkpoint))
    return network.eval(), FrontEnd(config)


def _weights(checkpoint: Checkpoint) -> dict[str, Any]:
    if checkpoint.average is None:
        return checkpoint.model
    return {
        name.removeprefix("module."): value
        for name, value in checkpoint.average.items()
        if name.startswith("module.") and torch.is_tensor(value)
    }


def _check_labels(checkpoint: Checkpoint, loader: ShardLoader) -> None:
    if tuple(checkpoint.labels) != loader.labels:
        raise ConfigError(
            f"the checkpoint knows {len(checkpoint.labels)} labels and the dataset has "
            f"{len(loader.labels)}, or in another order; evaluate on a dataset with the vocabulary "
            "of the training set"
        )


def _tell(
    metrics: Metrics | None, verification: Verification | None, options: EvaluateOptions
) -> None:
    table(metric_rows(metrics, verification))
    if options.out is not None:
        figures = {
            "metrics": None if metrics is None else asdict(metrics),
            "verification": None if verification is None else asdict(verification),
        }
        try:
            options.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        except OSError as err:
            raise ConfigError(f"can't write --out {options.out}: {err.strerror}") from err
        say(f"  written to {options.out}")

"""`melstream demo`, `train`, `evaluate` and `stats`: their arguments."""

import argparse
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.arguments import Commands, folds, names, not_negative, positive, positive_number
from jobs.bank_options import BANK_FLAGS, BankOptions, BankSource
from jobs.loading_flags import add_loading_flags, loading_options
from jobs.recipe import ABOUT, DEFAULT_RECIPE, Recipe, choices_of, load_recipe, recipe_names
from jobs.store_flags import add_store_flags, store_options
from shardwriter.errors import ConfigError

if TYPE_CHECKING:
    from jobs.train_options import TrainOptions

# Jobs are imported when they run: torch alone takes seconds, and `--help` should not wait for it.


def add_demo(commands: Commands) -> None:
    """Add `melstream demo`."""
    parser = commands.add_parser(
        "demo",
        help="from 400 real clips in this package to a trained classifier and a report",
        description="Ingest the embedded ESC-10 clips, train on four folds with two processes, "
        "test on the fifth, and write an HTML report. Takes under 3 minutes on 2 cores; "
        "needs no network.",
    )
    parser.add_argument("--out", default="out/demo", help="folder to write (default: %(default)s)")
    parser.add_argument(
        "--epochs", type=positive, help="epochs to train (default: the recipe's)", metavar="N"
    )
    parser.add_argument(
        "--processes", type=positive, default=2, metavar="N", help="torchrun processes (default 2)"
    )
    parser.set_defaults(run=_demo)


def _demo(arguments: argparse.Namespace) -> int:
    from jobs.demo import DemoOptions, demo

    options = DemoOptions(
        out=Path(arguments.out), epochs=arguments.epochs, num_processes=arguments.processes
    )
    return demo(options)


def add_train(commands: Commands) -> None:
    """Add `melstream train`."""
    parser = commands.add_parser(
        "train",
        help="train a classifier or speaker network from shards, alone or under torchrun",
        description="Train a network on features of clips streamed from shards, and report how "
        "good it is on held-out ones: folds (--folds, --eval-fold) or a split (--eval-split). For "
        "several processes: torchrun --nproc-per-node N -m jobs.cli train URL ... On SIGTERM or "
        "SIGUSR1 it saves a checkpoint behind the running step, leaves the file `preempted` in "
        "--out and ends with status 85.",
    )
    parser.add_argument("url", metavar="URL")
    parser.add_argument(
        "--recipe",
        default=DEFAULT_RECIPE,
        help=f"{', '.join(recipe_names())}, or a TOML file (default: %(default)s); the settings "
        "below override it",
    )
    parser.add_argument(
        "--train-split", "--split", dest="splits", type=names, default=("train",), metavar="SPLITS",
        help="to train on, with commas between several (default: train)",
    )  # fmt: skip
    parser.add_argument("--folds", type=folds, metavar="1-4", help="to train on (default: all)")
    parser.add_argument("--eval-split", metavar="SPLIT", help="held out")
    parser.add_argument("--eval-fold", type=folds, metavar="5", help="held out")
    parser.add_argument(
        "--trials", metavar="NAME", help="pairs of speakers: a list beside the dataset, or a file"
    )
    parser.add_argument("--out", default="out/train", help="folder for checkpoint and results")
    parser.add_argument("--seed", type=not_negative, default=0)
    resuming = parser.add_mutually_exclusive_group()
    resuming.add_argument(
        "--resume", action="store_true", help="go on from the checkpoint in --out"
    )
    resuming.add_argument(
        "--resume-if-there", action="store_true", help="go on from it if there is one"
    )
    parser.add_argument(
        "--tensorboard", action="store_true", help="write scalars to OUT/tensorboard"
    )
    parser.add_argument("--report", action="store_true", help="write OUT/report.html")
    _add_settings(parser)
    _add_banks(parser)
    add_loading_flags(parser)
    add_store_flags(parser)
    parser.set_defaults(run=_train)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each setting of a recipe."""
    group = parser.add_argument_group("settings of the recipe")
    for setting in fields(Recipe):
        flag = "--" + setting.name.replace("_", "-")
        about = ABOUT[setting.name]
        if setting.type is bool:
            group.add_argument(
                flag, action=argparse.BooleanOptionalAction, default=None, help=about
            )
            continue
        choices = choices_of(setting.type)
        kind = str if choices else setting.type
        group.add_argument(
            flag,
            type=kind,
            choices=choices,
            metavar=None if choices else "X" if kind is float else "N" if kind is int else "NAME",
            help=about,
        )


def _add_banks(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the datasets that an augmentation recipe takes clips from."""
    group = parser.add_argument_group(
        "datasets of shards that a recipe of --augment takes clips from"
    )
    for name, (flag, split_flag, about) in BANK_FLAGS.items():
        group.add_argument(flag, dest=name, metavar="URL", help=f"for [{name}]: {about}")
        group.add_argument(
            split_flag,
            dest=f"{name}_splits",
            type=names,
            default=(),
            metavar="SPLITS",
            help=f"of {flag}, with commas between several (default: all)",
        )
    group.add_argument(
        "--bank-gb",
        type=positive_number,
        default=1.0,
        metavar="X",
        help="device memory for the clips of each of these datasets; where not all of them fit, "
        "others take their place each epoch (default: %(default)g)",
    )


def _banks(arguments: argparse.Namespace) -> BankOptions:
    sources = {}
    for name, (flag, split_flag, _) in BANK_FLAGS.items():
        url, splits = getattr(arguments, name), getattr(arguments, f"{name}_splits")
        if splits and url is None:
            raise ConfigError(f"{split_flag} is of no use without {flag} URL")
        if url is not None:
            sources[name] = BankSource(url=url, splits=splits)
    return BankOptions(sources=sources, num_bytes=round(arguments.bank_gb * 1e9))


def _recipe(arguments: argparse.Namespace) -> Recipe:
    """Return the recipe with the flags that were given."""
    given = {
        setting.name: getattr(arguments, setting.name)
        for setting in fields(Recipe)
        if getattr(arguments, setting.name) is not None
    }
    return load_recipe(arguments.recipe, given)


def train_options(arguments: argparse.Namespace) -> "TrainOptions":
    """Return what the arguments of `melstream train` ask for."""
    from jobs.train_options import TrainOptions

    return TrainOptions(
        url=arguments.url,
        splits=arguments.splits,
        folds=arguments.folds,
        eval_split=arguments.eval_split,
        eval_folds=arguments.eval_fold,
        trials=arguments.trials,
        out=Path(arguments.out),
        seed=arguments.seed,
        resume=arguments.resume,
        resume_if_there=arguments.resume_if_there,
        tensorboard=arguments.tensorboard,
        report=arguments.report,
        s3=store_options(arguments),
        loading=loading_options(arguments),
        recipe=_recipe(arguments),
        banks=_banks(arguments),
    )


def _train(arguments: argparse.Namespace) -> int:
    from jobs.train import run_training

    return run_training(train_options(arguments))


def add_evaluate(commands: Commands) -> None:
    """Add `melstream evaluate`."""
    parser = commands.add_parser(
        "evaluate",
        help="score held-out clips with a checkpoint",
        description="Score each clip of a split once, without augmentation, with the network of a "
        "checkpoint (its moving average where it has one). Under torchrun the clips are shared.",
    )
    parser.add_argument("url", metavar="URL")
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FILE")
    parser.add_argument("--split", default="test", help="(default: %(default)s)")
    parser.add_argument("--folds", type=folds, metavar="5", help="of the split (default: all)")
    parser.add_argument("--trials", metavar="NAME", help="pairs of speakers")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures as JSON")
    add_store_flags(parser)
    parser.set_defaults(run=_evaluate)


def _evaluate(arguments: argparse.Namespace) -> int:
    from jobs.evaluate import EvaluateOptions, run_evaluation

    return run_evaluation(
        EvaluateOptions(
            url=arguments.url,
            checkpoint=arguments.checkpoint,
            split=arguments.split,
            folds=arguments.folds,
            trials=arguments.trials,
            out=arguments.out,
            s3=store_options(arguments),
        )
    )


def add_stats(commands: Commands) -> None:
    """Add `melstream stats`."""
    parser = commands.add_parser(
        "stats",
        help="mean and deviation of features, classes, durations, silence, loudness",
        description="Read every clip of a split once and write stats/PRESET.json beside the "
        "dataset: mean and standard deviation of each feature band (for `train --standardise`), "
        "clips per class, durations, share of silence, loudness. Under torchrun the clips are "
        "shared.",
    )
    parser.add_argument("url", metavar="URL")
    parser.add_argument("--preset", default="small", help="front end (default: %(default)s)")
    parser.add_argument(
        "--split", dest="splits", type=names, default=("train",), metavar="SPLITS",
        help="with commas between several, which are measured as one (default: train)",
    )  # fmt: skip
    parser.add_argument("--folds", type=folds, metavar="1-4", help="of the split (default: all)")
    add_store_flags(parser)
    parser.set_defaults(run=_stats)


def _stats(arguments: argparse.Namespace) -> int:
    from jobs.dataset_stats import StatsOptions, run_stats

    return run_stats(
        StatsOptions(
            url=arguments.url,
            preset=arguments.preset,
            splits=arguments.splits,
            folds=arguments.folds,
            s3=store_options(arguments),
        )
    )

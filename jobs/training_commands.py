"""`melstream demo` and `melstream train`: their arguments."""

import argparse
from pathlib import Path

from jobs.arguments import Commands, folds, not_negative, positive
from jobs.store_flags import add_store_flags, store_options
from shardwriter.errors import ConfigError

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
        help="train a small CNN from shards, alone or under torchrun",
        description="Train a PANNs CNN10 of an eighth of its width on log-mels, streamed from "
        "shards, and report accuracy and macro mAP on the held-out fold. For several processes: "
        "torchrun --nproc-per-node N -m jobs.cli train URL ...",
    )
    parser.add_argument("url", metavar="URL")
    parser.add_argument("--split", default="train")
    parser.add_argument("--folds", type=folds, required=True, metavar="1-4", help="to train on")
    parser.add_argument("--eval-fold", type=not_negative, required=True, metavar="5")
    parser.add_argument("--out", default="out/train", help="folder for checkpoint and results")
    parser.add_argument("--epochs", type=positive, metavar="N", help="default: the recipe's")
    parser.add_argument(
        "--batch-size", type=positive, default=32, help="clips a step over all processes"
    )
    parser.add_argument("--seed", type=not_negative, default=0)
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    add_store_flags(parser)
    parser.set_defaults(run=_train)


def _train(arguments: argparse.Namespace) -> int:
    from jobs.recipe import TrainOptions
    from jobs.train import run_training

    if arguments.eval_fold in arguments.folds:
        raise ConfigError(f"--eval-fold {arguments.eval_fold} is also one of --folds")
    defaults = TrainOptions(url=arguments.url, folds=arguments.folds, eval_fold=1)
    options = TrainOptions(
        url=arguments.url,
        split=arguments.split,
        folds=arguments.folds,
        eval_fold=arguments.eval_fold,
        out=Path(arguments.out),
        epochs=arguments.epochs or defaults.epochs,
        batch_size=arguments.batch_size,
        seed=arguments.seed,
        resume=arguments.resume,
        s3=store_options(arguments),
    )
    return run_training(options)

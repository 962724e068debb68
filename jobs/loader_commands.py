"""`melstream doctor`: its arguments."""

import argparse
from typing import TYPE_CHECKING

from jobs.arguments import Commands, folds, names, not_negative, positive, positive_number
from jobs.store_flags import add_store_flags, store_options
from shardwriter.errors import ConfigError

if TYPE_CHECKING:
    from loader import LoaderConfig
    from loader.balance import Balance

# Jobs are imported when they run: torch alone takes seconds, and `--help` should not wait for it.


def add_doctor(commands: Commands) -> None:
    """Add `melstream doctor`."""
    parser = commands.add_parser(
        "doctor",
        help="what a training set-up would do, before the cluster starts",
        description="Plan an epoch from the dataset's index, without reading audio, and tell "
        "steps, dropped or padded samples, shards, classes, requests, cache and memory. Exit "
        "status 2 if the set-up can't work.",
    )
    parser.add_argument("url", metavar="URL")
    parser.add_argument(
        "--split", type=names, default=("train",), metavar="SPLITS",
        help="with commas between several (default: train)",
    )  # fmt: skip
    parser.add_argument("--world", type=positive, default=1, metavar="N", help="processes (GPUs)")
    parser.add_argument(
        "--gpus-per-node", type=positive, default=8, metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--batch-size", type=positive, default=64, metavar="N", help="clips a step on each GPU"
    )
    parser.add_argument(
        "--crop-seconds", type=positive_number, metavar="S", help="default: pad to the longest clip"
    )
    parser.add_argument(
        "--clips-per-second", type=positive_number, default=500.0, metavar="X",
        help="what each GPU is meant to take (default: %(default)g)",
    )  # fmt: skip
    parser.add_argument("--folds", type=folds, metavar="1-4")
    parser.add_argument("--tail", choices=("drop", "pad", "cycle"), default="drop")
    parser.add_argument(
        "--balance", type=_balance, metavar="RULE",
        help="inverse[:EXPONENT], repeat:THRESHOLD or effective:BETA",
    )  # fmt: skip
    parser.add_argument("--open-shards", type=positive, default=16, metavar="N")
    parser.add_argument("--num-streams", type=positive, default=1, metavar="N")
    parser.add_argument("--prefetch-batches", type=positive, default=4, metavar="N")
    parser.add_argument("--cache-dir", metavar="FOLDER", help="where each node would keep shards")
    parser.add_argument("--cache-gb", type=positive_number, default=100.0, metavar="GB")
    parser.add_argument(
        "--min-clips", type=not_negative, default=10, metavar="N",
        help="warn about classes with fewer (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    add_store_flags(parser)
    parser.set_defaults(run=_doctor)


def _doctor(arguments: argparse.Namespace) -> int:
    from jobs.doctor import Cluster
    from jobs.doctor_report import doctor

    cluster = Cluster(
        num_gpus=arguments.world,
        gpus_per_node=arguments.gpus_per_node,
        clips_per_second=arguments.clips_per_second,
    )
    return doctor(
        _config(arguments),
        cluster,
        min_clips=arguments.min_clips,
        as_json=arguments.json,
        s3=store_options(arguments),
    )


def _config(arguments: argparse.Namespace) -> "LoaderConfig":
    from loader import LoaderConfig

    settings = (
        "url", "split", "batch_size", "crop_seconds", "folds", "tail", "balance", "open_shards",
        "num_streams", "prefetch_batches", "cache_dir",
    )  # fmt: skip
    try:
        return LoaderConfig(
            **{name: getattr(arguments, name) for name in settings},
            cache_bytes=round(arguments.cache_gb * 1e9),
            pin_memory=False,
        )
    except ValueError as err:
        raise ConfigError(str(err)) from err


def _balance(text: str) -> "Balance":
    from loader import EffectiveNumber, InverseFrequency, RepeatFactor

    rule, _, number = text.partition(":")
    try:
        if rule == "inverse":
            return InverseFrequency(exponent=float(number or 1))
        if rule == "repeat":
            return RepeatFactor(threshold=float(number))
        if rule == "effective":
            return EffectiveNumber(beta=float(number))
    except ValueError as err:
        raise argparse.ArgumentTypeError(f"{text!r}: {err}") from err
    raise argparse.ArgumentTypeError(
        f"expected inverse[:EXPONENT], repeat:THRESHOLD or effective:BETA, got {text!r}"
    )

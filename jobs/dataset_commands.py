"""`melstream inspect`, `verify`, `split` and `sync`: their arguments."""

import argparse
from pathlib import Path

from jobs.arguments import Commands, add_workers, not_negative, positive, weights
from jobs.store_flags import add_store_flags, store_options, target_options
from shardwriter.errors import ConfigError

# Jobs are imported when they run: torch alone takes seconds, and `--help` should not wait for it.


def add_inspect(commands: Commands) -> None:
    """Add `melstream inspect`."""
    parser = commands.add_parser(
        "inspect",
        help="what a dataset holds; or one clip's labels and picture",
        description="Without KEY: splits, classes, folds, hours, bytes. With KEY: the clip's "
        "labels, and a PNG of its waveform and log-mel.",
    )
    parser.add_argument("url", metavar="URL")
    parser.add_argument("key", metavar="KEY", nargs="?", help="key or identity of a clip")
    parser.add_argument("--png", type=Path, metavar="FILE", help="where the picture goes")
    add_store_flags(parser)
    parser.set_defaults(run=_inspect)


def _inspect(arguments: argparse.Namespace) -> int:
    from jobs.inspection import inspect_clip, inspect_dataset

    if arguments.key is None:
        inspect_dataset(arguments.url, s3=store_options(arguments))
    else:
        s3 = store_options(arguments)
        inspect_clip(arguments.url, arguments.key, png=arguments.png, s3=s3)
    return 0


def add_verify(commands: Commands) -> None:
    """Add `melstream verify`."""
    parser = commands.add_parser(
        "verify",
        help="check that a dataset is whole, byte for byte",
        description="Check sizes, hashes, tar structure, labels, indexes and decoded audio of a "
        "dataset against its manifest. Exit status 1 if anything is wrong.",
    )
    parser.add_argument("url", metavar="URL")
    parser.add_argument("--no-decode", action="store_true", help="don't decode the audio (faster)")
    add_store_flags(parser)
    parser.add_argument(
        "--sample",
        type=positive,
        metavar="N",
        help="decode only N clips, chosen at random; all bytes are hashed all the same",
    )
    parser.add_argument("--seed", type=not_negative, default=0, help="for --sample (default 0)")
    parser.add_argument(
        "--repair-index",
        action="store_true",
        help="rebuild .idx, index/, parts/ and dataset.json from the tars instead, and say what "
        "changed; tars that are not those of the manifest are refused",
    )
    parser.add_argument(
        "--groups",
        action="store_true",
        help="look for leaks instead: groups, and identical audio, in two splits or folds; reads "
        "indexes only. Exit status 1 if there are any but those known of the published splits",
    )
    add_workers(parser)
    parser.set_defaults(run=_verify)


def _verify(arguments: argparse.Namespace) -> int:
    from jobs.leakage import check_groups
    from jobs.verify import repair_index, verify

    if arguments.groups and arguments.repair_index:
        raise ConfigError("choose one of --groups and --repair-index: each is a task of its own")
    if arguments.groups:
        return check_groups(arguments.url, s3=store_options(arguments))
    if arguments.repair_index:
        return repair_index(
            arguments.url, num_workers=arguments.workers, s3=store_options(arguments)
        )
    return verify(
        arguments.url,
        decode=not arguments.no_decode,
        num_sampled=arguments.sample,
        seed=arguments.seed,
        num_workers=arguments.workers,
        s3=store_options(arguments),
    )


def add_split(commands: Commands) -> None:
    """Add `melstream split`."""
    parser = commands.add_parser(
        "split",
        help="make a split that keeps groups together, for a set that lacks one",
        description="Deal the clips of a dataset out to splits or folds: no group (a speaker, an "
        "artist, a recording) and no audio lies in two, and classes are spread as evenly as groups "
        "allow, in multi-label sets too. Writes a csv for `melstream ingest --splits`. The same "
        "dataset and seed give the same file.",
    )
    parser.add_argument("url", metavar="URL")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the csv to write")
    parser.add_argument(
        "--parts",
        type=weights,
        default={"train": 8, "val": 1, "test": 1},
        metavar="NAME=WEIGHT,...",
        help="splits, and how much each gets (default: train=8,val=1,test=1)",
    )
    parser.add_argument(
        "--folds", type=positive, metavar="N", help="one split, train, of N folds instead"
    )
    parser.add_argument("--seed", type=not_negative, default=0, help="(default 0)")
    add_store_flags(parser)
    parser.set_defaults(run=_split)


def _split(arguments: argparse.Namespace) -> int:
    from jobs.split import SplitOptions, split_dataset

    options = SplitOptions(
        weights=arguments.parts if arguments.folds is None else {"train": 1},
        num_folds=arguments.folds,
        seed=arguments.seed,
    )
    return split_dataset(arguments.url, options, out=arguments.out, s3=store_options(arguments))


def add_sync(commands: Commands) -> None:
    """Add `melstream sync`."""
    parser = commands.add_parser(
        "sync",
        help="copy a dataset between folders and S3, checked against its manifest",
        description="Copy a dataset from one store to another. Shards go first, the manifest last; "
        "every hash is checked, and what is there already is left alone. Run it again after an "
        "interruption: it goes on where it stopped. Nothing is deleted. Exit status 1 if anything "
        "could not be copied whole.",
    )
    parser.add_argument("source", metavar="A", help="folder or s3:// URL of the dataset")
    parser.add_argument("target", metavar="B", help="folder or s3:// URL that becomes its copy")
    parser.add_argument(
        "--no-s5cmd", action="store_true", help="move shards by boto3, even where s5cmd could"
    )
    parser.add_argument(
        "--threads", type=positive, default=4, metavar="N", help="shards at a time (default 4)"
    )
    add_store_flags(parser)
    parser.add_argument("--target-endpoint-url", metavar="URL", help="B's, if it isn't A's")
    parser.add_argument("--target-profile", metavar="NAME", help="B's, if it isn't A's")
    parser.set_defaults(run=_sync)


def _sync(arguments: argparse.Namespace) -> int:
    from jobs.sync import SyncOptions, print_summary, sync

    options = SyncOptions(
        source=arguments.source,
        target=arguments.target,
        source_s3=store_options(arguments),
        target_s3=target_options(arguments),
        use_s5cmd=not arguments.no_s5cmd,
        num_threads=arguments.threads,
    )
    return print_summary(sync(options), options)

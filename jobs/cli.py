"""`melstream <command>`: arguments in, exit status out (0 done, 1 failed, 2 asked wrongly)."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

from jobs.console import complain, say
from jobs.store_flags import add_store_flags, store_options, target_options
from shardwriter.errors import ConfigError, MelstreamError

# Jobs are imported when they run: torch alone takes seconds, and `--help` should not wait for it.


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; errors that a user can mend are one line, without a traceback."""
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except ConfigError as err:
        return _fail(arguments.command, err, status=2)
    except MelstreamError as err:
        return _fail(arguments.command, err, status=1)
    except KeyboardInterrupt:
        return _fail(arguments.command, "interrupted", status=130)
    except BrokenPipeError:  # the reader of our output, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _fail(command: str, problem: object, *, status: int) -> int:
    complain(f"melstream {command}: {problem}")
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="melstream",
        description="Audio datasets as tar shards: ingest them, check them, train from them.",
        epilog="`melstream COMMAND --help` tells about a command. Begin with `melstream demo`.",
    )
    parser.add_argument("--version", action="version", version=f"melstream {version('melstream')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_demo(commands)
    _add_ingest(commands)
    _add_inspect(commands)
    _add_verify(commands)
    _add_sync(commands)
    _add_index(commands)
    _add_train(commands)
    return parser


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _add_demo(commands: Commands) -> None:
    parser = commands.add_parser(
        "demo",
        help="from 400 real clips in this package to a trained classifier and a report",
        description="Ingest the embedded ESC-10 clips, train on four folds with two processes, "
        "test on the fifth, and write an HTML report. Takes under 3 minutes on 2 cores; "
        "needs no network.",
    )
    parser.add_argument("--out", default="out/demo", help="folder to write (default: %(default)s)")
    parser.add_argument(
        "--epochs", type=_positive, help="epochs to train (default: the recipe's)", metavar="N"
    )
    parser.add_argument(
        "--processes", type=_positive, default=2, metavar="N", help="torchrun processes (default 2)"
    )
    parser.set_defaults(run=_demo)


def _demo(arguments: argparse.Namespace) -> int:
    from jobs.demo import DemoOptions, demo

    options = DemoOptions(
        out=Path(arguments.out), epochs=arguments.epochs, num_processes=arguments.processes
    )
    return demo(options)


def _add_ingest(commands: Commands) -> None:
    parser = commands.add_parser(
        "ingest",
        help="turn a dataset as published into shards",
        description="Turn a dataset as published into tar shards with JSON labels, an index and "
        "a manifest. Run it again after an interruption: it goes on where it stopped. "
        "Clips that are absent or damaged are listed in OUT/availability/rejections.jsonl.",
    )
    datasets = parser.add_subparsers(dest="dataset", required=True, metavar="DATASET")
    esc50 = datasets.add_parser(
        "esc50",
        help="ESC-50: 2,000 clips of 5 s, 50 classes, 5 folds",
        description=parser.description,
    )
    esc50.add_argument(
        "--source",
        required=True,
        metavar="DIR_OR_ZIP",
        help="ESC-50 as published: holds meta/esc50.csv and audio/ (wav, or the original ogg)",
    )
    esc50.add_argument("--out", required=True, metavar="URL", help="where the dataset goes")
    esc50.add_argument(
        "--subset",
        choices=("esc50", "esc10"),
        default="esc50",
        help="esc10: only the 400 clips of ESC-10 (default: all)",
    )
    esc50.add_argument("--sample-rate", type=_positive, default=32_000, metavar="HZ")
    esc50.add_argument(
        "--workers",
        type=_not_negative,
        default=len(os.sched_getaffinity(0)),
        metavar="N",
        help="processes that decode and encode (default: one a core; 0: none)",
    )
    esc50.add_argument(
        "--shard-clips", type=_positive, default=1000, metavar="N", help="clips a shard at most"
    )
    add_store_flags(esc50)
    esc50.add_argument(
        "--groups",
        choices=("ignore", "report", "refuse"),
        default="report",
        help="what to do with a group (a speaker, a recording) that lies in two splits "
        "(default: %(default)s)",
    )
    esc50.set_defaults(run=_ingest_esc50)


def _ingest_esc50(arguments: argparse.Namespace) -> int:
    from jobs.catalogues.esc50 import read_catalogue
    from jobs.ingest import IngestOptions, ingest
    from jobs.ingest_summary import print_summary
    from jobs.sources import open_source

    source = open_source(arguments.source)
    catalogue = read_catalogue(source, subset=arguments.subset)
    say(f"{catalogue.title}: {len(catalogue.clips)} clips listed in {source.url}")
    options = IngestOptions(
        out=arguments.out,
        sample_rate_hz=arguments.sample_rate,
        num_workers=arguments.workers,
        max_samples_per_shard=arguments.shard_clips,
        s3=store_options(arguments),
        group_rule=arguments.groups,
    )
    print_summary(ingest(catalogue, source, options), catalogue, out=arguments.out)
    return 0


def _add_inspect(commands: Commands) -> None:
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


def _add_verify(commands: Commands) -> None:
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
        type=_positive,
        metavar="N",
        help="decode only N clips, chosen at random; all bytes are hashed all the same",
    )
    parser.add_argument("--seed", type=_not_negative, default=0, help="for --sample (default 0)")
    parser.add_argument(
        "--repair-index",
        action="store_true",
        help="rebuild .idx, index/, parts/ and dataset.json from the tars instead, and say what "
        "changed; tars that are not those of the manifest are refused",
    )
    _add_workers(parser)
    parser.set_defaults(run=_verify)


def _verify(arguments: argparse.Namespace) -> int:
    from jobs.verify import repair_index, verify

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


def _add_sync(commands: Commands) -> None:
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
        "--threads", type=_positive, default=4, metavar="N", help="shards at a time (default 4)"
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


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers",
        type=_not_negative,
        default=len(os.sched_getaffinity(0)),
        metavar="N",
        help="processes that read shards (default: one a core)",
    )


def _add_index(commands: Commands) -> None:
    parser = commands.add_parser(
        "index",
        help="make WebDataset shards of others readable, without rewriting them",
        description="Read a folder of WebDataset tars that others made once, and write an index "
        "and a manifest beside them. Samples without audio or label are listed in "
        "URL/availability/rejections.jsonl.",
    )
    parser.add_argument("url", metavar="URL")
    parser.add_argument(
        "--split",
        action="append",
        type=_split_pattern,
        default=[],
        metavar="NAME=PATTERN",
        help="tars of a split, as a folder or a glob such as train='train-*.tar'; repeatable "
        "(default: all tars are the split train)",
    )
    parser.add_argument(
        "--label-field",
        metavar="FIELD",
        help="a member's extension, for JSON with a path: cls, txt, json.label, json.meta.tags "
        "(default: looked for in the first sample)",
    )
    parser.add_argument(
        "--labels", type=Path, metavar="FILE", help="vocabulary, a label a line in order of ids"
    )
    parser.add_argument(
        "--audio-extension",
        action="append",
        metavar="EXT",
        help="of audio members; repeatable (default: flac wav mp3 ogg opus m4a)",
    )
    parser.add_argument("--name", help="name of the dataset (default: that of the folder)")
    _add_workers(parser)
    add_store_flags(parser)
    parser.set_defaults(run=_index)


def _index(arguments: argparse.Namespace) -> int:
    from jobs.index_foreign import IndexOptions, index, print_index
    from shardwriter.foreign import AUDIO_SUFFIXES

    suffixes = [suffix.lstrip(".").lower() for suffix in arguments.audio_extension or ()]
    splits = dict(arguments.split)
    if len(splits) != len(arguments.split):
        raise ConfigError("--split names a split twice; give one pattern that matches all its tars")
    options = IndexOptions(
        url=arguments.url,
        splits=splits,
        label_field=arguments.label_field,
        audio_suffixes=tuple(suffixes) or AUDIO_SUFFIXES,
        vocabulary=arguments.labels,
        name=arguments.name,
        num_workers=arguments.workers,
        s3=store_options(arguments),
    )
    print_index(index(options), arguments.url)
    return 0


def _add_train(commands: Commands) -> None:
    parser = commands.add_parser(
        "train",
        help="train a small CNN from shards, alone or under torchrun",
        description="Train a PANNs CNN10 of an eighth of its width on log-mels, streamed from "
        "shards, and report accuracy and macro mAP on the held-out fold. For several processes: "
        "torchrun --nproc-per-node N -m jobs.cli train URL ...",
    )
    parser.add_argument("url", metavar="URL")
    parser.add_argument("--split", default="train")
    parser.add_argument("--folds", type=_folds, required=True, metavar="1-4", help="to train on")
    parser.add_argument("--eval-fold", type=_not_negative, required=True, metavar="5")
    parser.add_argument("--out", default="out/train", help="folder for checkpoint and results")
    parser.add_argument("--epochs", type=_positive, metavar="N", help="default: the recipe's")
    parser.add_argument(
        "--batch-size", type=_positive, default=32, help="clips a step over all processes"
    )
    parser.add_argument("--seed", type=_not_negative, default=0)
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


def _positive(text: str) -> int:
    number = _not_negative(text)
    if number == 0:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _not_negative(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}")
    return int(text)


def _split_pattern(text: str) -> tuple[str, str]:
    name, equals, pattern = text.partition("=")
    if not (name and equals and pattern):
        raise argparse.ArgumentTypeError(f"expected NAME=PATTERN, got {text!r}")
    return name, pattern


def _folds(text: str) -> tuple[int, ...]:
    """Read `1-4`, `1,3` or `2`."""
    folds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,3})(?:-(\d{1,3}))?", part, re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise argparse.ArgumentTypeError(f"expected folds such as 1-4 or 1,3,5, got {text!r}")
        folds.extend(range(first, last + 1))
    if len(set(folds)) != len(folds):
        raise argparse.ArgumentTypeError(f"expected each fold once, got {text!r}")
    return tuple(folds)


if __name__ == "__main__":
    sys.exit(main())

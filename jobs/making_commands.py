"""`melstream ingest` and `melstream index`: their arguments."""

import argparse
from pathlib import Path

from jobs.arguments import (
    Commands,
    add_workers,
    loudness,
    positive,
    silence,
    split_pattern,
)
from jobs.console import say
from jobs.running_flags import add_running_flags, running_options
from jobs.store_flags import add_store_flags, store_options
from shardwriter.errors import ConfigError

# Jobs are imported when they run: torch alone takes seconds, and `--help` should not wait for it.


def add_ingest(commands: Commands) -> None:
    """Add `melstream ingest`."""
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
    esc50.add_argument("--sample-rate", type=positive, default=32_000, metavar="HZ")
    _add_audio_choices(esc50)
    add_running_flags(esc50)
    add_store_flags(esc50)
    esc50.add_argument(
        "--groups",
        choices=("ignore", "report", "refuse"),
        default="report",
        help="what to do with a group (a speaker, a recording) that lies in two splits "
        "(default: %(default)s)",
    )
    esc50.set_defaults(run=_ingest_esc50)


def _add_audio_choices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--codec",
        choices=("flac", "wav", "opus", "source"),
        default="flac",
        help="how clips are stored, all 16 bit mono; source: the encoded files, untouched "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--normalize",
        type=loudness,
        metavar="none|peak|rms|lufs[:TARGET]",
        help="bring every clip to a loudness; TARGET is in dBFS, for lufs in LUFS "
        "(peak:-1, rms:-20, lufs:-23; default: none)",
    )
    parser.add_argument(
        "--trim-silence",
        type=silence,
        metavar="DBFS",
        help="leave out what is below this at both ends of a clip, but for 0.1 s, e.g. -60",
    )


def _ingest_esc50(arguments: argparse.Namespace) -> int:
    from jobs.catalogues.esc50 import read_catalogue
    from jobs.fetching.open_fetcher import open_fetcher
    from jobs.ingest import IngestOptions, ingest, plan
    from jobs.ingest_summary import print_summary
    from jobs.sources import open_source
    from shardwriter import Codec
    from shardwriter.audio import CleanOptions

    source = open_source(arguments.source)
    catalogue = read_catalogue(source, subset=arguments.subset)
    say(f"{catalogue.title}: {len(catalogue.clips)} clips listed in {source.url}")
    options = IngestOptions(
        out=arguments.out,
        sample_rate_hz=arguments.sample_rate,
        codec=Codec(arguments.codec),
        clean=CleanOptions(loudness=arguments.normalize, silence=arguments.trim_silence),
        s3=store_options(arguments),
        group_rule=arguments.groups,
        **running_options(arguments),
    )
    fetcher = open_fetcher(source.url)
    if arguments.dry_run:
        for line in plan(catalogue, fetcher, options):
            say(line)
        return 0
    summary = ingest(catalogue, fetcher, options)
    print_summary(summary, catalogue, out=arguments.out)
    return summary.exit_status


def add_index(commands: Commands) -> None:
    """Add `melstream index`."""
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
        type=split_pattern,
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
    add_workers(parser)
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

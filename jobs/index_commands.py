"""`melstream index`: its arguments."""

import argparse
from pathlib import Path

from jobs.arguments import Commands, add_workers, split_pattern
from jobs.store_flags import add_store_flags, store_options
from shardwriter.errors import ConfigError

# Jobs are imported when they run: torch alone takes seconds, and `--help` should not wait for it.


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

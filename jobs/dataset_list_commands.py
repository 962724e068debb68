"""`melstream datasets`: its arguments."""

import argparse
from pathlib import Path

from jobs.arguments import Commands

# Jobs are imported when they run: see `jobs.cli`.


def add_datasets(commands: Commands) -> None:
    """Add `melstream datasets`."""
    parser = commands.add_parser(
        "datasets",
        help="which datasets can be ingested; what to download, licence, layout, counts",
        description="Without NAME: the datasets that `melstream ingest` knows. With NAME: what to "
        "download, what it must look like, licence, published counts, known faults.",
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="a dataset, e.g. fsd50k")
    action = parser.add_mutually_exclusive_group()
    action.add_argument(
        "--check",
        type=Path,
        metavar="DIR",
        help="hash its archives in a folder. Exit status 1 if one is not as published",
    )
    action.add_argument(
        "--download",
        type=Path,
        metavar="DIR",
        help="fetch those of its files that are public, one at a time, into a folder; run again it "
        "goes on where it stopped. Exit status 1 if some could not be had",
    )
    parser.set_defaults(run=_datasets)


def _datasets(arguments: argparse.Namespace) -> int:
    from jobs.dataset_list import check, download_archives, show_dataset, show_datasets
    from shardwriter.errors import ConfigError

    if arguments.name is None:
        if arguments.check or arguments.download:
            raise ConfigError("--check and --download want the NAME of a dataset")
        return show_datasets()
    if arguments.check:
        return check(arguments.name, arguments.check)
    if arguments.download:
        return download_archives(arguments.name, arguments.download)
    return show_dataset(arguments.name)

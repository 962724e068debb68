"""The flags that say how a training reads its shards, beside the recipe."""

import argparse

from jobs.arguments import positive, positive_number, share_or_number
from jobs.loading_options import LoadingOptions


def add_loading_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags; those that `melstream doctor` judges are named as there."""
    default = LoadingOptions()
    group = parser.add_argument_group("loading")
    group.add_argument(
        "--num-threads", type=positive, default=default.num_threads, metavar="N",
        help="that each process fetches and decodes with (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--open-shards", type=positive, default=default.open_shards, metavar="N",
        help="whose clips are mixed with each other (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--num-streams", type=positive, default=default.num_streams, metavar="N",
        help="of shards: with --cache-dir the number of nodes, so that each fetches its own; part "
        "of the order, as is --open-shards, so neither can change on resuming (default: "
        "%(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--cache-dir", metavar="DIR",
        help="folder on the node's disk for the shards of a dataset on S3 or the web",
    )  # fmt: skip
    group.add_argument(
        "--cache-gb", type=positive_number, default=default.cache_bytes / 1e9, metavar="GB",
        help="keep at most so much there (default: %(default)g)",
    )  # fmt: skip
    group.add_argument(
        "--fetch-connections", type=positive, default=default.fetch_connections, metavar="N",
        help="requests of each process to the store at a time (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--error-budget", type=share_or_number, default=default.error_budget, metavar="X",
        help="damaged or lost clips that each process may do without in an epoch, a number or a "
        "share such as 0.001: others stand in for them (default: the first one is an error)",
    )  # fmt: skip
    group.add_argument(
        "--tail", choices=("drop", "cycle"), default=default.tail,
        help="what becomes of clips that don't fill an epoch's last step: dropped, in each epoch "
        "others, or filled up with clips that come again (default: %(default)s)",
    )  # fmt: skip


def loading_options(arguments: argparse.Namespace) -> LoadingOptions:
    """Return what the flags say."""
    return LoadingOptions(
        num_threads=arguments.num_threads,
        open_shards=arguments.open_shards,
        num_streams=arguments.num_streams,
        cache_dir=arguments.cache_dir,
        cache_bytes=round(arguments.cache_gb * 1e9),
        fetch_connections=arguments.fetch_connections,
        error_budget=arguments.error_budget,
        tail=arguments.tail,
    )

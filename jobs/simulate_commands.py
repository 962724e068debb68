"""`melstream simulate`: its arguments."""

import argparse

from jobs.arguments import Commands, positive
from jobs.store_flags import add_store_flags, store_options

# Jobs are imported when they run, so that `--help` doesn't wait for torch.


def add_simulate(commands: Commands) -> None:
    """Add `melstream simulate`."""
    parser = commands.add_parser(
        "simulate",
        help="what a fleet of GPUs would ask of the store, without audio",
        description="Replay the loader's plan for a fleet of GPUs without reading audio: requests "
        "a second, bytes by node, cache hits, waits for the slowest rank. Requests and bytes "
        "are counted from the plan; time is a model.",
    )
    parser.add_argument("url", metavar="URL", nargs="?", help="dataset (default: a made-up one)")
    parser.add_argument("--split", default="train")
    parser.add_argument("--gpus", type=positive, required=True, metavar="N")
    parser.add_argument("--gpus-per-node", type=positive, default=8, metavar="N")
    parser.add_argument("--batch-size", type=positive, default=64, metavar="N", help="of each GPU")
    parser.add_argument(
        "--clips-per-gpu", type=positive, default=1500, metavar="N", help="a second (%(default)s)"
    )
    parser.add_argument("--store", choices=("s3", "local"), default="s3")
    parser.add_argument("--cache-gb", type=positive, metavar="N", help="a node's; default: none")
    parser.add_argument("--connections", type=positive, default=32, metavar="N", help="a rank's")
    parser.add_argument("--latency-ms", type=positive, default=30, metavar="N", help="median")
    parser.add_argument("--streams", type=positive, default=1, metavar="N", help="num_streams")
    parser.add_argument("--open-shards", type=positive, default=16, metavar="N")
    parser.add_argument("--epochs", type=positive, default=2, metavar="N")
    parser.add_argument("--clips", type=positive, default=2_000_000, metavar="N", help="made up")
    parser.add_argument("--clip-bytes", type=positive, default=434_000, metavar="N")
    parser.add_argument("--shard-clips", type=positive, default=1000, metavar="N")
    add_store_flags(parser)
    parser.set_defaults(run=_simulate)


def _simulate(arguments: argparse.Namespace) -> int:
    from jobs.fleet import Fleet
    from jobs.simulate import SimulateOptions, print_simulation, simulate

    fleet = Fleet(
        num_gpus=arguments.gpus,
        gpus_per_node=arguments.gpus_per_node,
        batch_size=arguments.batch_size,
        clips_per_gpu=arguments.clips_per_gpu,
        cache_num_bytes=None if arguments.cache_gb is None else arguments.cache_gb * 10**9,
        num_connections=arguments.connections,
        latency_seconds=arguments.latency_ms / 1000,
    )
    options = SimulateOptions(
        fleet=fleet,
        url=arguments.url,
        split=arguments.split,
        s3=store_options(arguments),
        num_clips=arguments.clips,
        clip_num_bytes=arguments.clip_bytes,
        clips_per_shard=arguments.shard_clips,
        open_shards=arguments.open_shards,
        num_streams=arguments.streams,
        num_epochs=arguments.epochs,
        is_local=arguments.store == "local",
    )
    print_simulation(simulate(options))
    return 0

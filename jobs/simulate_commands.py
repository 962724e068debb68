"""`melstream simulate`: its arguments."""

import argparse

from jobs.arguments import Commands, positive, positive_number
from jobs.store_flags import add_store_flags, store_options

# Jobs are imported when they run, so that `--help` doesn't wait for torch.


def add_simulate(commands: Commands) -> None:
    """Add `melstream simulate`."""
    parser = commands.add_parser(
        "simulate",
        help="what a fleet of GPUs would ask of the store, without audio",
        description="Replay the loader's plan for a fleet of GPUs without reading audio: requests "
        "a second, bytes by node, cache hits, the first batch, waits for the slowest rank. "
        "Requests and bytes are counted from the plan; time is a model, whose constants are "
        "the options at the end.",
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
    parser.add_argument("--threads", type=positive, default=2, metavar="N", help="num_threads")
    parser.add_argument("--streams", type=positive, default=1, metavar="N", help="num_streams")
    parser.add_argument("--open-shards", type=positive, default=16, metavar="N")
    parser.add_argument("--epochs", type=positive, default=2, metavar="N")
    parser.add_argument("--clips", type=positive, default=2_000_000, metavar="N", help="made up")
    parser.add_argument("--clip-bytes", type=positive, default=434_000, metavar="N")
    parser.add_argument("--shard-clips", type=positive, default=1000, metavar="N")
    _add_speeds(parser)
    add_store_flags(parser)
    parser.set_defaults(run=_simulate)


def _add_speeds(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what things take")
    add = group.add_argument
    add(
        "--latency-ms",
        type=positive_number,
        default=30,
        metavar="N",
        help="to the first byte, median (%(default)s: AWS says tens of milliseconds under load, "
        "100 to 200 for single small objects)",
    )
    add(
        "--latency-spread",
        type=float,
        default=0.6,
        metavar="SIGMA",
        help="of its logarithm (%(default)s: one in a hundred takes four times the median)",
    )
    add(
        "--connection-mb",
        type=positive_number,
        default=85,
        metavar="N",
        help="MB/s of one connection (%(default)s, as AWS says)",
    )
    add(
        "--node-gbit",
        type=positive_number,
        default=100,
        metavar="N",
        help="Gbit/s of a node (%(default)s)",
    )
    add(
        "--decode-ms",
        type=positive_number,
        default=2,
        metavar="N",
        help="of a thread for a clip (%(default)s: 10 s of 32 kHz FLAC; "
        "loader.stats().decode_seconds / num_clips tells yours)",
    )


def _simulate(arguments: argparse.Namespace) -> int:
    from jobs.fleet import Fleet
    from jobs.fleet_pace import Speeds
    from jobs.simulate import SimulateOptions, simulate
    from jobs.simulate_report import print_simulation

    fleet = Fleet(
        num_gpus=arguments.gpus,
        gpus_per_node=arguments.gpus_per_node,
        batch_size=arguments.batch_size,
        clips_per_gpu=arguments.clips_per_gpu,
        cache_num_bytes=None if arguments.cache_gb is None else arguments.cache_gb * 10**9,
        num_connections=arguments.connections,
        num_threads=arguments.threads,
    )
    speeds = Speeds(
        latency_seconds=arguments.latency_ms / 1000,
        latency_spread=arguments.latency_spread,
        bytes_per_second=arguments.connection_mb * 1e6,
        node_bytes_per_second=arguments.node_gbit * 1e9 / 8,
        decode_seconds=arguments.decode_ms / 1000,
    )
    options = SimulateOptions(
        fleet=fleet,
        speeds=speeds,
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

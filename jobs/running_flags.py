"""The flags of `melstream ingest` that say how it runs, the same for every dataset."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.arguments import not_negative, positive

if TYPE_CHECKING:
    from jobs.ingesting.parts import Part


def add_running_flags(parser: argparse.ArgumentParser) -> None:
    """Add them to the parser of a dataset."""
    parser.add_argument(
        "--workers",
        type=not_negative,
        metavar="N",
        help="processes that fetch, decode and encode; 0: none (default: one a core)",
    )
    parser.add_argument(
        "--shard-clips", type=positive, default=1000, metavar="N", help="clips a shard at most"
    )
    parser.add_argument(
        "--executor",
        choices=("local", "ray"),
        default="local",
        help="ray: the CPUs of a Ray cluster do it, a shard a task (default: %(default)s)",
    )
    parser.add_argument(
        "--ray-address", metavar="ADDRESS", help="of the cluster (default: what Ray finds)"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="say how many clips, requests, bytes and days it takes, and do nothing",
    )
    turn = parser.add_mutually_exclusive_group()
    turn.add_argument(
        "--part",
        type=_part,
        metavar="K/N",
        help="do the K-th of N parts, as one job of an array; jobs may run at the same time, the "
        "last to end publishes the dataset. Slurm: --part $SLURM_ARRAY_TASK_ID/64 with "
        "--array=1-64",
    )
    turn.add_argument(
        "--merge",
        action="store_true",
        help="fetch nothing: publish what parts have made, if some will never end",
    )
    parser.add_argument(
        "--retry",
        action="append",
        choices=("gone", "gated", "unknown", "all"),
        default=[],
        help="ask again for clips that earlier runs found so; repeatable (default: those for which "
        "it is time: gone ones once more after a day, gated ones with other credentials)",
    )
    parser.add_argument(
        "--when-blocked",
        choices=("stop", "wait"),
        default="stop",
        help="what to do when the source blocks us: stop with status 75, or wait and ask again for "
        "some hours first (default: %(default)s)",
    )
    parser.add_argument(
        "--region",
        default="",
        metavar="NAME",
        help="what you call the place that you ask from, for the log, e.g. eu-west",
    )
    parser.add_argument(
        "--work",
        type=Path,
        metavar="DIR",
        help="local folder for what is fetched and not published yet; a run that was killed goes "
        "on from there (default: hidden in OUT, for S3 in your cache)",
    )
    parser.add_argument(
        "--work-gb",
        type=positive,
        default=16,
        metavar="GB",
        help="keep at most so much there (default: %(default)s)",
    )


def running_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what they say, as fields of `IngestOptions`."""
    from jobs.availability.attempt import Vantage

    num_cores = len(os.sched_getaffinity(0))
    return {
        "num_workers": num_cores if arguments.workers is None else arguments.workers,
        "max_samples_per_shard": arguments.shard_clips,
        "executor": arguments.executor,
        "ray_address": arguments.ray_address,
        "part": arguments.part,
        "merge_only": arguments.merge,
        "retry": tuple(arguments.retry),
        "waits_when_blocked": arguments.when_blocked == "wait",
        "vantage": Vantage(
            region=arguments.region,
            is_authenticated=arguments.cookies is not None,
            is_proxied=arguments.proxy is not None,
        ),
        "work": arguments.work,
        "max_spool_bytes": arguments.work_gb * 10**9,
    }


def _part(text: str) -> "Part":
    from jobs.ingesting.parts import Part

    try:
        return Part.parse(text)
    except ValueError as err:
        raise argparse.ArgumentTypeError(str(err)) from err

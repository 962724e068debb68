"""`melstream simulate`: what a fleet asks of the store, from the plan and without audio."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jobs.console import human_bytes, say, table
from jobs.fleet import Clips, EpochTraffic, Fleet, Pace, Traffic, pace
from loader import LoaderConfig
from loader.mixture import open_datasets
from loader.plan import EpochOrder, OrderPolicy, epoch_order
from shardwriter.errors import ConfigError
from shardwriter.storage import S3Options, open_store

S3_GETS_PER_PREFIX = 5500
"""A second, before S3 begins to answer 503 ("Best practices design patterns", Amazon S3 guide)."""
DOLLARS_PER_1000_GETS = 0.0004
"""S3 Standard, us-east-1."""
DOLLARS_PER_GB_ACROSS_REGIONS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateOptions:
    """What to play."""

    fleet: Fleet
    url: str | None = None
    """The dataset; None: one that is made up of equal clips."""
    split: str = "train"
    s3: S3Options | None = None
    num_clips: int = 2_000_000
    clip_num_bytes: int = 434_000
    """About what 10 s at 32 kHz take as 16-bit FLAC."""
    clips_per_shard: int = 1000
    open_shards: int = 16
    num_streams: int = 1
    num_epochs: int = 2
    seed: int = 0
    is_local: bool = False
    """Whether clips are read from a local disk, which costs no requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What came of it."""

    options: SimulateOptions
    num_shards: int
    dataset_num_bytes: int
    epochs: tuple[EpochTraffic, ...]
    pace: Pace


def simulate(options: SimulateOptions) -> Simulation:
    """Play some epochs of training.

    Raises:
        ConfigError: no dataset, or too few clips for a step of the fleet.
    """
    clips, dataset_of_shard = _clips(options)
    fleet = options.fleet
    num_samples = fleet.num_gpus * fleet.batch_size
    if len(clips.shard_N) < num_samples:
        raise ConfigError(
            f"{len(clips.shard_N):,} clips don't fill one step of {fleet.num_gpus} GPUs with "
            f"{fleet.batch_size} each: choose fewer GPUs or a smaller batch"
        )
    traffic = Traffic(clips, fleet)
    epochs = tuple(
        traffic.epoch(_order(clips, dataset_of_shard, options, epoch))
        for epoch in range(options.num_epochs)
    )
    return Simulation(
        options=options,
        num_shards=len(clips.shard_num_bytes),
        dataset_num_bytes=int(clips.shard_num_bytes.sum()),
        epochs=epochs,
        pace=pace(float(clips.num_bytes_N.mean()), fleet, num_steps=epochs[0].num_steps),
    )


def _clips(options: SimulateOptions) -> tuple[Clips, np.ndarray]:
    if options.url is None:
        clips = Clips.made_up(
            num_clips=options.num_clips,
            clip_num_bytes=options.clip_num_bytes,
            clips_per_shard=options.clips_per_shard,
        )
        return clips, np.zeros(len(clips.shard_num_bytes), dtype=np.int32)
    config = LoaderConfig(url=options.url, split=options.split, batch_size=1, crop_seconds=1.0)
    index = open_datasets([open_store(options.url, options.s3)], config.selections)
    clips = Clips(
        shard_N=index.shard_N,
        offset_N=index.audio_offset_N,
        num_bytes_N=index.audio_num_bytes_N,
        shard_num_bytes=np.array(index.tar_num_bytes, dtype=np.int64),
    )
    return clips, index.dataset_of_shard


def _order(
    clips: Clips, dataset_of_shard: np.ndarray, options: SimulateOptions, epoch: int
) -> EpochOrder:
    num_streams = min(options.num_streams, len(clips.shard_num_bytes) // options.open_shards)
    policy = OrderPolicy(
        shuffle=True, open_shards=options.open_shards, num_streams=max(1, num_streams)
    )
    return epoch_order(
        clips.shard_N,
        policy=policy,
        seed=options.seed,
        epoch=epoch,
        dataset_of_shard=dataset_of_shard,
    )


def print_simulation(simulation: Simulation) -> None:
    """Print what the nodes and the store would have to carry."""
    options, fleet = simulation.options, simulation.options.fleet
    first = simulation.epochs[0]
    say(
        f"{fleet.num_gpus:,} GPUs on {fleet.num_nodes:,} nodes, batches of {fleet.batch_size}, "
        f"{fleet.clips_per_gpu:,.0f} clips/s each; {simulation.num_shards:,} shards, "
        f"{human_bytes(simulation.dataset_num_bytes)}"
    )
    seconds = first.num_steps * fleet.batch_size / fleet.clips_per_gpu
    rows = [
        ("an epoch", f"{first.num_steps:,} steps, {seconds:,.0f} s at that speed"),
        (
            "the fleet needs",
            f"{fleet.num_gpus * fleet.clips_per_gpu:,.0f} clips/s, "
            f"{human_bytes(first.num_bytes_needed / seconds)}/s of audio",
        ),
    ]
    if not options.is_local:
        for number, epoch in enumerate(simulation.epochs):
            rows += _traffic_rows(number, epoch, seconds, fleet)
        if fleet.cache_num_bytes is None:
            rows += _pace_rows(simulation)
    table(rows)
    for line in _advice(simulation, seconds):
        say(f"  {line}")


def _traffic_rows(
    number: int, epoch: EpochTraffic, seconds: float, fleet: Fleet
) -> list[tuple[str, str]]:
    rate = epoch.num_requests / seconds
    rows = [
        (
            f"epoch {number}: store",
            f"{epoch.num_requests:,} GETs ({rate:,.0f}/s), "
            f"{human_bytes(epoch.num_bytes_fetched)} "
            f"({human_bytes(epoch.num_bytes_fetched / seconds)}/s), "
            f"{epoch.amplification:.2f} bytes fetched for one needed, "
            f"${epoch.num_requests / 1000 * DOLLARS_PER_1000_GETS:,.2f} of GETs",
        ),
        (
            f"epoch {number}: node",
            f"{human_bytes(epoch.max_node_num_bytes)} "
            f"({8 * epoch.max_node_num_bytes / seconds / 1e9:,.2f} Gbit/s) at the busiest",
        ),
    ]
    if fleet.cache_num_bytes is not None:
        share = epoch.num_cache_hits / max(1, epoch.num_cache_visits)
        rows.append((f"epoch {number}: cache", f"{share:.0%} of the shards were on the nodes"))
    return rows


def _pace_rows(simulation: Simulation) -> list[tuple[str, str]]:
    fleet, paced = simulation.options.fleet, simulation.pace
    return [
        ("first batch", f"after {paced.first_batch_seconds:.2f} s of fetching"),
        (
            "speed",
            f"{paced.clips_per_gpu:,.0f} clips/s on each GPU; the slowest of the ranks' fetches "
            f"costs {paced.waiting_share:.0%} of the time",
        ),
        (
            "connections",
            f"{paced.connections_needed:,.0f} of each rank would be busy, it has "
            f"{fleet.num_connections}",
        ),
    ]


def _advice(simulation: Simulation, seconds: float) -> Sequence[str]:
    options, fleet, first = simulation.options, simulation.options.fleet, simulation.epochs[0]
    lines = []
    if options.is_local:
        return ["Read from local disks: nothing is asked of a store."]
    rate = first.num_requests / seconds
    if rate > S3_GETS_PER_PREFIX:
        way_out = "set cache_dir" if fleet.cache_num_bytes is None else "warm up slowly"
        lines.append(
            f"{rate:,.0f} GETs/s are {rate / S3_GETS_PER_PREFIX:,.1f} x what S3 serves for one "
            f"prefix before it has split it: expect 503 at first; {way_out}."
        )
    if fleet.cache_num_bytes is None and simulation.pace.waiting_share > 0.05:
        lines.append(
            "The connections can't keep up: raise fetch_connections, or set cache_dir, which asks "
            "for 8 MiB at a time."
        )
    if first.amplification > 1.1:
        lines.append(
            f"Each byte is fetched {first.amplification:.1f} times, because every node touches "
            "shards of all: set num_streams to the number of nodes."
        )
    dollars = first.num_bytes_fetched / 1e9 * DOLLARS_PER_GB_ACROSS_REGIONS
    lines.append(f"From another region each such epoch would cost ${dollars:,.0f} of transfer.")
    return lines

"""`melstream simulate`: what a fleet asks of the store, from the plan and without audio."""

import time
from dataclasses import dataclass, field

import numpy as np

from jobs.fleet import Clips, EpochTraffic, Fleet, Origin, Traffic, dealt
from jobs.fleet_pace import Pace, Speeds, pace
from loader import LoaderConfig
from loader.mixture import open_datasets
from loader.plan import EpochOrder, OrderPolicy, epoch_order
from shardwriter.errors import ConfigError
from shardwriter.schema import MANIFEST_NAME
from shardwriter.shard_names import index_name
from shardwriter.storage import S3Options, Store, open_store

_INDEX_BYTES_A_CLIP = 41
"""Of an index of clips with YouTube ids and AudioSet's 527 labels, as `ShardWriter` makes it."""
_MANIFEST_BYTES_A_SHARD = 400
_OPENING_REQUESTS = 3
"""One after the other: is there a manifest, the manifest, the index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateOptions:
    """What to play."""

    fleet: Fleet
    speeds: Speeds = field(default_factory=Speeds)
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
class Opening:
    """What making the loaders asks of the store: each rank reads manifest and index."""

    num_requests: int
    num_bytes: int
    """Of all ranks."""
    seconds: float
    """Of the model, for one rank."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What came of it."""

    options: SimulateOptions
    num_shards: int
    num_streams: int
    """As many as the shards allow."""
    dataset_num_bytes: int
    opening: Opening
    plan_seconds: float
    """That planning the first epoch took here; every rank does it."""
    epochs: tuple[EpochTraffic, ...]
    paces: tuple[Pace, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dataset:
    clips: Clips
    dataset_of_shard: np.ndarray
    opening_num_bytes: int
    """Of manifest and index."""


def simulate(options: SimulateOptions) -> Simulation:
    """Play some epochs of training.

    Raises:
        ConfigError: no dataset, or too few clips for a step of the fleet.
    """
    dataset = _made_up(options) if options.url is None else _opened(options, options.url)
    clips, fleet = dataset.clips, options.fleet
    if len(clips.shard_N) < fleet.num_gpus * fleet.batch_size:
        raise ConfigError(
            f"{len(clips.shard_N):,} clips don't fill one step of {fleet.num_gpus} GPUs with "
            f"{fleet.batch_size} each: choose fewer GPUs or a smaller batch"
        )
    num_streams = max(1, min(options.num_streams, _num_shards(clips) // options.open_shards))
    policy = OrderPolicy(shuffle=True, open_shards=options.open_shards, num_streams=num_streams)
    traffic = Traffic(clips, fleet)
    epochs, paces, plan_seconds = [], [], []
    for epoch in range(options.num_epochs):
        begin = time.perf_counter()
        order = _order(dataset, policy, seed=options.seed, epoch=epoch)
        plan_seconds.append(time.perf_counter() - begin)
        counted = traffic.epoch(order)
        epochs.append(counted)
        paces.append(_pace(order, counted, clips, options, policy))
    return Simulation(
        options=options,
        num_shards=_num_shards(clips),
        num_streams=num_streams,
        dataset_num_bytes=int(clips.shard_num_bytes.sum()),
        opening=_opening(dataset, options),
        plan_seconds=plan_seconds[0],
        epochs=tuple(epochs),
        paces=tuple(paces),
    )


def _num_shards(clips: Clips) -> int:
    return len(np.unique(clips.shard_N))


def _made_up(options: SimulateOptions) -> _Dataset:
    clips = Clips.made_up(
        num_clips=options.num_clips,
        clip_num_bytes=options.clip_num_bytes,
        clips_per_shard=options.clips_per_shard,
    )
    num_shards = len(clips.shard_num_bytes)
    return _Dataset(
        clips=clips,
        dataset_of_shard=np.zeros(num_shards, dtype=np.int32),
        opening_num_bytes=_INDEX_BYTES_A_CLIP * options.num_clips
        + _MANIFEST_BYTES_A_SHARD * num_shards,
    )


def _opened(options: SimulateOptions, url: str) -> _Dataset:
    store: Store = open_store(url, options.s3)
    config = LoaderConfig(url=url, split=options.split, batch_size=1, crop_seconds=1.0)
    index = open_datasets([store], config.selections)
    return _Dataset(
        clips=Clips(
            shard_N=index.shard_N,
            offset_N=index.audio_offset_N,
            num_bytes_N=index.audio_num_bytes_N,
            shard_num_bytes=np.array(index.tar_num_bytes, dtype=np.int64),
        ),
        dataset_of_shard=index.dataset_of_shard,
        opening_num_bytes=store.size(MANIFEST_NAME) + store.size(index_name(options.split)),
    )


def _order(dataset: _Dataset, policy: OrderPolicy, *, seed: int, epoch: int) -> EpochOrder:
    return epoch_order(
        dataset.clips.shard_N,
        policy=policy,
        seed=seed,
        epoch=epoch,
        dataset_of_shard=dataset.dataset_of_shard,
    )


def _opening(dataset: _Dataset, options: SimulateOptions) -> Opening:
    speeds, num_gpus = options.speeds, options.fleet.num_gpus
    if options.is_local:
        return Opening(num_requests=0, num_bytes=0, seconds=0.0)
    return Opening(
        num_requests=_OPENING_REQUESTS * num_gpus,
        num_bytes=dataset.opening_num_bytes * num_gpus,
        seconds=_OPENING_REQUESTS * speeds.mean_latency_seconds
        + dataset.opening_num_bytes / speeds.bytes_per_second,
    )


def _pace(
    order: EpochOrder,
    counted: EpochTraffic,
    clips: Clips,
    options: SimulateOptions,
    policy: OrderPolicy,
) -> Pace:
    if options.is_local:
        counted.origin_DK[counted.origin_DK != Origin.NOT_NEEDED] = Origin.CACHED
    return pace(
        dealt(order, options.fleet),
        counted,
        clips,
        options.fleet,
        options.speeds,
        num_open_shards=policy.open_shards * policy.num_streams,
    )

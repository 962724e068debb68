"""`melstream cache-features`: the log-mels of every clip, as shards that the loader reads.

Each shard of audio becomes one of features, under the same name and with the same clips in the same
order, by one process and clip by clip: so the bytes don't depend on how many processes there are,
nor on how often they were killed. Processes share the shards out and need not meet: who finds that
no shard is missing publishes the manifest, and if several do, they publish the same one.
"""

import contextlib
import functools
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any, Literal

import torch

from jobs.console import human_bytes, progress, say, table
from jobs.feature_shard import FeatureTask, make_shard
from jobs.front_end import front_end_config
from jobs.shard_pool import map_shards
from loader import World
from loader.dataset import open_dataset
from loader.features import LogMelConfig
from shardwriter.errors import ConfigError, TransientStorageError
from shardwriter.feature_format import FeatureFormat
from shardwriter.manifest import Manifest, load_manifest, load_parts
from shardwriter.publish import load_idx, merge_lanes
from shardwriter.schema import Settings, ShardEntry
from shardwriter.storage import S3Options, Store, open_store

DeviceChoice = Literal["auto", "cpu", "cuda"]

_MAX_WORKERS_A_GPU = 8
"""Each holds some hundred megabytes of the GPU beside what it computes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureCacheOptions:
    """What to compute, and where it goes."""

    url: str
    out: str
    preset: str = "small"
    splits: tuple[str, ...] | None = None
    """None takes all."""
    num_workers: int | None = None
    """Processes on each rank; None shares the machine's cores out among its ranks."""
    device: DeviceChoice = "auto"
    s3: S3Options | None = None
    out_s3: S3Options | None = None
    quiet: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureCacheSummary:
    """What came of it."""

    manifest: Manifest | None
    """None: other processes have shards to do yet."""
    num_shards: int
    """Of the splits that were asked for."""
    num_made: int
    """By this process, this time."""
    num_missing: int
    source_num_bytes: int
    seconds: float


def run_feature_cache(options: FeatureCacheOptions) -> int:
    """Make the shards, and print what came of it."""
    _print(cache_features(options), options)
    return 0


def cache_features(
    options: FeatureCacheOptions, *, world: World | None = None
) -> FeatureCacheSummary:
    """Make this process's part of the shards that are missing.

    Args:
        options: What to compute, and where it goes.
        world: This process among all; None means as torchrun set the environment.

    Raises:
        ConfigError: no such dataset, split, preset or device; shards of others; features, cut
            clips or a target with other features.
        ShardFormatError: a shard of audio is damaged.
        StorageError: a store can't be read or written.
    """
    started = time.monotonic()
    world = World.from_env() if world is None else world
    source = open_store(options.url, options.s3)
    target = open_store(options.out, options.out_s3)
    manifest = load_manifest(source)
    shards = [
        shard
        for split in options.splits or tuple(manifest.splits)
        for shard in manifest.shards_of(split)
    ]
    task = _task(options, source, manifest, world)
    held = _held(target, task.settings)
    _refuse_other_clips(source, target, [shard for shard in shards if shard.tar in held])
    # By their place among all shards, which every process sees alike, whenever it begins.
    numbers = {shard.tar: number for number, shard in enumerate(manifest.shards)}
    mine = [
        (numbers[shard.tar], shard)
        for shard in shards
        if shard.tar not in held and numbers[shard.tar] % world.size == world.rank
    ]
    num_workers = _num_workers(options, world, device=task.device)
    made = map_shards(functools.partial(make_shard, task), mine, num_workers=num_workers)
    hidden = options.quiet or world.rank != 0
    for _ in progress(made, total=len(mine), what="features", unit="shard", hidden=hidden):
        pass
    num_missing = len({shard.tar for shard in shards} - _held(target, task.settings))
    published = None
    if not num_missing:
        provenance = _provenance(manifest, device=torch.device(task.device).type)
        with target.lock_for_writing(f"p{world.rank:03d}of{world.size:03d}"):
            published = merge_lanes(target, task.settings, provenance=provenance).manifest
        with contextlib.suppress(TransientStorageError), target.lock_for_writing():
            pass  # clears what killed runs have left, unless another process is at work
    return FeatureCacheSummary(
        manifest=published,
        num_shards=len(shards),
        num_made=len(mine),
        num_missing=num_missing,
        source_num_bytes=sum(shard.num_bytes for shard in shards),
        seconds=time.monotonic() - started,
    )


def feature_settings(source: Settings, preset: str, log_mel: LogMelConfig) -> Settings:
    """Return the settings of a dataset of features of another one's clips."""
    return replace(
        source,
        features=FeatureFormat(
            preset=preset,
            parameters=asdict(log_mel),
            num_mels=log_mel.num_mels,
            frame_rate_hz=log_mel.sample_rate_hz / log_mel.hop_samples,
        ),
    )


def _task(
    options: FeatureCacheOptions, source: Store, manifest: Manifest, world: World
) -> FeatureTask:
    if manifest.settings.foreign is not None:
        raise ConfigError(
            f"{source.url} indexes shards that others made, whose samples have no record of ours "
            "to take over; ingest them first (melstream ingest)"
        )
    if manifest.settings.features is not None:
        raise ConfigError(
            f"{source.url} holds {manifest.settings.features.description} already; give the "
            "dataset of audio"
        )
    splits = options.splits or tuple(manifest.splits)
    index = open_dataset(source, split=splits, folds=None)
    log_mel = front_end_config(options.preset, sample_rate_hz=index.sample_rate_hz).log_mel
    longest = int(index.num_samples_N.max())
    if log_mel.clip_samples is not None and longest > log_mel.clip_samples:
        row = int(index.num_samples_N.argmax())
        raise ConfigError(
            f"--preset {options.preset} takes the first "
            f"{log_mel.clip_samples / log_mel.sample_rate_hz:g} s of a clip, and {index.keys[row]} "
            f"has {longest / index.sample_rate_hz:g} s, the rest of which would never be seen: "
            "train on the audio with crops"
        )
    return FeatureTask(
        url=options.url,
        out=options.out,
        s3=options.s3,
        out_s3=options.out_s3,
        settings=feature_settings(manifest.settings, options.preset, log_mel),
        log_mel=log_mel,
        device=_device(options.device, world),
    )


def _device(choice: DeviceChoice, world: World) -> str:
    has_cuda = torch.cuda.is_available()
    if choice == "cuda" and not has_cuda:
        raise ConfigError("--device cuda: this process sees no CUDA device; leave it out")
    return f"cuda:{world.local_rank}" if has_cuda and choice != "cpu" else "cpu"


def _num_workers(options: FeatureCacheOptions, world: World, *, device: str) -> int:
    if options.num_workers is not None:
        return options.num_workers
    share = max(1, len(os.sched_getaffinity(0)) // len(world.ranks_of_node))
    return share if device == "cpu" else min(share, _MAX_WORKERS_A_GPU)


def _held(target: Store, settings: Settings) -> set[str]:
    """Return the shards that are done.

    Raises:
        ConfigError: one of them is of another dataset or preset.
    """
    entries = load_parts(target)
    for entry in entries:
        if entry.settings_digest != settings.digest:
            raise ConfigError(
                f"{target.url}/{entry.tar} is of another dataset or preset; choose another --out"
            )
    return {entry.tar for entry in entries}


def _refuse_other_clips(source: Store, target: Store, shards: Sequence[ShardEntry]) -> None:
    """Refuse features of clips that have changed since.

    Raises:
        ConfigError: with the shard.
    """
    columns = ["key", "num_samples", "pcm_hash"]
    for shard in shards:
        ours, theirs = (load_idx(store, shard.tar).select(columns) for store in (target, source))
        if not ours.equals(theirs):
            raise ConfigError(
                f"{target.url}/{shard.tar} holds features of other clips than "
                f"{source.url}/{shard.tar}, which was made anew; choose another --out"
            )


def _provenance(manifest: Manifest, *, device: str) -> dict[str, Any]:
    """Return the audio's provenance, and how the features were made of it."""
    return {
        **manifest.provenance,
        "features": {
            "source_digest": manifest.digest,
            "device": device,
            "versions": {name: version(name) for name in ("melstream", "torch", "numpy")},
        },
    }


def _print(summary: FeatureCacheSummary, options: FeatureCacheOptions) -> None:
    if summary.manifest is None:
        say(
            f"  {summary.num_made} shards made; {summary.num_missing} are left to other processes, "
            "the last of which publishes the dataset (if none is at work, run it again)"
        )
        return
    features, shards = summary.manifest.settings.features, summary.manifest.shards
    num_bytes = sum(shard.num_bytes for shard in shards)
    table(
        [
            ("features", features.description if features else ""),
            ("clips", f"{sum(shard.num_samples for shard in shards):,} in {len(shards)} shards"),
            ("bytes", f"{human_bytes(num_bytes)}"),
            ("audio", f"{human_bytes(summary.source_num_bytes)} in {summary.num_shards} shards"),
            ("made now", f"{summary.num_made} shards in {summary.seconds:.1f} s"),
            ("dataset", options.out),
        ]
    )

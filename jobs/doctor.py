"""What a set-up would do, from the index alone: no audio is read, no accelerator needed. Pure.

Axes: N samples of the selection, K labels, V shards.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.doctor_mixing import Mixing, mixing_of
from loader import LoaderConfig, ShardLoader
from loader.dataset import NO_FOLD, DatasetIndex
from loader.ranges import MAX_REQUEST_BYTES
from shardwriter.storage import LocalStore

S3_REQUESTS_PER_SECOND = 5500
"""GET requests a second that S3 serves for each prefix, at least: AWS, "Best practices design
patterns: optimizing Amazon S3 performance"."""

_INT16_BYTES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The machines that a run would have."""

    num_gpus: int
    gpus_per_node: int
    clips_per_second: float
    """That each GPU is meant to take."""

    @property
    def num_nodes(self) -> int:
        """Machines."""
        return math.ceil(self.num_gpus / self.gpus_per_node)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """An epoch, as each rank sees it."""

    num_samples: int
    """In the epoch, of all ranks."""
    num_steps: int
    samples_per_step: int
    num_dropped: int
    """Samples that the tail leaves out, in each epoch others."""
    num_repeated: int
    """Rows that pad, or that come again, to fill the last step."""
    epoch_seconds: float
    """At the rate that the GPUs are meant to have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shards:
    """The shards that the selection lies in."""

    num: int
    smallest: str
    smallest_num_bytes: int
    largest: str
    largest_num_bytes: int
    median_num_bytes: int
    min_samples: int
    """Fewest selected samples in one."""
    max_samples: int
    total_num_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """How long clips are, and how much of each batch they fill."""

    min_seconds: float
    median_seconds: float
    max_seconds: float
    window_seconds: float
    fill_share: float
    """Of the samples in a batch that are audio; the rest is zeros."""
    largest_clip_num_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """How often each label comes, in clips of the selection."""

    clips_by_label: dict[str, int]
    """Most frequent first."""
    num_unlabelled: int
    clips_by_fold: dict[int, int]
    effective_num_clips: float
    """See `Exposure`; with balance it is lower than the number of clips."""
    max_copies: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What the set-up asks of network, disk and memory."""

    is_remote: bool
    requests_per_second: float
    """GET requests of all nodes."""
    network_bytes_per_second: float
    """That each node receives in the first epoch; with a cache, none later."""
    cache_num_bytes_per_node: int
    """So that nothing is fetched twice."""
    min_cache_num_bytes: int
    """So that shards stay for as long as they are being read."""
    num_fetches_per_shard: float
    """Nodes that fetch each shard into their cache, on average: 1 where `num_streams` suits."""
    memory_num_bytes_per_rank: int
    """Batches, buffers and index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All that can be said of a set-up beforehand."""

    cluster: Cluster
    steps: Steps
    shards: Shards
    lengths: Lengths
    classes: Classes
    mixing: Mixing
    needs: Needs


def diagnose(loader: ShardLoader, cluster: Cluster) -> Diagnosis:
    """Return what a loader of one rank tells about the set-up of all."""
    return Diagnosis(
        cluster=cluster,
        steps=_steps(loader, cluster),
        shards=_shards(loader.index),
        lengths=_lengths(loader.index, loader.config),
        classes=_classes(loader),
        mixing=mixing_of(loader.index, open_shards=loader.config.open_shards),
        needs=_needs(loader, cluster),
    )


def _steps(loader: ShardLoader, cluster: Cluster) -> Steps:
    per_step = cluster.num_gpus * loader.config.batch_size
    num_taken = len(loader) * per_step
    return Steps(
        num_samples=loader.num_draws,
        num_steps=len(loader),
        samples_per_step=per_step,
        num_dropped=max(0, loader.num_draws - num_taken),
        num_repeated=max(0, num_taken - loader.num_draws),
        epoch_seconds=num_taken / (cluster.num_gpus * cluster.clips_per_second),
    )


def _used_shards(index: DatasetIndex) -> NDArray[np.int64]:
    return np.unique(index.shard_N).astype(np.int64)


def _shards(index: DatasetIndex) -> Shards:
    used_V = _used_shards(index)
    num_bytes_V = np.array(index.tar_num_bytes, dtype=np.int64)[used_V]
    counts_V = np.bincount(index.shard_N, minlength=len(index.tars))[used_V]
    smallest, largest = int(np.argmin(num_bytes_V)), int(np.argmax(num_bytes_V))
    return Shards(
        num=len(used_V),
        smallest=index.tars[used_V[smallest]],
        smallest_num_bytes=int(num_bytes_V[smallest]),
        largest=index.tars[used_V[largest]],
        largest_num_bytes=int(num_bytes_V[largest]),
        median_num_bytes=int(np.median(num_bytes_V)),
        min_samples=int(counts_V.min()),
        max_samples=int(counts_V.max()),
        total_num_bytes=int(num_bytes_V.sum()),
    )


def _lengths(index: DatasetIndex, config: LoaderConfig) -> Lengths:
    seconds_N = index.num_samples_N / index.sample_rate_hz
    window_seconds = config.crop_seconds or float(seconds_N.max())
    return Lengths(
        min_seconds=float(seconds_N.min()),
        median_seconds=float(np.median(seconds_N)),
        max_seconds=float(seconds_N.max()),
        window_seconds=window_seconds,
        fill_share=float(np.minimum(seconds_N, window_seconds).mean() / window_seconds),
        largest_clip_num_bytes=int(index.audio_num_bytes_N.max()),
    )


def _classes(loader: ShardLoader) -> Classes:
    index = loader.index
    counts_K = np.bincount(index.label_ids, minlength=len(index.labels))
    folds, num_of_fold = np.unique(index.fold_N[index.fold_N != NO_FOLD], return_counts=True)
    exposure = loader.exposure(0)
    return Classes(
        clips_by_label={
            index.labels[k]: int(counts_K[k]) for k in np.argsort(-counts_K, kind="stable")
        },
        num_unlabelled=int((np.diff(index.label_starts) == 0).sum()),
        clips_by_fold=dict(zip(folds.tolist(), num_of_fold.tolist(), strict=True)),
        effective_num_clips=exposure.effective_num_clips,
        max_copies=exposure.max_copies,
    )


def _needs(loader: ShardLoader, cluster: Cluster) -> Needs:
    index, config = loader.index, loader.config
    is_remote = not all(isinstance(store, LocalStore) for store in index.stores)
    clips_per_second = cluster.num_gpus * cluster.clips_per_second
    shards = _shards(index)
    clip_num_bytes = float(index.audio_num_bytes_N.mean())
    requests_a_clip = num_fetches = 1.0
    if config.cache_dir is not None:
        # Whole shards come, and clips of one shard share a request.
        clip_num_bytes = shards.total_num_bytes / len(index)
        num_fetches = _fetches_per_shard(config, shards.num, cluster.num_nodes)
        requests_a_clip = num_fetches * clip_num_bytes / MAX_REQUEST_BYTES
    received = clips_per_second * clip_num_bytes * num_fetches / cluster.num_nodes
    num_open = config.open_shards * config.num_streams
    return Needs(
        is_remote=is_remote,
        requests_per_second=clips_per_second * requests_a_clip if is_remote else 0.0,
        network_bytes_per_second=received if is_remote else 0.0,
        cache_num_bytes_per_node=shards.total_num_bytes if is_remote else 0,
        min_cache_num_bytes=(
            min(2 * num_open * shards.largest_num_bytes, shards.total_num_bytes) if is_remote else 0
        ),
        num_fetches_per_shard=num_fetches,
        memory_num_bytes_per_rank=_memory(loader, is_remote=is_remote),
    )


def _fetches_per_shard(config: LoaderConfig, num_shards: int, num_nodes: int) -> float:
    """Return how many nodes each shard goes to: nodes next to each other share out the streams."""
    num_streams = max(1, min(config.num_streams, num_shards // config.open_shards))
    # Ends of nodes and ends of streams cut the row of streams into so many pieces.
    num_pieces = num_streams + num_nodes - math.gcd(num_streams, num_nodes)
    return num_pieces / num_streams


def _bytes_a_second(index: DatasetIndex, config: LoaderConfig) -> float:
    """Return what a second of a row takes in a batch."""
    if index.features is None:
        return _INT16_BYTES * index.sample_rate_hz
    stored = index.features.frame_rate_hz * index.features.frame_num_bytes
    return stored if config.mel_dtype == "float16" else 2 * stored


def _memory(loader: ShardLoader, *, is_remote: bool) -> int:
    """Return what a rank holds beyond Python and torch: batches, encoded clips, index, order."""
    index, config = loader.index, loader.config
    row_bytes = _lengths(index, config).window_seconds * _bytes_a_second(index, config)
    batch = config.batch_size * (row_bytes + 4 * len(index.labels))
    # One in the loop's hands, one being handed over, and those made ahead.
    batches = (config.prefetch_batches + 2) * batch
    arrays = sum(
        array.nbytes
        for array in (
            index.shard_N, index.audio_offset_N, index.audio_num_bytes_N, index.audio_crc32c_N,
            index.num_samples_N, index.fold_N, index.group_N, index.label_starts, index.label_ids,
        )
    ) + int(index.keys.nbytes)  # fmt: skip
    order = 40 * loader.num_draws  # rows, copies, streams, identities, and the deal to ranks
    has_repeats = loader.exposure(0).max_copies > 1
    encoded = min(
        config.resampling_buffer_bytes if has_repeats else 0, int(index.audio_num_bytes_N.sum())
    ) + (config.fetch_memory_bytes if is_remote else 0)
    return int(batches + arrays + order + encoded)

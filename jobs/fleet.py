"""A fleet of GPUs replays the loader's plan without audio: what nodes and store have to carry.

The plan is the real one, so that requests and bytes are counted, not guessed. Time is a model: each
rank has so many connections, a request takes a latency drawn from a log-normal distribution and its
bytes at a rate; the ranks take their steps together, as all-reduce makes them.

Axes: S steps, Q samples of a step on all ranks, N rows of the index, R ranks.
"""

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loader.plan import EpochOrder
from loader.ranges import (
    MAX_OVERHEAD,
    MAX_REQUEST_BYTES,
    NetworkCost,
    is_whole_shard_cheaper,
)

_MAX_TIMED_STEPS = 200
"""Steps that the model of time plays; the wait settles long before."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clips:
    """Where the clips of a dataset lie, as its index says or as they were made up."""

    shard_N: NDArray[np.int32]
    offset_N: NDArray[np.int64]
    num_bytes_N: NDArray[np.int64]
    shard_num_bytes: NDArray[np.int64]

    @classmethod
    def made_up(cls, *, num_clips: int, clip_num_bytes: int, clips_per_shard: int) -> "Clips":
        """Return equal clips in equal shards; a header and a label of 2 kB stand between two."""
        place_N = np.arange(num_clips, dtype=np.int64)
        step = clip_num_bytes + 2048
        shard_N = (place_N // clips_per_shard).astype(np.int32)
        return cls(
            shard_N=shard_N,
            offset_N=(place_N % clips_per_shard) * step + 512,
            num_bytes_N=np.full(num_clips, clip_num_bytes, dtype=np.int64),
            shard_num_bytes=np.bincount(shard_N).astype(np.int64) * step,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Who trains, how fast, and how the store is reached."""

    num_gpus: int
    gpus_per_node: int
    batch_size: int
    clips_per_gpu: float
    """Clips that a GPU could train on in a second."""
    cache_num_bytes: int | None
    """A node's cache; None: there is none."""
    num_connections: int = 32
    """Of each rank."""
    memory_num_bytes: int = 256 << 20
    """For clips that are fetched ahead, on each rank."""
    latency_seconds: float = 0.03
    """Median time to the first byte."""
    latency_spread: float = 0.6
    """Sigma of its logarithm: 0.6 puts the slowest in a hundred at four times the median."""
    bytes_per_second: float = 85e6
    """Of one connection."""

    @property
    def num_nodes(self) -> int:
        """Machines; the last may have fewer GPUs."""
        return -(-self.num_gpus // self.gpus_per_node)


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochTraffic:
    """What one epoch asks of the store, and what it would without waste."""

    num_steps: int
    num_clips: int
    num_bytes_needed: int
    num_requests: int
    num_bytes_fetched: int
    max_node_num_bytes: int
    """Fetched by the node that fetches most."""
    num_shards_downloaded: int
    """By all nodes together."""
    num_cache_hits: int
    """Visits of nodes to shards that lay in their caches already."""
    num_cache_visits: int

    @property
    def amplification(self) -> float:
        """Bytes fetched for each byte needed."""
        return self.num_bytes_fetched / self.num_bytes_needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast it would go, by the model of time."""

    first_batch_seconds: float
    clips_per_gpu: float
    """In a second, with all waits."""
    waiting_share: float
    """Of the time, on the rank that all others wait for."""
    connections_needed: float
    """On each rank, to keep up without a queue."""


class Traffic:
    """Counts the requests of epoch after epoch; caches keep what they hold."""

    def __init__(self, clips: Clips, fleet: Fleet) -> None:
        self._clips = clips
        self._fleet = fleet
        self._caches: list[OrderedDict[int, int]] = [OrderedDict() for _ in range(fleet.num_nodes)]
        self._held = [0] * fleet.num_nodes

    def epoch(self, order: EpochOrder) -> EpochTraffic:
        """Play one epoch with the tail `drop`."""
        rank_SQ, rows_SQ = dealt(order, self._fleet)
        num_bytes = int(self._clips.num_bytes_N[rows_SQ].sum())
        if self._fleet.cache_num_bytes is None:
            by_node, num_requests = self._stream(rank_SQ, rows_SQ)
            downloaded = hits = visits = 0
        else:
            by_node, num_requests, downloaded, hits, visits = self._download(rank_SQ, rows_SQ)
        return EpochTraffic(
            num_steps=len(rows_SQ),
            num_clips=rows_SQ.size,
            num_bytes_needed=num_bytes,
            num_requests=num_requests,
            num_bytes_fetched=int(by_node.sum()),
            max_node_num_bytes=int(by_node.max()),
            num_shards_downloaded=downloaded,
            num_cache_hits=hits,
            num_cache_visits=visits,
        )

    def _stream(
        self, rank_SQ: NDArray[np.int64], rows_SQ: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], int]:
        """Return the bytes that each node fetches clip by clip, and the number of requests."""
        clips, fleet = self._clips, self._fleet
        step_SQ = np.arange(len(rows_SQ))[:, np.newaxis] * fleet.num_gpus + rank_SQ
        by_batch = np.lexsort((rows_SQ.ravel(), step_SQ.ravel()))
        rows, batches = rows_SQ.ravel()[by_batch], step_SQ.ravel()[by_batch]
        # A clip that is drawn twice in one batch is one request.
        is_new = (np.diff(rows, prepend=-1) != 0) | (np.diff(batches, prepend=-1) != 0)
        rows, batches = rows[is_new], batches[is_new]
        stops = clips.offset_N[rows] + clips.num_bytes_N[rows]
        gaps = clips.offset_N[rows[1:]] - stops[:-1]
        is_merged = (
            (batches[1:] == batches[:-1])
            & (clips.shard_N[rows[1:]] == clips.shard_N[rows[:-1]])
            & (gaps < fleet.latency_seconds * fleet.bytes_per_second)
            & (gaps <= MAX_OVERHEAD * clips.num_bytes_N[rows[1:]])
        )
        nodes = batches % fleet.num_gpus // fleet.gpus_per_node
        fetched = clips.num_bytes_N[rows]
        fetched[1:] += np.where(is_merged, gaps, 0)
        by_node = np.bincount(nodes, weights=fetched, minlength=fleet.num_nodes)
        return by_node.astype(np.int64), len(rows) - int(is_merged.sum())

    def _download(
        self, rank_SQ: NDArray[np.int64], rows_SQ: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], int, int, int, int]:
        """Return bytes by node, requests, shards downloaded, and the caches' hits and visits.

        Shards of which a node needs so little that this is cheaper are read clip by clip.
        """
        clips, fleet = self._clips, self._fleet
        rows = rows_SQ.ravel()
        nodes = (rank_SQ // fleet.gpus_per_node).ravel()
        pairs, first_uses, places, num_needed = np.unique(
            nodes * len(clips.shard_num_bytes) + clips.shard_N[rows],
            return_index=True,
            return_inverse=True,
            return_counts=True,
        )
        needed = np.bincount(places, weights=clips.num_bytes_N[rows])
        cost = NetworkCost(
            request_seconds=fleet.latency_seconds, bytes_per_second=fleet.bytes_per_second
        )
        by_node = np.zeros(fleet.num_nodes, dtype=np.int64)
        num_requests = downloaded = hits = 0
        for place in np.argsort(first_uses, kind="stable").tolist():
            node, shard = divmod(int(pairs[place]), len(clips.shard_num_bytes))
            if self._is_held(node, shard):
                hits += 1
                continue
            size, num_bytes = int(clips.shard_num_bytes[shard]), int(needed[place])
            if is_whole_shard_cheaper(
                shard_num_bytes=size,
                needed_num_bytes=num_bytes,
                num_needed=int(num_needed[place]),
                cost=cost,
            ):
                self._hold(node, shard)
                downloaded += 1
                by_node[node] += size
                num_requests += -(-size // MAX_REQUEST_BYTES)
            else:
                by_node[node] += num_bytes
                num_requests += int(num_needed[place])
        return by_node, num_requests, downloaded, hits, len(pairs)

    def _is_held(self, node: int, shard: int) -> bool:
        """Tell whether a node's cache holds a shard, which is then the last to go."""
        cache = self._caches[node]
        if shard in cache:
            cache.move_to_end(shard)
        return shard in cache

    def _hold(self, node: int, shard: int) -> None:
        """Put a shard into a node's cache; those used longest ago make room."""
        cache = self._caches[node]
        cache[shard] = int(self._clips.shard_num_bytes[shard])
        self._held[node] += cache[shard]
        while self._held[node] > (self._fleet.cache_num_bytes or 0) and len(cache) > 1:
            self._held[node] -= cache.popitem(last=False)[1]


def dealt(order: EpochOrder, fleet: Fleet) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rank and the row of each sample of each step, as `loader.stripe` deals them.

    Of orders without copies; where an order has several streams, ranks get neighbouring ones.
    """
    num_samples = fleet.num_gpus * fleet.batch_size
    num_steps = len(order) // num_samples
    place_SQ = np.arange(num_steps * num_samples).reshape(num_steps, num_samples)
    if order.num_streams > 1:
        by_stream_SQ = np.argsort(order.streams_M[place_SQ], axis=1, kind="stable")
        place_SQ = np.take_along_axis(place_SQ, by_stream_SQ, axis=1)
    rank_SQ = np.broadcast_to(np.arange(num_samples) // fleet.batch_size, place_SQ.shape)
    return rank_SQ.astype(np.int64), order.rows_M[place_SQ].astype(np.int64)


def pace(clip_num_bytes: float, fleet: Fleet, *, num_steps: int, seed: int = 0) -> Pace:
    """Play the steps of an epoch whose clips are fetched one by one.

    A rank's connections serve its requests in order; a batch is there when its last request is.
    A batch is asked for as many steps ahead as memory holds. A step begins when the batches of all
    ranks are there.
    """
    rng = np.random.default_rng(seed)
    step_seconds = fleet.batch_size / fleet.clips_per_gpu
    ahead = max(1, int(fleet.memory_num_bytes // (fleet.batch_size * clip_num_bytes)))
    transfer_seconds = clip_num_bytes / fleet.bytes_per_second
    served_R = np.zeros(fleet.num_gpus)
    starts: list[float] = []
    for step in range(min(num_steps, _MAX_TIMED_STEPS)):
        requests_RB = transfer_seconds + fleet.latency_seconds * rng.lognormal(
            sigma=fleet.latency_spread, size=(fleet.num_gpus, fleet.batch_size)
        )
        asked = starts[step - ahead] if step >= ahead else 0.0
        busy_R = requests_RB.sum(axis=1) / fleet.num_connections
        served_R = np.maximum(served_R, asked) + busy_R
        # The last request of a batch may take longer than its share of the connections' time.
        ready_R = np.maximum(served_R, served_R - busy_R + requests_RB.max(axis=1))
        free = starts[-1] + step_seconds if starts else 0.0
        starts.append(max(free, float(ready_R.max())))
    played = starts[-1] - starts[0] + step_seconds
    mean_seconds = transfer_seconds + fleet.latency_seconds * float(
        np.exp(fleet.latency_spread**2 / 2)
    )
    return Pace(
        first_batch_seconds=starts[0],
        clips_per_gpu=fleet.batch_size * len(starts) / played,
        waiting_share=1 - step_seconds * len(starts) / played,
        connections_needed=fleet.clips_per_gpu * mean_seconds,
    )

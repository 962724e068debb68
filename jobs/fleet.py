"""A fleet of GPUs replays the loader's plan without audio: what nodes and store have to carry.

The plan is the real one, so that requests and bytes are counted, not guessed. What they take in
time is `jobs.fleet_pace`.

Axes: S steps, R ranks, B rows of a batch, N rows of the index, D nodes, K shards.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from loader.plan import EpochOrder
from loader.ranges import MAX_OVERHEAD, MAX_REQUEST_BYTES, NetworkCost, is_whole_shard_cheaper
from loader.read_ahead import STREAMED_SHARE

_COST = NetworkCost()
"""By which the loader decides what to ask for, however far away the store is."""


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
    """Who trains, and what each node keeps. Defaults are those of `LoaderConfig`."""

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
    num_threads: int = 2
    """That decode, on each rank."""
    prefetch_batches: int = 4

    @property
    def num_nodes(self) -> int:
        """Machines; the last may have fewer GPUs."""
        return -(-self.num_gpus // self.gpus_per_node)

    @property
    def node_R(self) -> NDArray[np.int64]:
        """The node of each rank."""
        return np.arange(self.num_gpus) // self.gpus_per_node


class Origin(IntEnum):
    """Where a node has the clips of a shard from, in one epoch."""

    NOT_NEEDED = 0
    STREAMED = 1
    """Clip by clip, each time."""
    DOWNLOADED = 2
    """Whole, into the node's cache."""
    CACHED = 3
    """It was there already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochTraffic:
    """What one epoch asks of the store, and what it would without waste."""

    num_steps: int
    num_clips: int
    num_bytes_needed: int
    num_requests: int
    node_num_bytes: tuple[int, ...]
    """Fetched by each node."""
    max_extra_num_bytes: int
    """What may be streamed on top, so that nobody waits while shards are being downloaded."""
    max_extra_num_requests: int
    num_shards_downloaded: int
    """By all nodes together."""
    num_cache_hits: int
    """Visits of nodes to shards that lay in their caches already."""
    num_cache_visits: int
    origin_DK: NDArray[np.int8] = field(compare=False, repr=False)

    @property
    def num_bytes_fetched(self) -> int:
        """By all nodes together."""
        return sum(self.node_num_bytes)

    @property
    def max_node_num_bytes(self) -> int:
        """Fetched by the node that fetches most."""
        return max(self.node_num_bytes)

    @property
    def amplification(self) -> float:
        """Bytes fetched for each byte needed."""
        return self.num_bytes_fetched / self.num_bytes_needed


class Traffic:
    """Counts the requests of epoch after epoch; caches keep what they hold."""

    def __init__(self, clips: Clips, fleet: Fleet) -> None:
        self._clips = clips
        self._fleet = fleet
        self._caches: list[OrderedDict[int, int]] = [OrderedDict() for _ in range(fleet.num_nodes)]
        self._held = [0] * fleet.num_nodes

    def epoch(self, order: EpochOrder) -> EpochTraffic:
        """Play one epoch with the tail `drop`."""
        clips, fleet = self._clips, self._fleet
        rows_SRB = dealt(order, fleet)
        needs = [_Need.of(clips, rows) for rows in self._rows_by_node(order, rows_SRB)]
        origin_DK = np.stack([self._origins(node, need) for node, need in enumerate(needs)])
        by_node, num_requests = self._stream(rows_SRB, origin_DK)
        is_downloaded_DK = origin_DK == Origin.DOWNLOADED
        by_node += is_downloaded_DK @ clips.shard_num_bytes
        pieces_K = -(-clips.shard_num_bytes // MAX_REQUEST_BYTES)
        extras = [
            self._extra(rows_SRB[:, fleet.node_R == node], need, is_downloaded_DK[node])
            for node, need in enumerate(needs)
        ]
        return EpochTraffic(
            num_steps=len(rows_SRB),
            num_clips=rows_SRB.size,
            num_bytes_needed=int(clips.num_bytes_N[rows_SRB].sum()),
            num_requests=num_requests + int((is_downloaded_DK @ pieces_K).sum()),
            node_num_bytes=tuple(by_node.tolist()),
            max_extra_num_bytes=sum(num_bytes for num_bytes, _ in extras),
            max_extra_num_requests=sum(num_requests for _, num_requests in extras),
            num_shards_downloaded=int(is_downloaded_DK.sum()),
            num_cache_hits=int((origin_DK == Origin.CACHED).sum()),
            num_cache_visits=0
            if fleet.cache_num_bytes is None
            else int((origin_DK != Origin.NOT_NEEDED).sum()),
            origin_DK=origin_DK,
        )

    def _rows_by_node(
        self, order: EpochOrder, rows_SRB: NDArray[np.int64]
    ) -> list[NDArray[np.int64]]:
        """Return what each node's cache prepares for, in the order of use."""
        if self._fleet.num_nodes == 1:
            return [order.rows_M.astype(np.int64)]  # as the loader: the tail is not cut off
        size = self._fleet.gpus_per_node
        return [
            rows_SRB[:, size * node : size * (node + 1)].ravel()
            for node in range(self._fleet.num_nodes)
        ]

    def _origins(self, node: int, need: "_Need") -> NDArray[np.int8]:
        """Return where a node has each shard from, and put into its cache what it downloads."""
        origin_K = np.where(need.num_clips_K > 0, Origin.STREAMED, Origin.NOT_NEEDED)
        if self._fleet.cache_num_bytes is None:
            return origin_K.astype(np.int8)
        held_at_first = set(self._caches[node])
        for shard in need.shards_by_use.tolist():
            if self._is_held(node, shard):
                origin_K[shard] = Origin.CACHED
            elif shard in held_at_first or is_whole_shard_cheaper(
                shard_num_bytes=int(self._clips.shard_num_bytes[shard]),
                needed_num_bytes=int(need.num_bytes_K[shard]),
                num_needed=int(need.num_clips_K[shard]),
                cost=_COST,
            ):
                origin_K[shard] = Origin.DOWNLOADED
                self._hold(node, shard)
        return origin_K.astype(np.int8)

    def _extra(
        self, rows_SRB: NDArray[np.int64], need: "_Need", is_downloaded_K: NDArray[np.bool_]
    ) -> tuple[int, int]:
        """Return how many bytes a node may stream beside its downloads, and in how many requests.

        At most, which is when it streams its smallest clips.
        """
        rows = rows_SRB[is_downloaded_K[self._clips.shard_N[rows_SRB]]]
        sizes = self._clips.num_bytes_N[rows]
        num_bytes = min(int(STREAMED_SHARE * need.num_bytes_K.sum()), int(sizes.sum()))
        return num_bytes, int(np.searchsorted(np.cumsum(np.sort(sizes)), num_bytes, side="right"))

    def _stream(
        self, rows_SRB: NDArray[np.int64], origin_DK: NDArray[np.int8]
    ) -> tuple[NDArray[np.int64], int]:
        """Return the bytes that each node fetches clip by clip, and the number of requests."""
        clips, fleet = self._clips, self._fleet
        num_steps, num_ranks, batch_size = rows_SRB.shape
        batches = np.repeat(np.arange(num_steps * num_ranks), batch_size)
        rows = rows_SRB.ravel()
        nodes = batches % num_ranks // fleet.gpus_per_node
        is_streamed = origin_DK[nodes, clips.shard_N[rows]] == Origin.STREAMED
        rows, batches = rows[is_streamed], batches[is_streamed]
        if not len(rows):
            return np.zeros(fleet.num_nodes, dtype=np.int64), 0
        by_batch = np.lexsort((rows, batches))
        rows, batches = rows[by_batch], batches[by_batch]
        # A clip that is drawn twice in one batch is one request.
        is_new = (np.diff(rows, prepend=-1) != 0) | (np.diff(batches, prepend=-1) != 0)
        rows, batches = rows[is_new], batches[is_new]
        gaps = self._merged_gaps(rows, batches)
        fetched = clips.num_bytes_N[rows] + np.maximum(gaps, 0)
        nodes = batches % num_ranks // fleet.gpus_per_node
        by_node = np.bincount(nodes, weights=fetched, minlength=fleet.num_nodes)
        return by_node.astype(np.int64), int((gaps < 0).sum())

    def _merged_gaps(
        self, rows: NDArray[np.int64], batches: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return the gap before each clip of a batch that is fetched with the one before, or -1.

        The rule is that of `loader.ranges.merge_ranges`.
        """
        clips = self._clips
        starts = clips.offset_N[rows]
        stops = starts + clips.num_bytes_N[rows]
        gaps = np.full(len(rows), -1, dtype=np.int64)
        gaps[1:] = starts[1:] - stops[:-1]
        is_merged = np.zeros(len(rows), dtype=np.bool_)
        is_merged[1:] = (
            (batches[1:] == batches[:-1])
            & (clips.shard_N[rows[1:]] == clips.shard_N[rows[:-1]])
            & (gaps[1:] < _COST.request_seconds * _COST.bytes_per_second)
            & (gaps[1:] <= MAX_OVERHEAD * clips.num_bytes_N[rows[1:]])
        )
        begin = 0
        for place in np.flatnonzero(is_merged).tolist():  # few, in a shuffled order
            if not is_merged[place - 1]:
                begin = starts[place - 1]
            if stops[place] - begin > MAX_REQUEST_BYTES:
                is_merged[place] = False
        gaps[~is_merged] = -1
        return gaps

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Need:
    """What a node needs of each shard in an epoch."""

    num_clips_K: NDArray[np.int64]
    num_bytes_K: NDArray[np.int64]
    shards_by_use: NDArray[np.int32]
    """In the order of their first use."""

    @classmethod
    def of(cls, clips: Clips, rows: NDArray[np.int64]) -> "_Need":
        shards = clips.shard_N[rows]
        num_shards = len(clips.shard_num_bytes)
        numbers, first_uses = np.unique(shards, return_index=True)
        weights = clips.num_bytes_N[rows]
        return cls(
            num_clips_K=np.bincount(shards, minlength=num_shards),
            num_bytes_K=np.bincount(shards, weights=weights, minlength=num_shards).astype(np.int64),
            shards_by_use=numbers[np.argsort(first_uses)],
        )


def dealt(order: EpochOrder, fleet: Fleet) -> NDArray[np.int64]:
    """Return the rows of each batch, as `loader.stripe` deals them: shape (S, R, B).

    Of orders without copies; where an order has several streams, ranks get neighbouring ones.
    """
    num_samples = fleet.num_gpus * fleet.batch_size
    num_steps = len(order) // num_samples
    place_SQ = np.arange(num_steps * num_samples).reshape(num_steps, num_samples)
    if order.num_streams > 1:
        by_stream_SQ = np.argsort(order.streams_M[place_SQ], axis=1, kind="stable")
        place_SQ = np.take_along_axis(place_SQ, by_stream_SQ, axis=1)
    place_SRB = np.sort(place_SQ.reshape(num_steps, fleet.num_gpus, fleet.batch_size), axis=2)
    return order.rows_M[place_SRB].astype(np.int64)

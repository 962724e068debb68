"""How fast a fleet would go: the requests of its first steps, played one by one against a clock.

A model, of the loader's own parts. Each rank has so many connections, which take its requests in
order; a request takes a latency drawn from a log-normal distribution, then its bytes at a rate;
nodes have a bound on theirs. What is asked for, and when, follows `loader.look_ahead`,
`loader.fetch_ahead`, `loader.shard_downloads` and `loader.prefetch`. Threads decode; a step begins
when the batches of all ranks are there, as all-reduce makes them.

Axes: S steps, R ranks, B rows of a batch, C connections, D nodes, K shards.
"""

import heapq
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.fleet import Clips, EpochTraffic, Fleet, Origin
from loader.assemble import num_parts
from loader.look_ahead import MAX_ITEMS_AHEAD
from loader.ranges import MAX_REQUEST_BYTES
from loader.read_ahead import STREAMED_SHARE
from loader.shard_downloads import NUM_DOWNLOADS

_MAX_TIMED_CLIPS = 12_800
"""Clips of each rank that are played; waits settle long before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speeds:
    """What a request takes, and a clip's decoding."""

    latency_seconds: float = 0.03
    """Median time to the first byte. AWS says "tens of milliseconds" where many connections are at
    work, and 100 to 200 ms for single small objects (Amazon S3 user guide, "Best practices design
    patterns"): try both."""
    latency_spread: float = 0.6
    """Sigma of its logarithm: 0.6 puts the slowest in a hundred at four times the median."""
    bytes_per_second: float = 85e6
    """Of one connection: 85 to 90 MB/s, says the same guide."""
    node_bytes_per_second: float = 12.5e9
    """Of a node: 100 Gbit/s, which the same guide gives as one instance's limit with S3."""
    decode_seconds: float = 0.002
    """Of a thread for one clip: 10 s of 32 kHz FLAC, from benchmarks/results/pipeline.md."""

    @property
    def mean_latency_seconds(self) -> float:
        """Mean of the log-normal distribution."""
        return self.latency_seconds * float(np.exp(self.latency_spread**2 / 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast it would go."""

    first_batch_seconds: float
    """Until the slowest rank has it; planning is not in it."""
    clips_per_gpu: float
    """In a second, with all waits but that for the first batch."""
    mean_wait_seconds: float
    """Of a rank in each step, for its own batch."""
    slowest_wait_seconds: float
    """... of the rank that all others wait for: the straggler."""
    waiting_share: float
    """Of the time between the first batch and the last, on the rank that all others wait for."""
    connections_needed: float
    """On each rank, to stream at the GPU's full speed."""
    threads_needed: float
    """On each rank, to decode at that speed."""
    downloads_clips_per_gpu: float
    """Clips whose shards a rank can bring into the node's cache in a second."""


def pace(
    rows_SRB: NDArray[np.int64],
    traffic: EpochTraffic,
    clips: Clips,
    fleet: Fleet,
    speeds: Speeds,
    *,
    num_open_shards: int,
    seed: int = 0,
) -> Pace:
    """Play the first steps of an epoch.

    Args:
        rows_SRB: What each rank gets in each step.
        traffic: Where each node has its shards from.
        clips: Where they lie.
        fleet: Who asks for them.
        speeds: What that takes.
        num_open_shards: How many shards a node downloads beyond those in use.
        seed: Of the latencies.
    """
    num_steps = max(1, min(len(rows_SRB), _MAX_TIMED_CLIPS // fleet.batch_size))
    clock = _Clock(
        rows_SRB[:num_steps], traffic, clips, fleet, speeds,
        num_open_shards=num_open_shards, seed=seed,
    )  # fmt: skip
    step_seconds = fleet.batch_size / fleet.clips_per_gpu
    asked, begun = 0.0, 0.0
    first, mean_waits, slowest_waits = 0.0, [], []
    for step in range(num_steps):
        ready_R = clock.play(step, asked)
        wait_R = np.maximum(ready_R - asked, 0.0)
        begun = asked + float(wait_R.max())
        if step:
            mean_waits.append(float(wait_R.mean()))
            slowest_waits.append(float(wait_R.max()))
        else:
            first = begun
        asked = begun + step_seconds
    num_waits = max(1, num_steps - 1)
    played = max(asked - step_seconds - first, step_seconds)
    mean_clip_num_bytes = float(clips.num_bytes_N.mean())
    piece_num_bytes = float(np.minimum(clips.shard_num_bytes, MAX_REQUEST_BYTES).mean())
    piece_seconds = speeds.mean_latency_seconds + piece_num_bytes / speeds.bytes_per_second
    return Pace(
        first_batch_seconds=first,
        clips_per_gpu=fleet.batch_size * num_waits / played,
        mean_wait_seconds=sum(mean_waits) / num_waits,
        slowest_wait_seconds=sum(slowest_waits) / num_waits,
        waiting_share=sum(slowest_waits) / played,
        connections_needed=fleet.clips_per_gpu
        * (speeds.mean_latency_seconds + mean_clip_num_bytes / speeds.bytes_per_second),
        threads_needed=fleet.clips_per_gpu * speeds.decode_seconds,
        downloads_clips_per_gpu=NUM_DOWNLOADS
        * piece_num_bytes
        / (piece_seconds * mean_clip_num_bytes),
    )


class _Clock:
    """When what is free, on all ranks and nodes; `play` moves it on by one step."""

    def __init__(
        self,
        rows_SRB: NDArray[np.int64],
        traffic: EpochTraffic,
        clips: Clips,
        fleet: Fleet,
        speeds: Speeds,
        *,
        num_open_shards: int,
        seed: int,
    ) -> None:
        self._rows_SRB, self._clips, self._fleet, self._speeds = rows_SRB, clips, fleet, speeds
        self._rng = np.random.default_rng(seed)
        self._node_R = fleet.node_R
        self._free_RC = np.zeros((fleet.num_gpus, fleet.num_connections))
        self._decoders_free_R = np.zeros(fleet.num_gpus)
        self._link_free_D = np.zeros(fleet.num_nodes)
        self._asked: list[float] = []
        self._read_SR = np.zeros(rows_SRB.shape[:2])
        batch_num_bytes = fleet.batch_size * float(clips.num_bytes_N.mean())
        self._batches_held = max(1, int(fleet.memory_num_bytes // batch_num_bytes))
        self._announcing = _announcing_steps(
            len(rows_SRB), prefetch=fleet.prefetch_batches, batches_held=self._batches_held
        )
        self._is_streamed_DK = traffic.origin_DK == Origin.STREAMED
        self._there_DK = np.where(traffic.origin_DK == Origin.CACHED, 0.0, np.inf)
        has_downloads_D = (traffic.origin_DK == Origin.DOWNLOADED).any(axis=1)
        budget = STREAMED_SHARE * traffic.num_bytes_needed / fleet.num_gpus
        self._budget_R = np.where(has_downloads_D[self._node_R], budget, 0.0)
        self._num_parts = num_parts(
            fleet.batch_size,
            num_bytes=round(fleet.batch_size * clips.num_bytes_N.mean()),
            num_threads=fleet.num_threads,
            num_ahead=fleet.prefetch_batches,
        )
        ranks_D = np.bincount(self._node_R)
        self._downloads = [
            _Downloads.of(
                rows_SRB[:, self._node_R == node], traffic.origin_DK[node], clips,
                num_ahead=num_open_shards, num_servers=NUM_DOWNLOADS * int(ranks_D[node]),
            )
            for node in range(fleet.num_nodes)
        ]  # fmt: skip

    def play(self, step: int, asked: float) -> NDArray[np.float64]:
        """Return when each rank has its batch of a step, which is asked for at `asked`."""
        self._asked.append(asked)
        announced = self._asked[self._announcing[step]]
        self._download(step, announced)
        arrived_R = np.zeros(self._fleet.num_gpus)
        for rows_R in self._rows_SRB[step].T:
            arrived_R = np.maximum(arrived_R, self._fetch(step, rows_R, announced))
        drawn = self._asked[max(0, step - self._fleet.prefetch_batches)]
        return self._decode(step, drawn, arrived_R)

    def _decode(
        self, step: int, drawn: float, arrived_R: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return when a batch is decoded that was drawn, and has arrived."""
        fleet = self._fleet
        threads = fleet.num_threads
        parts = self._num_parts
        part_seconds = self._speeds.decode_seconds * fleet.batch_size / parts
        batch_seconds = part_seconds * math.ceil(parts / threads)
        begun_R = np.maximum(self._decoders_free_R, drawn)
        done_R: NDArray[np.float64] = np.maximum(begun_R + batch_seconds, arrived_R + part_seconds)
        # Threads without a part of this batch are at the next one.
        self._decoders_free_R = done_R - batch_seconds + part_seconds * parts / threads
        self._read_SR[step] = np.maximum(done_R - part_seconds, arrived_R)
        return done_R

    def _fetch(self, step: int, rows_R: NDArray[np.int64], announced: float) -> NDArray[np.float64]:
        """Return when each rank has one clip's bytes in memory or on its disk."""
        speeds, node_R = self._speeds, self._node_R
        shard_R = self._clips.shard_N[rows_R]
        there_R = self._there_DK[node_R, shard_R]
        is_on_disk_R = there_R <= announced
        if is_on_disk_R.all():
            return np.full(len(rows_R), announced)
        place_R = self._free_RC.argmin(axis=1)
        ranks = np.arange(len(rows_R))
        begin_R = np.maximum(self._free_RC[ranks, place_R], announced)
        if step >= self._batches_held:
            begin_R = np.maximum(begin_R, self._read_SR[step - self._batches_held])
        num_bytes_R = self._clips.num_bytes_N[rows_R].astype(np.float64)
        is_mine_R = self._is_streamed_DK[node_R, shard_R]
        is_extra_R = ~is_mine_R & (there_R > begin_R) & (num_bytes_R <= self._budget_R)
        is_extra_R &= ~is_on_disk_R
        self._budget_R = self._budget_R - np.where(is_extra_R, num_bytes_R, 0.0)
        is_sent_R = (is_mine_R | is_extra_R) & ~is_on_disk_R
        latency_R = speeds.latency_seconds * self._rng.lognormal(
            sigma=speeds.latency_spread, size=len(rows_R)
        )
        sent_R = begin_R + latency_R + num_bytes_R / speeds.bytes_per_second
        link_R = self._link(np.where(is_sent_R, num_bytes_R, 0.0), begin_R)
        sent_R = np.maximum(sent_R, link_R + latency_R)
        arrived_R = np.where(is_sent_R, sent_R, np.maximum(there_R, begin_R))
        self._free_RC[ranks, place_R] = np.where(
            is_on_disk_R, self._free_RC[ranks, place_R], arrived_R
        )
        return np.where(is_on_disk_R, announced, arrived_R)

    def _link(
        self, num_bytes_R: NDArray[np.float64], begin_R: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return when each rank's node has had the time to take these bytes, behind all before."""
        num_nodes = self._fleet.num_nodes
        num_bytes_D = np.bincount(self._node_R, weights=num_bytes_R, minlength=num_nodes)
        begin_D = np.full(num_nodes, np.inf)
        np.minimum.at(begin_D, self._node_R, begin_R)
        self._link_free_D = np.maximum(self._link_free_D, begin_D)
        self._link_free_D += num_bytes_D / self._speeds.node_bytes_per_second
        return self._link_free_D[self._node_R]

    def _download(self, step: int, announced: float) -> None:
        """Begin the downloads that announcing a step asks for, on all nodes."""
        speeds = self._speeds
        for node, downloads in enumerate(self._downloads):
            share = speeds.node_bytes_per_second / len(downloads.servers)
            bytes_per_second = min(speeds.bytes_per_second, share)
            for shard in downloads.shards_by_step.get(step, ()):
                size = int(self._clips.shard_num_bytes[shard])
                num_pieces = -(-size // MAX_REQUEST_BYTES)
                latency = speeds.latency_seconds * float(
                    self._rng.lognormal(sigma=speeds.latency_spread, size=num_pieces).sum()
                )
                begin = max(heapq.heappop(downloads.servers), announced)
                self._there_DK[node, shard] = begin + latency + size / bytes_per_second
                heapq.heappush(downloads.servers, float(self._there_DK[node, shard]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Downloads:
    """The shards that a node downloads."""

    shards_by_step: dict[int, list[int]]
    """Which ones the announcement of a step asks for."""
    servers: list[float]
    """A heap of the times at which its download threads are free."""

    @classmethod
    def of(
        cls,
        rows_SRB: NDArray[np.int64],
        origin_K: NDArray[np.int8],
        clips: Clips,
        *,
        num_ahead: int,
        num_servers: int,
    ) -> "_Downloads":
        shards, first_uses = np.unique(clips.shard_N[rows_SRB.ravel()], return_index=True)
        step_of_use = first_uses // max(1, rows_SRB[0].size)
        by_use = np.argsort(first_uses)
        on_disk = [place for place in by_use.tolist() if origin_K[shards[place]] > Origin.STREAMED]
        shards_by_step: dict[int, list[int]] = {}
        for number, place in enumerate(on_disk):
            if origin_K[shards[place]] == Origin.DOWNLOADED:
                leader = on_disk[max(0, number - num_ahead)]
                shards_by_step.setdefault(int(step_of_use[leader]), []).append(int(shards[place]))
        return cls(shards_by_step=shards_by_step, servers=[0.0] * num_servers)


def _announcing_steps(num_steps: int, *, prefetch: int, batches_held: int) -> list[int]:
    """Return, for each step, the step at whose request its clips are asked for.

    `look_ahead` is 1 + 2 n batches ahead when the n-th is drawn, as far as memory and its own bound
    allow; a batch is drawn when the one `prefetch` before it is asked for.
    """
    steps = []
    drawn = 0
    for step in range(num_steps):
        while drawn + min(1 + 2 * drawn, MAX_ITEMS_AHEAD, batches_held) < step:
            drawn += 1
        steps.append(max(0, drawn - prefetch))
    return steps

"""What to ask a remote store for: which bytes go into one request, and when to take whole shards.

Pure arithmetic. Costs are counted in connection-seconds, the time that requests occupy
connections: with many connections at work, that is what their number has to be divided by.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MAX_REQUEST_BYTES = 8 << 20
"""Larger ranges are cut, so that several connections share them and little is lost with one."""
MAX_OVERHEAD = 0.05
"""Share of unneeded bytes that merging may add; tar headers and JSON members are 1 % of 10 s
clips."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkCost:
    """What a request takes. The defaults are what AWS states for S3 inside one region.

    "Design patterns for performance": tens of milliseconds to the first byte, 85 to 90 MB/s for
    each connection.
    """

    request_seconds: float = 0.03
    bytes_per_second: float = 85e6

    def seconds(self, *, num_requests: int, num_bytes: int) -> float:
        """Return the connection-seconds of some requests."""
        return num_requests * self.request_seconds + num_bytes / self.bytes_per_second


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes of an object."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def merge_ranges(
    ranges: Sequence[ByteRange], *, cost: NetworkCost, max_num_bytes: int = MAX_REQUEST_BYTES
) -> list[list[int]]:
    """Group the ranges of one object that are better asked for together.

    A gap is fetched along where that takes less time than a request of its own, and is at most
    `MAX_OVERHEAD` of the range behind it: so that of all bytes fetched together, no more than
    that share is waste, however the ranges lie.

    Args:
        ranges: Ascending and not overlapping.
        cost: What a request takes.
        max_num_bytes: Bound on a group, gaps included; a longer range is a group of its own.

    Returns:
        Positions in `ranges`, group by group, in order.
    """
    groups: list[list[int]] = []
    for position, here in enumerate(ranges):
        if groups:
            gap = here.start - ranges[position - 1].stop
            is_cheap = cost.seconds(num_requests=0, num_bytes=gap) < cost.request_seconds
            is_small = gap <= MAX_OVERHEAD * len(here)
            is_short = here.stop - ranges[groups[-1][0]].start <= max_num_bytes
            if is_cheap and is_small and is_short:
                groups[-1].append(position)
                continue
        groups.append([position])
    return groups


def is_whole_shard_cheaper(
    *, shard_num_bytes: int, needed_num_bytes: int, num_needed: int, cost: NetworkCost
) -> bool:
    """Tell whether to fetch a whole shard for the members that are needed of it, or these alone.

    Args:
        shard_num_bytes: Length of the shard.
        needed_num_bytes: Bytes of the members that an epoch needs.
        num_needed: Their number; each is a request of its own, as a shuffled order has them.
        cost: What a request takes.
    """
    num_pieces = -(-shard_num_bytes // MAX_REQUEST_BYTES)
    whole = cost.seconds(num_requests=num_pieces, num_bytes=shard_num_bytes)
    return whole <= cost.seconds(num_requests=num_needed, num_bytes=needed_num_bytes)

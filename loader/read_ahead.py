"""One pass over remote shards: what the next batches need is on its way before they are made.

Where the bytes of a sample come from:

- Without a cache, each request brings one sample, or several that lie beside each other: in a
  shuffled order that is one GET a clip, in index order one for 8 MiB.
- With a cache, whole shards are brought to the disk once a node, one GET for 8 MiB, and samples
  are read from there. The first samples of a pass would wait long for their shards, so that a
  small share of all bytes (`STREAMED_SHARE`) may be streamed meanwhile; what is over it waits.
  Shards of which the selection needs little are streamed always.

Either way the bytes fetched stay within 1.1 x of those needed, where shards are used whole.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from loader.fetch_ahead import FetchAhead, Planned
from loader.node_cache import OpenFile
from loader.range_fetch import RangeFetcher
from loader.ranges import ByteRange, NetworkCost, merge_ranges
from loader.reader_stats import Counters
from loader.shard_downloads import ShardDownloads
from loader.shards import OpenFiles, Shard, read_open
from shardwriter.storage import RemoteStore

STREAMED_SHARE = 0.05
"""Of the bytes that a pass needs: may be streamed though their shards are being downloaded."""


@dataclass(frozen=True, slots=True)
class Member:
    """Bytes of a sample in a shard."""

    shard: Shard
    byte_range: ByteRange


class _Request:
    """Members of one shard that are fetched together."""

    __slots__ = ("byte_range", "is_from_cache", "shard")

    def __init__(self, shard: Shard, byte_range: ByteRange) -> None:
        self.shard = shard
        self.byte_range = byte_range
        self.is_from_cache = False


class NetworkSource:
    """Bytes of shards over the network, counted and retried."""

    def __init__(self, fetcher: RangeFetcher) -> None:
        self._fetcher = fetcher

    def fetch(self, shard: Shard, byte_range: ByteRange) -> bytes:
        """Return bytes of a shard; fewer only where it ends before."""
        if isinstance(shard.store, RemoteStore):
            return self._fetcher.fetch(shard.store, shard.tar, byte_range)
        return shard.store.read_range(shard.tar, byte_range.start, len(byte_range))


@dataclass(frozen=True, slots=True)
class Awaited:
    """A member that is read once, out of memory."""

    member: Member
    planned: "Planned[_Request]"
    """What brings it into memory."""


class ReadAhead:
    """Brings what is planned nearer, in the order of the plan; any thread may read it."""

    def __init__(
        self,
        network: NetworkSource,
        counters: Counters,
        files: OpenFiles,
        *,
        downloads: ShardDownloads | None,
        cost: NetworkCost,
        num_connections: int,
        max_bytes: int,
        num_bytes_to_stream: int,
    ) -> None:
        """Take the parts that a pass is made of.

        Args:
            network: Where bytes come from.
            counters: Where bytes are counted by origin.
            files: The shards of the cache that are open.
            downloads: Brings shards into the cache; None where there is none.
            cost: What a request takes.
            num_connections: Requests at a time.
            max_bytes: Bound on the bytes held in memory.
            num_bytes_to_stream: How much may be streamed of shards that are being downloaded.
        """
        self._network = network
        self._counters = counters
        self._files = files
        self._downloads = downloads
        self._cost = cost
        self._num_bytes_to_stream = num_bytes_to_stream
        self._lock = threading.Lock()
        self.memory: FetchAhead[_Request] = FetchAhead(
            self._fetch, num_threads=num_connections, max_bytes=max_bytes
        )

    def file_in_cache(self, shard: Shard) -> OpenFile | None:
        """Return a shard's file if it is there, else see that it comes, where it is to come.

        It stays in the cache while the file is held.
        """
        downloads = self._downloads
        if downloads is None or shard not in downloads:
            return None
        downloads.advance_to(shard)
        file = self._files.get(shard, lambda: downloads.open(shard))
        if file is not None:
            downloads.let_go(shard)
        return file

    def plan(self, members: Sequence[Member]) -> list[Awaited]:
        """Announce those members of a batch that are on no disk, behind those announced before."""
        by_shard: dict[Shard, dict[ByteRange, int]] = {}
        for member in members:
            ranges = by_shard.setdefault(member.shard, {})
            ranges[member.byte_range] = ranges.get(member.byte_range, 0) + 1
        planned: dict[tuple[Shard, ByteRange], Planned[_Request]] = {}
        for shard, ranges in by_shard.items():
            planned |= self._requests(shard, ranges)
        # In the order in which the batch's members are read, which is that of the index.
        self.memory.plan(list(dict.fromkeys(planned.values())))
        return [Awaited(member, planned[member.shard, member.byte_range]) for member in members]

    def read(self, awaited: Awaited) -> bytes:
        """Return a member's bytes, waiting for them if need be; fewer where the shard is cut off.

        Raises:
            CancelledError: the pass was closed.
            OSError: the cache's disk can't be read.
            StorageError: they can't be had.
            ShardFormatError: the shard is not what the manifest says.
        """
        byte_range, planned = awaited.member.byte_range, awaited.planned
        is_ready = self.memory.is_ready(planned)
        request = planned.request
        data = self.memory.take(planned)
        if request.is_from_cache:
            self._counters.add(num_bytes_cache=len(byte_range))
        elif is_ready:
            self._counters.add(num_bytes_memory=len(byte_range))
        else:
            self._counters.add(num_bytes_network=len(byte_range))
        if request.byte_range == byte_range:
            return data
        first = byte_range.start - request.byte_range.start
        return data[first : first + len(byte_range)]

    def close(self) -> None:
        """Stop all threads; who waits gets a `CancelledError`."""
        self.memory.close()
        if self._downloads is not None:
            self._downloads.close()

    def _requests(
        self, shard: Shard, ranges: dict[ByteRange, int]
    ) -> dict[tuple[Shard, ByteRange], Planned[_Request]]:
        """Group a batch's members of a shard, each with its number of readers, into requests."""
        ordered = sorted(ranges, key=lambda byte_range: byte_range.start)
        made: dict[tuple[Shard, ByteRange], Planned[_Request]] = {}
        for group in merge_ranges(ordered, cost=self._cost):
            together = ByteRange(ordered[group[0]].start, ordered[group[-1]].stop)
            planned = Planned(
                _Request(shard, together),
                num_bytes=len(together),
                num_readers=sum(ranges[ordered[place]] for place in group),
            )
            made |= {(shard, ordered[place]): planned for place in group}
        return made

    def _fetch(self, request: _Request) -> bytes:
        shard, byte_range = request.shard, request.byte_range
        file = self._awaited_file(request)
        if file is None:
            return self._network.fetch(shard, byte_range)
        request.is_from_cache = True
        return read_open(file, byte_range)

    def _awaited_file(self, request: _Request) -> OpenFile | None:
        """Return the cache's file of a request's shard; None where its bytes are to be streamed."""
        shard, downloads = request.shard, self._downloads
        if downloads is None or shard not in downloads:
            return None
        if not downloads.is_settled(shard) and self._may_stream(len(request.byte_range)):
            return None
        return self._files.get(shard, lambda: None) or downloads.wait_for(shard)

    def _may_stream(self, num_bytes: int) -> bool:
        with self._lock:
            if num_bytes > self._num_bytes_to_stream:
                return False
            self._num_bytes_to_stream -= num_bytes
            return True

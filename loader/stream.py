"""The encoded bytes of samples, out of their shards, checked. Any thread may call any method."""

import contextlib
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loader.connections import Connections
from loader.dataset import DatasetIndex
from loader.frame_offsets import FrameOffsets, FramesAhead
from loader.local_shards import LocalShards, ShardFile
from loader.look_ahead import look_ahead
from loader.member_check import MemberCheck
from loader.node_cache import NodeCache, OpenFile
from loader.range_fetch import RangeFetcher
from loader.ranges import ByteRange, NetworkCost
from loader.read_ahead import STREAMED_SHARE, Awaited, Member, NetworkSource, ReadAhead
from loader.reader_stats import Counters, ReaderStats
from loader.resampling_buffer import PlannedStep
from loader.shard_downloads import ShardDownloads
from loader.shards import OpenFiles, Shard, worth_downloading
from loader.step_reader import StepReader
from shardwriter.errors import StorageError
from shardwriter.storage import LocalStore


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchSettings:
    """How remote shards are read; without effect on what is read, and on local folders."""

    cache_folder: Path | None = None
    cache_bytes: int = 100 * 10**9
    memory_bytes: int = 256 << 20
    num_connections: int = 32
    max_seconds: float = 300.0
    cost: NetworkCost = field(default_factory=NetworkCost)


class SampleReader:
    """Reads the audio members of a dataset's samples.

    Local shards stay open, `max_open_shards` of them, see `loader.local_shards`. Remote shards are
    read ahead of the batches, see `loader.read_ahead`.
    """

    def __init__(
        self,
        index: DatasetIndex,
        *,
        max_open_shards: int,
        verify_checksums: bool,
        settings: FetchSettings | None = None,
        num_ranks: int = 1,
        reads_crops: bool = False,
    ) -> None:
        """Take the settings; nothing is read yet.

        Args:
            index: What is in the datasets, and where they lie.
            max_open_shards: Bound on open files.
            verify_checksums: Whether to compare each sample's CRC-32C.
            settings: How remote shards are read.
            num_ranks: Readers that share the samples of a pass: those of this machine.
            reads_crops: Whether it is worth fetching where the frames of cached clips begin.

        Raises:
            ConfigError: the cache's folder can't be used.
        """
        self._index = index
        self._settings = settings or FetchSettings()
        self._num_ranks = num_ranks
        self._reads_crops = reads_crops
        self._check = MemberCheck(index=index, verify_checksums=verify_checksums)
        self._shards = tuple(
            Shard(store=index.stores[place], tar=tar, num_bytes=num_bytes, sha256=sha256)
            for place, tar, num_bytes, sha256 in zip(
                index.dataset_of_shard,
                index.tars,
                index.tar_num_bytes,
                index.tar_sha256s,
                strict=True,
            )
        )
        self._is_remote_shard = np.array(
            [not isinstance(shard.store, LocalStore) for shard in self._shards], dtype=np.bool_
        )
        self._files = OpenFiles(max_open_shards)
        self._frame_offsets = FrameOffsets(index, max_shards=max_open_shards)
        self._max_open_shards = max_open_shards
        self._counters = Counters()
        self._local = LocalShards(self._files, self._counters)
        self._connections = Connections(self._settings.num_connections)
        self._network = NetworkSource(
            RangeFetcher(self._connections, self._counters, max_seconds=self._settings.max_seconds)
        )
        folder = self._settings.cache_folder
        self._cache = (
            NodeCache(folder, max_bytes=self._settings.cache_bytes)
            if folder is not None and self._is_remote_shard.any()
            else None
        )
        self._ahead: ReadAhead | None = None

    def read(self, row: int) -> bytes:
        """Return the encoded audio of a row of the index, at once.

        Raises:
            ShardFormatError: the shard is too short, or the checksum differs.
            StorageError: the shard is not there or can't be read.
        """
        member = self._locate(row)
        try:
            return self._whole(row, member, self._read_now(member))
        except StorageError as err:
            raise type(err)(f"{self._index.where(row)}: {err}") from err

    def read_again(self, row: int) -> bytes:
        """Return the same after a failure: from the store, and local shards opened anew.

        Raises:
            ShardFormatError: as `read`.
            StorageError: as `read`.
        """
        self._files.forget(self._locate(row).shard)
        self._counters.add(num_retries=1)
        return self.read(row)

    def read_ahead(
        self,
        steps: Iterable[PlannedStep],
        *,
        order_N: NDArray[np.int64],
        on_end: contextlib.ExitStack,
    ) -> Generator[tuple[PlannedStep, StepReader], None, None]:
        """Yield each step, and what reads its samples; remote ones are fetched steps ahead.

        Samples that the resampling buffer is to hold by then are not fetched, but can be read.

        Args:
            steps: The steps of a pass.
            order_N: The rows that this machine's ranks need, in their order, from the pass's start
                on.
            on_end: Is to be closed when nothing more is read; until then threads may fetch.
        """
        if not self._is_remote_shard.any():
            for step in steps:
                read = partial(self._read_place, step.plan.rows_B)
                yield step, self._step_reader(step, read, {}, self._frame_offsets.load)
            return
        is_remote_N = self._is_remote_shard[self._index.shard_N[order_N]]
        ahead = self._ahead = self._begin_pass(order_N[is_remote_N])
        on_end.callback(ahead.close)
        frames_ahead = FramesAhead(self._frame_offsets)
        on_end.callback(frames_ahead.close)

        def load_frames(shard: int) -> None:
            (frames_ahead if self._is_remote_shard[shard] else self._frame_offsets).load(shard)

        yield from look_ahead(
            steps,
            lambda step: self._announce(step, ahead, load_frames),
            num_bytes_of=self._num_bytes,
            max_bytes=self._settings.memory_bytes,
        )

    def stats(self) -> ReaderStats:
        """Return what was read since this was made, and how much is waiting."""
        memory = None if self._ahead is None else self._ahead.memory
        return self._counters.snapshot(
            num_queued=0 if memory is None else memory.num_queued,
            num_bytes_held=0 if memory is None else memory.num_bytes_held,
            max_connections=self._connections.limit,
        )

    def _step_reader(
        self,
        step: PlannedStep,
        read: Callable[[int], bytes],
        cached: Mapping[int, OpenFile],
        load_frames: Callable[[int], None],
    ) -> StepReader:
        rows_B = step.plan.rows_B
        shard_B = self._index.shard_N[rows_B]
        is_on_disk_B = ~self._is_remote_shard[shard_B]
        if cached:
            is_on_disk_B |= np.isin(shard_B, list(cached))
        return StepReader(
            index=self._index,
            rows_B=rows_B,
            shard_B=shard_B,
            num_bytes_B=self._index.audio_num_bytes_N[rows_B],
            is_on_disk_B=is_on_disk_B,
            shards=self._shards,
            cached=cached,
            frame_offsets=self._frame_offsets,
            load_frames=load_frames,
            local=self._local,
            read=read,
            read_row_again=self.read_again,
            check=self._check,
        )

    def _read_cached(self, row: int, file: OpenFile) -> bytes:
        member = self._locate(row)
        try:
            data = self._local.read(ShardFile(member.shard, file), member.byte_range)
        except StorageError:
            data = b""
        return data if self._check.is_whole(row, data) else self._read_past_cache(row)

    def _read_past_cache(self, row: int) -> bytes:
        """Return a clip that the disk lost since its shard was checked: the store still has it."""
        shard = self._locate(row).shard
        self._counters.add(num_cache_fallbacks=1)
        self._files.forget(shard)
        if self._cache is not None:
            self._cache.remove(shard.sha256)
        return self.read(row)

    def _read_place(self, rows_B: NDArray[np.int64], place: int) -> bytes:
        return self.read(int(rows_B[place]))

    def _locate(self, row: int) -> Member:
        index = self._index
        start = int(index.audio_offset_N[row])
        return Member(
            self._shards[index.shard_N[row]],
            ByteRange(start, start + int(index.audio_num_bytes_N[row])),
        )

    def _read_now(self, member: Member) -> bytes:
        shard = member.shard
        if not isinstance(shard.store, LocalStore):
            data = self._network.fetch(shard, member.byte_range)
            self._counters.add(num_bytes_network=len(data))
            return data
        return self._local.read(ShardFile(shard, None), member.byte_range)

    def _read_awaited(self, row: int, ahead: ReadAhead, awaited: Awaited) -> bytes:
        try:
            return self._whole(row, awaited.member, ahead.read(awaited))
        except OSError:
            return self._read_past_cache(row)
        except StorageError as err:
            raise type(err)(f"{self._index.where(row)}: {err}") from err

    def _whole(self, row: int, member: Member, data: bytes) -> bytes:
        """Return checked bytes; if damaged on the way, they are asked for once more."""
        if isinstance(member.shard.store, LocalStore):
            return self._check.checked(row, data)
        if self._check.is_whole(row, data):
            return data
        self._counters.add(num_retries=1)
        return self._check.checked(row, self._read_now(member))

    def _begin_pass(self, order_N: NDArray[np.int64]) -> ReadAhead:
        settings = self._settings
        downloads = None
        cache = self._cache
        if cache is not None:
            downloads = ShardDownloads(
                cache,
                self._network.fetch,
                worth_downloading(
                    self._shards,
                    self._index,
                    order_N,
                    cost=settings.cost,
                    is_cached=lambda shard: cache.holds(shard.sha256),
                ),
                self._counters,
                num_ahead=self._max_open_shards,
            )
        num_bytes_needed = int(self._index.audio_num_bytes_N[order_N].sum())
        return ReadAhead(
            self._network,
            self._counters,
            self._files,
            downloads=downloads,
            cost=settings.cost,
            num_connections=settings.num_connections,
            max_bytes=settings.memory_bytes,
            num_bytes_to_stream=int(STREAMED_SHARE * num_bytes_needed / self._num_ranks),
        )

    def _announce(
        self,
        step: PlannedStep,
        ahead: ReadAhead,
        load_frames: Callable[[int], None],
    ) -> StepReader:
        rows_B = step.plan.rows_B
        shard_B = self._index.shard_N[rows_B].tolist()
        places = self._places_to_fetch(step)
        cached = {}
        for shard in dict.fromkeys(shard_B[place] for place in places):
            file = ahead.file_in_cache(self._shards[shard])
            if file is not None:
                cached[shard] = file
                if self._reads_crops:
                    load_frames(shard)  # are on their way before the first crop is read
        others = [place for place in places if shard_B[place] not in cached]
        awaited = ahead.plan([self._locate(int(rows_B[place])) for place in others])
        by_place = dict(zip(others, awaited, strict=True))

        def read_place(place: int) -> bytes:
            row = int(rows_B[place])
            if place in by_place:
                return self._read_awaited(row, ahead, by_place[place])
            file = cached.get(shard_B[place])
            return self.read(row) if file is None else self._read_cached(row, file)

        return self._step_reader(step, read_place, cached, load_frames)

    def _places_to_fetch(self, step: PlannedStep) -> list[int]:
        """Return places of the batch, in index order, as batches are made."""
        rows_B = step.plan.rows_B
        is_remote_B = self._is_remote_shard[self._index.shard_N[rows_B]]
        return [
            place
            for place in np.argsort(rows_B, kind="stable").tolist()
            if is_remote_B[place]
            and step.sources[place].before is None
            and place not in step.lost_places
        ]

    def _num_bytes(self, step: PlannedStep) -> int:
        return int(self._index.audio_num_bytes_N[step.plan.rows_B].sum())

"""Planned steps → jobs that read, decode and mix: what stands behind a rank's batches.

Axes: S steps, B places of a batch, N samples of the epoch in the order of use, M places of the
epoch's order.
"""

import contextlib
import itertools
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from loader.assemble import BatchAssembler, StandIns
from loader.batch import ClipBatch
from loader.config import LoaderConfig
from loader.dataset import DatasetIndex
from loader.feature_rows import FeatureRows
from loader.mending import Mender
from loader.noise_source import NoiseSource
from loader.plan import EpochOrder
from loader.prefetch import Job
from loader.quarantine import Quarantine
from loader.replacement import Clip, stand_in_places
from loader.resampling_buffer import (
    NEVER,
    PlannedStep,
    ResamplingBuffer,
    Source,
    next_uses,
)
from loader.rows import AudioRows, Rows
from loader.sampling import Sampling
from loader.stats import FillStats
from loader.stream import FetchSettings, SampleReader
from loader.stripe import Stripe
from loader.world import World
from shardwriter.errors import ConfigError
from shardwriter.storage import Store

_MAX_OPEN_FILES = 512
"""Half of the usual limit of 1024 a process."""


class EpochPipeline:
    """Reader, buffer, quarantine, noise and assembler of one rank, for all of its epochs."""

    def __init__(
        self,
        config: LoaderConfig,
        *,
        index: DatasetIndex,
        sampling: Sampling,
        stripe: Stripe,
        world: World,
        noise_store: Store | None = None,
    ) -> None:
        """Put the parts together; no audio is read yet.

        Args:
            config: What to load, and how.
            index: The samples of all datasets.
            sampling: The order of each epoch.
            stripe: This rank's share of it.
            world: This process among all.
            noise_store: Where `config.noise.url` lies, already open; None opens it.

        Raises:
            ConfigError: crops shorter than a sample, noise that is not there or of another rate,
                pinned memory without CUDA.
            ShardFormatError: the noise's manifest and index are damaged.
        """
        self._index = index
        self._sampling = sampling
        self._stripe = stripe
        self._world = world
        settings = _fetch_settings(config)
        self.reader = SampleReader(
            index,
            max_open_shards=min(sampling.max_open_shards, _MAX_OPEN_FILES),
            verify_checksums=config.verify_checksums,
            settings=settings,
            num_ranks=len(world.ranks_of_node),
            reads_crops=_reads_crops(config, index),
        )
        self.buffer = ResamplingBuffer(max_bytes=config.resampling_buffer_bytes)
        self.noise = _open_noise(config, index, settings=settings, store=noise_store)
        self.quarantine = Quarantine(
            index,
            budget=config.error_budget,
            num_samples=stripe.num_steps(sampling.num_draws) * config.batch_size,
            file=None if config.quarantine_file is None else Path(config.quarantine_file),
        )
        self.plan_seconds = 0.0
        """Time that planning, dealing and dispatching took."""
        rows = _rows(config, index)
        self._assembler = BatchAssembler(
            config=config,
            index=index,
            buffer=self.buffer,
            mender=Mender(
                config=config,
                index=index,
                quarantine=self.quarantine,
                read_again=self.reader.read_again,
                rows=rows,
            ),
            rows=rows,
            noise=self.noise,
        )

    def jobs(
        self, *, epoch: int, cursor: int, on_end: contextlib.ExitStack
    ) -> Iterator[Job[ClipBatch, FillStats]]:
        """Yield what makes each batch from a position on to the epoch's end.

        Args:
            epoch: Number of the epoch.
            cursor: Samples that all ranks have received of it.
            on_end: Gets what must be let go of when the pass ends.
        """
        jobs = self._jobs(epoch=epoch, cursor=cursor, on_end=on_end)
        while True:
            begin = time.perf_counter()
            job = next(jobs, None)
            self.plan_seconds += time.perf_counter() - begin
            if job is None:
                return
            yield job

    def _jobs(
        self, *, epoch: int, cursor: int, on_end: contextlib.ExitStack
    ) -> Generator[Job[ClipBatch, FillStats], None, None]:
        order = self._sampling.order(epoch)
        place_SB = self._stripe.deal(order, cursor=cursor)
        steps = self._steps(order, place_SB)
        rows = self._rows_of_node(order, cursor=cursor)
        reading = self.reader.read_ahead(steps, order_N=rows, on_end=on_end)
        if self.noise is not None:
            reading = self.noise.read_ahead(reading, self._index, epoch=epoch, on_end=on_end)
        for number, (step, reader) in enumerate(reading):
            stand_ins = self._stand_ins(order, place_SB, number)
            yield self._assembler.begin(step, reader, stand_ins, epoch=epoch)

    def _stand_ins(self, order: EpochOrder, place_SB: NDArray[np.int64], step: int) -> StandIns:
        """Return what tells the clips that may stand in for one of a step's."""

        def clips(place: int) -> Iterator[Clip]:
            for other in stand_in_places(place_SB, step=step, place=place, unit=order.unit):
                within = other % len(order)
                yield Clip(row=int(order.rows_M[within]), copy=int(order.copies_M[within]))

        return clips

    def _rows_of_node(self, order: EpochOrder, *, cursor: int) -> NDArray[np.int64]:
        """Return the rows that the ranks of this machine get, in the order of use."""
        if len(self._world.ranks_of_node) == self._world.size:
            return order.rows_M[cursor:].astype(np.int64)
        places = self._stripe.deal(order, cursor=cursor, ranks=self._world.ranks_of_node)
        return order.rows_M[places.ravel() % len(order)].astype(np.int64)

    def _steps(self, order: EpochOrder, place_SB: NDArray[np.int64]) -> Iterator[PlannedStep]:
        """Yield this rank's steps, and where the bytes of each come from."""
        for place_B, sources in zip(place_SB, self._sources(order, place_SB), strict=True):
            plan = self._stripe.step(order, place_B)
            lost_places = self.quarantine.places(plan.rows_B)
            yield PlannedStep(plan=plan, sources=sources, lost_places=lost_places)

    def _sources(
        self, order: EpochOrder, place_SB: NDArray[np.int64]
    ) -> Iterator[Sequence[Source]]:
        """Yield for each step where its clips come from; asked for step after step."""
        self.buffer.begin()
        if not order.has_repeats:
            yield from itertools.repeat((Source(),) * self._stripe.batch_size, len(place_SB))
            return
        rows = order.rows_M[place_SB.ravel() % len(order)].astype(np.int64)
        next_use_SB = next_uses(rows).reshape(place_SB.shape)
        is_repeat = np.zeros(len(rows), dtype=np.bool_)
        is_repeat[next_use_SB[next_use_SB != NEVER]] = True
        num_bytes = self._index.audio_num_bytes_N[rows]
        for step in range(len(place_SB)):
            cut = slice(step * self._stripe.batch_size, (step + 1) * self._stripe.batch_size)
            yield self.buffer.plan(rows[cut], num_bytes[cut], next_use_SB[step], is_repeat[cut])


def _open_noise(
    config: LoaderConfig, index: DatasetIndex, *, settings: FetchSettings, store: Store | None
) -> NoiseSource | None:
    if config.noise is None:
        return None
    return NoiseSource(
        config.noise,
        sample_rate_hz=index.sample_rate_hz,
        seed=config.seed,
        verify_checksums=config.verify_checksums,
        settings=settings,
        store=store,
    )


def _rows(config: LoaderConfig, index: DatasetIndex) -> Rows[Any]:
    pin_memory = _pins_memory(config)
    if index.features is None:
        return AudioRows.of(config, index, pin_memory=pin_memory)
    return FeatureRows.of(config, index, index.features, pin_memory=pin_memory)


def _fetch_settings(config: LoaderConfig) -> FetchSettings:
    return FetchSettings(
        cache_folder=None if config.cache_dir is None else Path(config.cache_dir),
        cache_bytes=config.cache_bytes,
        memory_bytes=config.fetch_memory_bytes,
        num_connections=config.fetch_connections,
        max_seconds=config.fetch_timeout_seconds,
    )


def _reads_crops(config: LoaderConfig, index: DatasetIndex) -> bool:
    longest_seconds = index.num_samples_N.max(initial=0) / index.sample_rate_hz
    return config.crop_seconds is not None and bool(config.crop_seconds < longest_seconds)


def _pins_memory(config: LoaderConfig) -> bool:
    has_cuda = torch.cuda.is_available()
    if config.pin_memory and not has_cuda:
        raise ConfigError(
            "pin_memory=True needs CUDA, which is not there; leave it at None to pin where it can"
        )
    return has_cuda if config.pin_memory is None else config.pin_memory

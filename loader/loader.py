"""ShardLoader: a dataset's batches for one rank, planned, prefetched, exactly resumable."""

import contextlib
import itertools
import logging
import time
import weakref
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from loader.assemble import BatchAssembler, StandIns
from loader.batch import AudioBatch
from loader.ceiling import replayed
from loader.config import LoaderConfig
from loader.dataset import DatasetIndex
from loader.exposure import Exposure, exposure_of
from loader.iteration import Delivery, EpochIterator
from loader.mending import Mender
from loader.mixture import open_datasets
from loader.noise_source import NoiseSource
from loader.plan import EpochOrder
from loader.prefetch import Job, run_ahead
from loader.quarantine import Quarantine, QuarantinedSample
from loader.replacement import Clip, stand_in_places
from loader.resampling_buffer import (
    NEVER,
    BufferStats,
    PlannedStep,
    ResamplingBuffer,
    Source,
    next_uses,
)
from loader.sampling import Sampling
from loader.state import LoaderState, bounded
from loader.stats import FillStats, LoaderStats
from loader.stream import FetchSettings, SampleReader
from loader.stripe import Stripe
from loader.targets import class_target_of
from loader.world import World
from shardwriter.errors import ConfigError, LoaderStateError
from shardwriter.storage import Store, open_store

logger = logging.getLogger(__name__)

_MAX_OPEN_FILES = 512
"""Half of the usual limit of 1024 a process."""


class ShardLoader:
    """The batches of one rank: a position in an endless row of epochs, and a way to go on from it.

    Iterating delivers what is left of the current epoch, and at its end moves on to the next
    epoch. A batch counts as received once the loop has it, so the position is that behind the batch
    whose loop body is running; prefetched batches don't count. Hence:

    - Leaving the loop early and iterating again goes on with the next batch; `rewind` goes back
      to the epoch's beginning.
    - There is one iteration at a time. Beginning another, `load_state_dict`, `rewind`, `set_epoch`
      with another epoch and `close` end the one that was running: asking it for another batch is
      a `RuntimeError`.
    - A state saved behind the last batch of an epoch still belongs to that epoch. The first
      iteration after loading it is empty, as the rest of the saved loop was, and ends the epoch.
    - An error in reading or decoding is raised in place of the batch it belongs to. The position
      stays before that batch, so that no sample is lost in silence.

    Every rank makes the same number of steps, whatever the numbers of samples and shards.
    """

    def __init__(
        self,
        config: LoaderConfig,
        *,
        world: World | None = None,
        store: Store | Sequence[Store] | None = None,
        noise_store: Store | None = None,
    ) -> None:
        """Open the datasets and plan; no audio is read yet.

        Args:
            config: What to load, and how.
            world: This process among all; `None` means as torchrun set the environment.
            store: Where `config.url` lies, already open: for S3 that needs `S3Options`. For
                several datasets one each, in their order.
            noise_store: Where `config.noise.url` lies, likewise.

        Raises:
            ConfigError: a dataset is not there, nothing is selected, or it gives no step.
            ShardFormatError: a manifest and its index are damaged.
        """
        self.config = config
        self.world = World.from_env() if world is None else world
        self.index: DatasetIndex = open_datasets(_stores(config, store), config.selections)
        self._sampling = Sampling.of(config, self.index)
        self._num_draws = self._sampling.num_draws
        self._stripe = Stripe(
            rank=self.world.rank,
            num_ranks=self.world.size,
            batch_size=config.batch_size,
            tail=config.tail,
        )
        if not len(self):
            raise ConfigError(
                f"{self._num_draws} samples give no step: {self.world.size} ranks with batch_size "
                f"{config.batch_size} take {self._stripe.samples_per_step} samples a step, and "
                "tail 'drop' drops what doesn't fill one; use tail='pad' or 'cycle', or a "
                "smaller batch_size"
            )
        self._reader = SampleReader(
            self.index,
            max_open_shards=min(self._sampling.max_open_shards, _MAX_OPEN_FILES),
            verify_checksums=config.verify_checksums,
            settings=_fetch_settings(config),
            num_ranks=len(self.world.ranks_of_node),
        )
        self._buffer = ResamplingBuffer(max_bytes=config.resampling_buffer_bytes)
        self._noise = _open_noise(config, self.index, noise_store)
        self._quarantine = Quarantine(
            self.index,
            budget=config.error_budget,
            num_samples=len(self) * config.batch_size,
            file=None if config.quarantine_file is None else Path(config.quarantine_file),
        )
        window_num_samples = _window_num_samples(config, self.index)
        self._assembler = BatchAssembler(
            config=config,
            index=self.index,
            buffer=self._buffer,
            mender=Mender(
                config=config,
                index=self.index,
                quarantine=self._quarantine,
                read_again=self._reader.read_again,
                window_num_samples=window_num_samples,
            ),
            window_num_samples=window_num_samples,
            pin_memory=_pins_memory(config),
            noise=self._noise,
        )
        self._epoch = 0
        self._cursor = 0
        self._is_epoch_delivered = False
        self._stats = LoaderStats(
            num_threads=config.num_threads, ceiling_batches=config.ceiling_batches
        )
        self._plan_seconds = 0.0
        self._num_ready = 0
        if config.ceiling_batches is not None:
            logger.warning(
                "ceiling mode: %d batches are handed out over and over; measure with it, don't "
                "train with it",
                config.ceiling_batches,
            )
        # Weak, so that leaving a loop early lets go of the iterator, and with it of its threads.
        self._iterator: weakref.ref[EpochIterator] | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The vocabulary of all datasets: column k of `target_BK` stands for `labels[k]`."""
        return self.index.labels

    @property
    def target_names(self) -> tuple[str, ...]:
        """What `AudioBatch.targets` holds."""
        return tuple(self.index.targets)

    def target_labels(self, name: str) -> tuple[str, ...]:
        """Return the classes of a target: id i of `AudioBatch.targets[name]` is the i-th.

        Raises:
            ConfigError: no dataset has a target of that name, or it is a number.
        """
        return class_target_of(self.index.targets, name).labels or ()

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the audio."""
        return self.index.sample_rate_hz

    @property
    def num_draws(self) -> int:
        """Samples in an epoch of all ranks, before `tail` drops or repeats some of them."""
        return self._sampling.num_draws

    @property
    def epoch(self) -> int:
        """Number of the epoch that the next batch belongs to, from 0."""
        return self._epoch

    def __len__(self) -> int:
        """Return the steps of a whole epoch, the same on every rank."""
        return self._stripe.num_steps(self._num_draws)

    @property
    def steps_remaining(self) -> int:
        """Steps that are left of the current epoch."""
        return self._stripe.num_steps(self._num_draws - self._cursor)

    def __iter__(self) -> Iterator[AudioBatch]:
        """Return an iterator over what is left of the current epoch."""
        if self._is_epoch_delivered:
            # The last batch was taken without asking for one more, as `islice` does.
            self._go_to(epoch=self._epoch + 1)
        self.close()
        on_end = contextlib.ExitStack()
        batches = run_ahead(
            self._timed(self._jobs(epoch=self._epoch, cursor=self._cursor, on_end=on_end)),
            num_threads=self.config.num_threads,
            num_ahead=self.config.prefetch_batches,
            on_end=on_end.close,
            on_ask=self._note_ready,
        )
        if self.config.ceiling_batches is not None:
            batches = replayed(batches, num_kept=self.config.ceiling_batches)
        iterator = EpochIterator(
            batches,
            num_steps=self.steps_remaining,
            on_delivery=self._receive,
            on_end=self._finish_epoch,
        )
        self._iterator = weakref.ref(iterator)
        return iterator

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch; with the current epoch's number, stay at the position.

        So `loader.set_epoch(epoch)` at the head of each epoch's loop does no harm after
        `load_state_dict` has restored a position amid that epoch.
        """
        if epoch < 0:
            raise ValueError(f"epoch must be at least 0, got {epoch}")
        if epoch != self._epoch:
            self._go_to(epoch=epoch)

    def rewind(self) -> None:
        """Go back to the beginning of the current epoch."""
        self._go_to(epoch=self._epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return the position for a checkpoint: under 1 kB of JSON, the same on every rank.

        Save it after the same step on every rank (one rank's is enough). In ceiling mode it says
        so, and can't be loaded: the samples before it were not delivered.
        """
        state = self._state().to_dict()
        if self.config.ceiling_batches is not None:
            state["ceiling_batches"] = self.config.ceiling_batches
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a saved position, also of a run with another world, batch size or thread count.

        What is delivered from there on, over all ranks, is what the saved run had not yet
        received, in the same global order. Only with tail `drop` may another samples-per-step
        leave another remainder. No audio is read.

        Raises:
            LoaderStateError: the state is of another dataset, selection, order or version.
        """
        if "ceiling_batches" in state:
            raise LoaderStateError(
                "ceiling_batches: the state was saved in ceiling mode, in which a few batches are "
                "repeated and the others never read; load one of a real run"
            )
        saved = LoaderState.from_dict(state)
        saved.check_fits(self._state(), num_samples=self._num_draws)
        self._go_to(epoch=saved.epoch, cursor=saved.cursor)

    def stats(self) -> LoaderStats:
        """Return what was delivered since the loader was made, and what it took."""
        return replace(
            self._stats,
            reader=self._reader.stats(),
            buffer=self._buffer.stats(),
            num_quarantined=len(self._quarantine),
            plan_seconds=self._plan_seconds,
        )

    def quarantine(self) -> tuple[QuarantinedSample, ...]:
        """Return this rank's samples that could not be read, in the order they were found.

        They are not asked for again while this loader lives. They are not in `state_dict`: after
        a repair a resumed run should have them back. See `LoaderConfig.quarantine_file`.
        """
        return self._quarantine.samples

    def buffer_stats(self) -> BufferStats:
        """Return what the resampling buffer did; nothing without repeats in an epoch."""
        return self._buffer.stats()

    def exposure(self, epoch: int | None = None) -> Exposure:
        """Return how often each class comes: as intended, planned, and delivered to all ranks.

        The classes are those that are balanced: the labels, or those of `balance.target`.

        No communication is needed for it: the plan is the same on every rank.

        Args:
            epoch: An epoch as this world delivers it from beginning to end; `None`: the current
                one, delivered up to the position.
        """
        of_epoch = self._epoch if epoch is None else epoch
        order = self._sampling.order(of_epoch)
        delivered, num_cycled = self._cursor, 0
        if epoch is not None:
            num_taken = len(self) * self._stripe.samples_per_step
            delivered = min(num_taken, len(order))
            num_cycled = num_taken - delivered if self.config.tail == "cycle" else 0
        return exposure_of(
            self.index,
            order,
            expected_N=self._sampling.expected_N,
            delivered=slice(0, delivered),
            num_cycled=num_cycled,
            target=None if self.config.balance is None else self.config.balance.target,
        )

    def close(self) -> None:
        """End the iteration that is running, if one is; its threads end by themselves."""
        iterator = None if self._iterator is None else self._iterator()
        if iterator is not None:
            iterator.close()
        self._iterator = None

    def _state(self) -> LoaderState:
        return LoaderState(
            dataset_digest=self.index.digest,
            selection=bounded("; ".join(part.describe() for part in self.config.selections)),
            sampling=bounded(self._describe_sampling()),
            seed=self.config.seed,
            shuffle=self.config.shuffle,
            open_shards=self.config.open_shards,
            num_streams=self._sampling.policy.num_streams,
            epoch=self._epoch,
            cursor=self._cursor,
        )

    def _describe_sampling(self) -> str:
        noise = "" if self._noise is None else f" {self._noise.describe()}"
        return self._sampling.describe() + noise

    def _go_to(self, *, epoch: int, cursor: int = 0) -> None:
        self.close()
        self._epoch, self._cursor, self._is_epoch_delivered = epoch, cursor, False

    def _jobs(
        self, *, epoch: int, cursor: int, on_end: contextlib.ExitStack
    ) -> Generator[Job[AudioBatch, FillStats], None, None]:
        order = self._sampling.order(epoch)
        place_SB = self._stripe.deal(order, cursor=cursor)
        steps = self._steps(order, place_SB)
        rows = self._rows_of_node(order, cursor=cursor)
        reading = self._reader.read_ahead(steps, order_N=rows, on_end=on_end)
        for number, (step, read_place) in enumerate(reading):
            stand_ins = self._stand_ins(order, place_SB, number)
            yield self._assembler.begin(step, read_place, stand_ins, epoch=epoch)

    def _timed(
        self, jobs: Iterable[Job[AudioBatch, FillStats]]
    ) -> Iterator[Job[AudioBatch, FillStats]]:
        """Yield jobs, and count the time that planning them takes."""
        iterator = iter(jobs)
        while True:
            begin = time.perf_counter()
            job = next(iterator, None)
            self._plan_seconds += time.perf_counter() - begin
            if job is None:
                return
            yield job

    def _stand_ins(self, order: EpochOrder, place_SB: NDArray[np.int64], step: int) -> StandIns:
        """Return what tells the clips that may stand in for one of a step's."""

        def clips(place: int) -> Iterator[Clip]:
            for other in stand_in_places(place_SB, step=step, place=place, unit=order.unit):
                within = other % len(order)
                yield Clip(row=int(order.rows_M[within]), copy=int(order.copies_M[within]))

        return clips

    def _rows_of_node(self, order: EpochOrder, *, cursor: int) -> NDArray[np.int64]:
        """Return the rows that the ranks of this machine get, in the order of use."""
        if len(self.world.ranks_of_node) == self.world.size:
            return order.rows_M[cursor:].astype(np.int64)
        place_SB = [
            replace(self._stripe, rank=rank).deal(order, cursor=cursor)
            for rank in self.world.ranks_of_node
        ]
        places = np.sort(np.concatenate(place_SB, axis=1), axis=1).ravel()
        return order.rows_M[places % len(order)].astype(np.int64)

    def _steps(self, order: EpochOrder, place_SB: NDArray[np.int64]) -> Iterator[PlannedStep]:
        """Yield this rank's steps, and where the bytes of each come from."""
        for place_B, sources in zip(place_SB, self._sources(order, place_SB), strict=True):
            plan = self._stripe.step(order, place_B)
            lost_places = self._quarantine.places(plan.rows_B)
            yield PlannedStep(plan=plan, sources=sources, lost_places=lost_places)

    def _sources(
        self, order: EpochOrder, place_SB: NDArray[np.int64]
    ) -> Iterator[Sequence[Source]]:
        """Yield for each step where its clips come from; asked for step after step."""
        self._buffer.begin()
        if not order.has_repeats:
            yield from itertools.repeat((Source(),) * self._stripe.batch_size, len(place_SB))
            return
        rows = order.rows_M[place_SB.ravel() % len(order)].astype(np.int64)
        next_use_SB = next_uses(rows).reshape(place_SB.shape)
        is_repeat = np.zeros(len(rows), dtype=np.bool_)
        is_repeat[next_use_SB[next_use_SB != NEVER]] = True
        num_bytes = self.index.audio_num_bytes_N[rows]
        for step in range(len(place_SB)):
            cut = slice(step * self._stripe.batch_size, (step + 1) * self._stripe.batch_size)
            yield self._buffer.plan(rows[cut], num_bytes[cut], next_use_SB[step], is_repeat[cut])

    def _receive(self, delivery: Delivery) -> None:
        """Move on by one step, and count what it took."""
        self._cursor = self._stripe.cursor_after(self._cursor, 1, num_total=self._num_draws)
        self._is_epoch_delivered = delivery.is_last
        self._stats = self._stats.plus(
            delivery.fills,
            num_clips=len(delivery.batch) - int(delivery.batch.is_padding_B.sum()),
            num_ready=self._num_ready,
            wait_seconds=delivery.wait_seconds,
            loop_seconds=delivery.loop_seconds,
        )

    def _note_ready(self, num_ready: int) -> None:
        self._num_ready = num_ready

    def _finish_epoch(self) -> None:
        self._go_to(epoch=self._epoch + 1)


def _stores(config: LoaderConfig, store: Store | Sequence[Store] | None) -> Sequence[Store]:
    urls = [selection.url for selection in config.selections]
    if store is None:
        return [open_store(url) for url in urls]
    stores = store if isinstance(store, Sequence) else [store]
    if len(stores) != len(urls):
        raise ValueError(f"{len(stores)} stores for {len(urls)} datasets: give one for each")
    return stores


def _open_noise(
    config: LoaderConfig, index: DatasetIndex, store: Store | None
) -> NoiseSource | None:
    if config.noise is None:
        return None
    return NoiseSource(
        config.noise,
        sample_rate_hz=index.sample_rate_hz,
        seed=config.seed,
        verify_checksums=config.verify_checksums,
        settings=_fetch_settings(config),
        store=store,
    )


def _window_num_samples(config: LoaderConfig, index: DatasetIndex) -> int:
    if config.crop_seconds is None:
        return int(index.num_samples_N.max())
    num_samples = round(config.crop_seconds * index.sample_rate_hz)
    if num_samples < 1:
        raise ConfigError(
            f"crop_seconds={config.crop_seconds!r} is less than one sample at "
            f"{index.sample_rate_hz} Hz; make it longer"
        )
    return num_samples


def _fetch_settings(config: LoaderConfig) -> FetchSettings:
    return FetchSettings(
        cache_folder=None if config.cache_dir is None else Path(config.cache_dir),
        cache_bytes=config.cache_bytes,
        memory_bytes=config.fetch_memory_bytes,
        num_connections=config.fetch_connections,
        max_seconds=config.fetch_timeout_seconds,
    )


def _pins_memory(config: LoaderConfig) -> bool:
    has_cuda = torch.cuda.is_available()
    if config.pin_memory and not has_cuda:
        raise ConfigError(
            "pin_memory=True needs CUDA, which is not there; leave it at None to pin where it can"
        )
    return has_cuda if config.pin_memory is None else config.pin_memory

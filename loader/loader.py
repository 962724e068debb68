"""ShardLoader: a dataset's batches for one rank, planned, prefetched, exactly resumable."""

import contextlib
import weakref
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from loader.assemble import BatchAssembler
from loader.batch import AudioBatch
from loader.config import LoaderConfig
from loader.dataset import DatasetIndex, open_dataset
from loader.iteration import Delivery, EpochIterator
from loader.plan import OrderPolicy, Stripe, epoch_order
from loader.prefetch import Job, run_ahead
from loader.state import LoaderState
from loader.stats import FillStats, LoaderStats
from loader.stream import FetchSettings, SampleReader
from loader.world import World
from shardwriter.errors import ConfigError
from shardwriter.storage import Store, open_store


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
        self, config: LoaderConfig, *, world: World | None = None, store: Store | None = None
    ) -> None:
        """Open the dataset and plan; no audio is read yet.

        Args:
            config: What to load, and how.
            world: This process among all; `None` means as torchrun set the environment.
            store: Where `config.url` lies, already open: for S3 that needs `S3Options`.

        Raises:
            ConfigError: the dataset is not there, nothing is selected, or it gives no step.
            ShardFormatError: its manifest and index are damaged.
        """
        self.config = config
        self.world = World.from_env() if world is None else world
        store = open_store(config.url) if store is None else store
        self.index: DatasetIndex = open_dataset(store, split=config.split, folds=config.folds)
        self._policy = OrderPolicy(shuffle=config.shuffle, open_shards=config.open_shards)
        self._stripe = Stripe(
            rank=self.world.rank,
            num_ranks=self.world.size,
            batch_size=config.batch_size,
            tail=config.tail,
        )
        if not len(self):
            raise ConfigError(
                f"{len(self.index)} samples give no step: {self.world.size} ranks with batch_size "
                f"{config.batch_size} take {self._stripe.samples_per_step} samples a step, and "
                "tail 'drop' drops what doesn't fill one; use tail='pad' or 'cycle', or a "
                "smaller batch_size"
            )
        self._reader = SampleReader(
            store,
            self.index,
            max_open_shards=config.open_shards,
            verify_checksums=config.verify_checksums,
            settings=_fetch_settings(config),
            num_ranks=self.world.size,
        )
        self._assembler = BatchAssembler(
            config=config,
            index=self.index,
            window_num_samples=_window_num_samples(config, self.index),
            pin_memory=_pins_memory(config),
        )
        self._epoch = 0
        self._cursor = 0
        self._is_epoch_delivered = False
        self._stats = LoaderStats(num_threads=config.num_threads)
        # Weak, so that leaving a loop early lets go of the iterator, and with it of its threads.
        self._iterator: weakref.ref[EpochIterator] | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The dataset's vocabulary: column k of `target_BK` stands for `labels[k]`."""
        return self.index.labels

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the audio."""
        return self.index.sample_rate_hz

    @property
    def epoch(self) -> int:
        """Number of the epoch that the next batch belongs to, from 0."""
        return self._epoch

    def __len__(self) -> int:
        """Return the steps of a whole epoch, the same on every rank."""
        return self._stripe.num_steps(len(self.index))

    @property
    def steps_remaining(self) -> int:
        """Steps that are left of the current epoch."""
        return self._stripe.num_steps(len(self.index) - self._cursor)

    def __iter__(self) -> Iterator[AudioBatch]:
        """Return an iterator over what is left of the current epoch."""
        if self._is_epoch_delivered:
            # The last batch was taken without asking for one more, as `islice` does.
            self._go_to(epoch=self._epoch + 1)
        self.close()
        on_end = contextlib.ExitStack()
        batches = run_ahead(
            self._jobs(epoch=self._epoch, cursor=self._cursor, on_end=on_end),
            num_threads=self.config.num_threads,
            num_ahead=self.config.prefetch_batches,
            on_end=on_end.close,
        )
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

        Save it after the same step on every rank (one rank's is enough).
        """
        return self._state().to_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a saved position, also of a run with another world, batch size or thread count.

        What is delivered from there on, over all ranks, is what the saved run had not yet
        received, in the same global order. Only with tail `drop` may another samples-per-step
        leave another remainder. No audio is read.

        Raises:
            LoaderStateError: the state is of another dataset, selection, order or version.
        """
        saved = LoaderState.from_dict(state)
        saved.check_fits(self._state(), num_samples=len(self.index))
        self._go_to(epoch=saved.epoch, cursor=saved.cursor)

    def stats(self) -> LoaderStats:
        """Return what was delivered since the loader was made, and what it took."""
        return replace(self._stats, reader=self._reader.stats())

    def close(self) -> None:
        """End the iteration that is running, if one is; its threads end by themselves."""
        iterator = None if self._iterator is None else self._iterator()
        if iterator is not None:
            iterator.close()
        self._iterator = None

    def _state(self) -> LoaderState:
        folds = self.config.folds
        return LoaderState(
            dataset_digest=self.index.digest,
            split=self.config.split,
            folds=None if folds is None else tuple(sorted(folds)),
            seed=self.config.seed,
            shuffle=self._policy.shuffle,
            open_shards=self._policy.open_shards,
            epoch=self._epoch,
            cursor=self._cursor,
        )

    def _go_to(self, *, epoch: int, cursor: int = 0) -> None:
        self.close()
        self._epoch, self._cursor, self._is_epoch_delivered = epoch, cursor, False

    def _jobs(
        self, *, epoch: int, cursor: int, on_end: contextlib.ExitStack
    ) -> Generator[Job[AudioBatch, FillStats], None, None]:
        order_N = epoch_order(
            self.index.shard_N, policy=self._policy, seed=self.config.seed, epoch=epoch
        )
        plans = (
            self._stripe.step(order_N, cursor=cursor, step=step)
            for step in range(self._stripe.num_steps(len(order_N) - cursor))
        )
        for plan, read_place in self._reader.read_ahead(
            plans, order_N=order_N[cursor:], on_end=on_end
        ):
            yield self._assembler.begin(plan, read_place, epoch=epoch)

    def _receive(self, delivery: Delivery) -> None:
        """Move on by one step, and count what it took."""
        self._cursor = self._stripe.cursor_after(self._cursor, 1, num_total=len(self.index))
        self._is_epoch_delivered = delivery.is_last
        self._stats = self._stats.plus(
            delivery.fills,
            num_clips=len(delivery.batch) - int(delivery.batch.is_padding_B.sum()),
            wait_seconds=delivery.wait_seconds,
            loop_seconds=delivery.loop_seconds,
        )

    def _finish_epoch(self) -> None:
        self._go_to(epoch=self._epoch + 1)


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

"""ShardLoader: a dataset's batches for one rank, planned, prefetched, exactly resumable."""

import contextlib
import logging
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, cast

import numpy as np
from typing_extensions import TypeVar

from loader.batch import AudioBatch
from loader.ceiling import replayed
from loader.config import LoaderConfig
from loader.dataset import DatasetIndex
from loader.epoch_pipeline import EpochPipeline
from loader.exposure import Exposure, exposure_of
from loader.feature_batch import FeatureBatch
from loader.flac_decoder import begin_loading
from loader.iteration import Delivery, EpochIterator
from loader.mixture import open_datasets, open_stores
from loader.prefetch import run_ahead
from loader.quarantine import QuarantinedSample
from loader.resampling_buffer import BufferStats
from loader.sampling import Sampling
from loader.state import LoaderState, bounded
from loader.stats import LoaderStats
from loader.stripe import Stripe
from loader.targets import class_target_of
from loader.world import World
from shardwriter.errors import ConfigError, LoaderStateError
from shardwriter.schema import FeatureFormat
from shardwriter.storage import Store

logger = logging.getLogger(__name__)

BatchT = TypeVar("BatchT", AudioBatch, FeatureBatch, default=AudioBatch)


class ShardLoader(Generic[BatchT]):
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

    Batches are `AudioBatch`es; those of a dataset of features (`features` tells) `FeatureBatch`es,
    which type checkers learn from `loader: ShardLoader[FeatureBatch] = ShardLoader(config)`.
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
        self.index: DatasetIndex = open_datasets(
            open_stores(config.selections, store), config.selections
        )
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
        self._pipeline = EpochPipeline(
            config,
            index=self.index,
            sampling=self._sampling,
            stripe=self._stripe,
            world=self.world,
            noise_store=noise_store,
        )
        self._epoch = 0
        self._cursor = 0
        self._is_epoch_delivered = False
        self._stats = LoaderStats(
            num_threads=config.num_threads, ceiling_batches=config.ceiling_batches
        )
        self._num_ready = 0
        self._plan_seconds = 0.0
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
    def features(self) -> FeatureFormat | None:
        """What the shards hold in place of audio; None where they hold audio."""
        return self.index.features

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

    def __iter__(self) -> Iterator[BatchT]:
        """Return an iterator over what is left of the current epoch."""
        if self._is_epoch_delivered:
            # The last batch was taken without asking for one more, as `islice` does.
            self._go_to(epoch=self._epoch + 1)
        self.close()
        on_end = contextlib.ExitStack()
        batches = run_ahead(
            self._pipeline.jobs(epoch=self._epoch, cursor=self._cursor, on_end=on_end),
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
        return cast(Iterator[BatchT], iterator)

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
            reader=self._pipeline.reader.stats(),
            buffer=self._pipeline.buffer.stats(),
            num_quarantined=len(self._pipeline.quarantine),
        )

    def quarantine(self) -> tuple[QuarantinedSample, ...]:
        """Return this rank's samples that could not be read, in the order they were found.

        They are not asked for again while this loader lives. They are not in `state_dict`: after
        a repair a resumed run should have them back. See `LoaderConfig.quarantine_file`.
        """
        return self._pipeline.quarantine.samples

    def buffer_stats(self) -> BufferStats:
        """Return what the resampling buffer did; nothing without repeats in an epoch."""
        return self._pipeline.buffer.stats()

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
        noise = "" if self._pipeline.noise is None else f" {self._pipeline.noise.describe()}"
        return self._sampling.describe() + noise

    def _go_to(self, *, epoch: int, cursor: int = 0) -> None:
        self.close()
        self._epoch, self._cursor, self._is_epoch_delivered = epoch, cursor, False

    def _receive(self, delivery: Delivery) -> None:
        """Move on by one step, and count what it took."""
        begin_loading()
        self._cursor = self._stripe.cursor_after(self._cursor, 1, num_total=self._num_draws)
        self._is_epoch_delivered = delivery.is_last
        plan_seconds = self._pipeline.plan_seconds
        self._stats = self._stats.plus(
            delivery.fills,
            num_clips=int(np.count_nonzero(~delivery.batch.is_padding_B.numpy())),
            num_ready=self._num_ready,
            wait_seconds=delivery.wait_seconds,
            loop_seconds=delivery.loop_seconds,
            plan_seconds=plan_seconds - self._plan_seconds,
        )
        self._plan_seconds = plan_seconds

    def _note_ready(self, num_ready: int) -> None:
        self._num_ready = num_ready

    def _finish_epoch(self) -> None:
        self._go_to(epoch=self._epoch + 1)

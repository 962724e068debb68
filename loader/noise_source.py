"""Noise for the clips of a batch: drawn by key, read and decoded like them, mixed in place.

Axes: B rows of a batch, T samples, P rows of a part of the batch, N noise clips.
"""

import contextlib
from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from loader.dataset import DatasetIndex
from loader.decode import decode_windows
from loader.encoded_clips import ClipWindow, EncodedClips
from loader.look_ahead import look_ahead
from loader.mixture import open_datasets
from loader.noise import NoiseConfig
from loader.noise_clips import NoiseClips
from loader.noise_level import mix_noise
from loader.randomness import Operation, sample_ids, sample_uniform
from loader.resampling_buffer import PlannedStep
from loader.stream import FetchSettings, SampleReader
from shardwriter.errors import ConfigError
from shardwriter.storage import Store, open_store

_MAX_OPEN_SHARDS = 64
NO_NOISE = -1
"""Stands in `NoisePlan.row_B` for a clip that gets none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisePlan:
    """Which noise each clip of a batch gets."""

    row_B: NDArray[np.int64]
    """Row of the noise dataset's index, or `NO_NOISE`."""
    start_B: NDArray[np.int64]
    """First sample of it; noise that ends before the clip does goes on from its beginning."""
    snr_db_B: NDArray[np.float32]


Item = TypeVar("Item")


class NoiseSource:
    """The noise of a loader; any thread may call any method."""

    def __init__(
        self,
        config: NoiseConfig,
        *,
        sample_rate_hz: int,
        seed: int,
        verify_checksums: bool,
        settings: FetchSettings | None = None,
        store: Store | None = None,
    ) -> None:
        """Open the noise dataset; no audio is read yet.

        Args:
            config: Which noise, and how loud.
            sample_rate_hz: Rate of the clips that it is mixed into.
            seed: The loader's, for a configuration without one.
            verify_checksums: Whether to check what is read.
            settings: How a remote dataset is read.
            store: Where the dataset lies, already open; None opens `config.url`.

        Raises:
            ConfigError: there is no such dataset, split or label, or its rate is another.
            ShardFormatError: it is damaged.
        """
        self._config = config
        self._seed = seed if config.seed is None else config.seed
        selection = config.selection
        self._index: DatasetIndex = open_datasets([store or open_store(config.url)], [selection])
        if self._index.features is not None:
            raise ConfigError(f"{config.url} holds features, not audio that could be mixed in")
        if self._index.sample_rate_hz != sample_rate_hz:
            raise ConfigError(
                f"the noise at {config.url} has {self._index.sample_rate_hz} Hz, the clips have "
                f"{sample_rate_hz} Hz; ingest the noise at the rate of the clips"
            )
        self._verify_checksums = verify_checksums
        # Whole shards of noise are not worth their place in a cache: it is kept clip by clip.
        own_settings = replace(settings or FetchSettings(), cache_folder=None)
        reader = SampleReader(
            self._index,
            max_open_shards=_MAX_OPEN_SHARDS,
            verify_checksums=verify_checksums,
            settings=own_settings,
        )
        self._clips = NoiseClips(
            self._index,
            reader,
            settings=own_settings,
            max_bytes=config.memory_bytes,
        )

    def describe(self) -> str:
        """Return what decides the noise as text, content included."""
        config = replace(self._config, seed=self._seed)
        return f"noise={self._index.digest[:16]} {config.describe()}"

    def plan(
        self,
        keys: tuple[str, ...],
        copies_B: NDArray[np.int64],
        num_samples_B: NDArray[np.int64],
        *,
        epoch: int,
    ) -> NoisePlan:
        """Draw the noise of each clip; every noise clip, and every part of it, is equally likely.

        Args:
            keys: The clips' keys.
            copies_B: Which of the epoch's copies of its clip each is.
            num_samples_B: Their lengths in the batch.
            epoch: Number of the epoch.
        """
        ids_B = sample_ids(keys, copies_B)
        row_B = self._draw_rows(ids_B, epoch=epoch)
        starts_B = self._uniform(ids_B, Operation.LOADER_NOISE_START, epoch=epoch)
        shares_B = self._uniform(ids_B, Operation.LOADER_NOISE_SNR, epoch=epoch)
        length_B = self._index.num_samples_N[row_B]
        num_starts_B = np.where(length_B >= num_samples_B, length_B - num_samples_B + 1, length_B)
        low, high = self._config.snr_db
        return NoisePlan(
            row_B=row_B,
            start_B=(starts_B * num_starts_B).astype(np.int64),
            snr_db_B=(low + shares_B * (high - low)).astype(np.float32),
        )

    def read_ahead(
        self,
        items: Iterable[tuple[PlannedStep, Item]],
        index: DatasetIndex,
        *,
        epoch: int,
        on_end: contextlib.ExitStack,
    ) -> Generator[tuple[PlannedStep, Item], None, None]:
        """Yield steps as they come; remote noise of those behind them is fetched meanwhile.

        Args:
            items: Steps of the clips' dataset, each beside what belongs to it.
            index: That dataset.
            epoch: Number of the epoch.
            on_end: Is to be closed when nothing more is mixed; until then threads may fetch.
        """
        clips = self._clips
        if not clips.max_bytes_ahead:
            yield from items
            return

        def rows(item: tuple[PlannedStep, Item]) -> NDArray[np.int64]:
            plan = item[0].plan
            ids_B = sample_ids(index.keys_of(plan.rows_B), plan.copies_B)
            row_B = self._draw_rows(ids_B, epoch=epoch)
            drawn: NDArray[np.int64] = row_B[row_B != NO_NOISE]
            return drawn

        clips.begin(on_end)
        with_rows = ((item, rows(item)) for item in items)
        for (item, _), _ in look_ahead(
            with_rows,
            lambda pair: clips.announce(pair[1]),
            num_bytes_of=lambda pair: clips.num_bytes(pair[1]),
            max_bytes=clips.max_bytes_ahead,
        ):
            yield item

    def mix(
        self,
        wave_BT: NDArray[np.int16],
        snr_db_B: NDArray[np.float32],
        plan: NoisePlan,
        num_samples_B: NDArray[np.int64],
        places: NDArray[np.int64],
    ) -> None:
        """Mix noise into some rows of a batch, and note its ratio.

        Args:
            wave_BT: The batch; rows are changed up to their clip's end.
            snr_db_B: Takes the ratio of the rows that are changed: not those that are silent, or
                that get silent noise.
            plan: The noise of each row.
            num_samples_B: Length of each row's clip.
            places: The rows.

        Raises:
            ShardFormatError: a noise clip is damaged.
            StorageError: it can't be read.
        """
        places = places[plan.row_B[places] != NO_NOISE]
        if not len(places):
            return
        noise_PT = self._decoded(plan, num_samples_B, places)
        for noise_T, place in zip(noise_PT, places.tolist(), strict=True):
            num_samples = int(num_samples_B[place])
            mixed_T = mix_noise(
                wave_BT[place, :num_samples],
                noise_T[:num_samples],
                snr_db=float(plan.snr_db_B[place]),
                sample_rate_hz=self._index.sample_rate_hz,
            )
            if mixed_T is not None:
                wave_BT[place, :num_samples] = mixed_T
                snr_db_B[place] = plan.snr_db_B[place]

    def _uniform(
        self, ids_B: NDArray[np.uint64], operation: Operation, *, epoch: int
    ) -> NDArray[np.float64]:
        return sample_uniform(ids_B, seed=self._seed, epoch=epoch, operation=operation)

    def _draw_rows(self, ids_B: NDArray[np.uint64], *, epoch: int) -> NDArray[np.int64]:
        uniform_B = self._uniform(ids_B, Operation.LOADER_NOISE_CLIP, epoch=epoch)
        row_B = (uniform_B * len(self._index)).astype(np.int64)
        decided_B = self._uniform(ids_B, Operation.LOADER_NOISE, epoch=epoch)
        row_B[decided_B >= self._config.probability] = NO_NOISE
        return row_B

    def _decoded(
        self, plan: NoisePlan, num_samples_B: NDArray[np.int64], places: NDArray[np.int64]
    ) -> NDArray[np.int16]:
        """Return the noise of some rows; what is behind the clip's length in a row is anything."""
        clips = []
        is_short = []
        for number, place in enumerate(places.tolist()):
            row = int(plan.row_B[place])
            length, wanted = int(self._index.num_samples_N[row]), int(num_samples_B[place])
            is_short.append(length < wanted)
            clips.append(
                ClipWindow(
                    data=self._clips.get(row),
                    row=number,
                    start=0 if length < wanted else int(plan.start_B[place]),
                    num_samples=min(length, wanted),
                    clip_num_samples=length,
                    where=self._index.where(row),
                )
            )
        noise_PT = np.empty((len(places), int(num_samples_B[places].max())), dtype=np.int16)
        decode_windows(
            EncodedClips.of(clips),
            noise_PT,
            sample_rate_hz=self._index.sample_rate_hz,
            verify_checksums=self._verify_checksums,
        )
        for number in np.flatnonzero(is_short).tolist():
            whole_T = noise_PT[number, : clips[number].num_samples]
            start = int(plan.start_B[places[number]])
            noise_PT[number] = np.resize(np.roll(whole_T, -start), noise_PT.shape[1])
        return noise_PT

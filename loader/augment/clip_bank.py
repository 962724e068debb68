"""Clips from shards, resident on the device: noises to add, impulse responses to convolve with.

A bank has generations. Which clips a generation holds, and which part of each, is a function of
(dataset, seed, generation), and which generation an epoch uses is a function of the epoch. So every
rank, and every resumed run, has the same bank at the same step. While one generation is in use a
thread makes the next one in the host's memory; it goes to the device when its epoch begins.

Axes: N rows of the bank, S samples of a row.
"""

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from loader.augment.background import in_background
from loader.augment.bank_plan import BankPlan, place_kinds, plan_bank, rows_of_kinds
from loader.dataset import DatasetIndex, open_dataset
from loader.decode import decode_windows
from loader.encoded_clips import ClipWindow, EncodedClips
from loader.flac_decoder import begin_loading
from loader.stream import SampleReader
from shardwriter.errors import ConfigError
from shardwriter.storage import Store, open_store

Purpose = Literal["noise", "response"]

_CLIPS_AT_ONCE = 16
_MAX_SEGMENT_SAMPLES = 2**24 - 1
"""Places in a row are told in float32, see `loader.augment.parameters`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BankSettings:
    """What a bank holds.

    Attributes:
        purpose: "noise": a random part of each clip, the clip again and again where it is shorter.
            "response": each clip from its direct path (its largest sample) on, then zeros.
        segment_seconds: Length of the rows; noise must be at least as long as the batches. Of
            responses the greatest length: rows are no longer than the longest of them.
        byte_budget: Bytes on the device, at least one clip of each kind. The host holds as much
            again while the next generation is made.
        refresh_epochs: Epochs that a generation serves; None keeps the first one for ever.
        seed: Decides the clips and their parts.
    """

    purpose: Purpose = "noise"
    segment_seconds: float = 20.0
    byte_budget: int = 1 << 30
    refresh_epochs: int | None = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.purpose not in ("noise", "response"):
            raise ValueError(f"purpose must be 'noise' or 'response', got {self.purpose!r}")
        if not 0 < self.segment_seconds < float("inf"):
            raise ValueError(f"segment_seconds must be above 0, got {self.segment_seconds}")
        if self.byte_budget < 1:
            raise ValueError(f"byte_budget must be at least 1, got {self.byte_budget}")
        if self.refresh_epochs is not None and self.refresh_epochs < 1:
            raise ValueError(f"refresh_epochs must be at least 1, got {self.refresh_epochs}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Generation:
    """What a bank holds for some epochs.

    Attributes:
        number: Which generation it is, from 0.
        keys: Key of each row's clip.
        clips_NS: int16, contiguous.
    """

    number: int
    keys: tuple[str, ...]
    clips_NS: torch.Tensor


class ClipBank:
    """Clips of a dataset on a device, exchanged as epochs go by. Any thread may call `at`."""

    def __init__(
        self,
        make: Callable[[int, threading.Event], Generation],
        *,
        kinds: Mapping[str, tuple[int, int]],
        sample_rate_hz: int,
        device: torch.device | str,
        refresh_epochs: int | None,
    ) -> None:
        """Take what makes a generation; `from_dataset` is the usual way.

        Args:
            make: Returns a generation in the host's memory by its number; stops early, with
                `CancelledError`, once the event is set.
            kinds: Kind → (first row, number of rows), the same in each generation.
            sample_rate_hz: Rate of the clips.
            device: Where the clips are to lie.
            refresh_epochs: Epochs that a generation serves; None keeps the first one.
        """
        self.kinds = dict(kinds)
        self.sample_rate_hz = sample_rate_hz
        self.device = torch.device(device)
        self._refresh_epochs = refresh_epochs
        self._make = make
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._current: Generation | None = None
        self._next: tuple[int, Future[Generation]] | None = None
        weakref.finalize(self, self._stop.set)

    @classmethod
    def from_dataset(
        cls,
        url: str,
        *,
        split: str | Sequence[str],
        kinds: Mapping[str, Sequence[str]] | None = None,
        settings: BankSettings | None = None,
        device: torch.device | str = "cpu",
        store: Store | None = None,
    ) -> "ClipBank":
        """Open a dataset of shards; no audio is read yet.

        Args:
            url: Where it lies.
            split: The split to take clips from, or several.
            kinds: Kind → its labels; None takes every clip, as the kind "all".
            settings: What the bank holds.
            device: Where the clips are to lie.
            store: Where `url` lies, already open: for S3 that needs options.

        Raises:
            ConfigError: there is no such dataset, split or label, a kind has no clips, or the
                segments are too long or shorter than a sample.
        """
        settings = settings or BankSettings()
        store = open_store(url) if store is None else store
        index = open_dataset(store, split=split, folds=None)
        if index.features is not None:
            raise ConfigError(f"bank of {url}: it holds features, not audio")
        rows_of = rows_of_kinds(index, kinds, where=f"bank of {url}")
        segment_samples = _segment_samples(settings, index)
        counts = {kind: len(rows) for kind, rows in rows_of.items()}
        places = place_kinds(counts, max_rows=settings.byte_budget // (2 * segment_samples))
        source = _Source(
            index=index,
            reader=SampleReader(index, max_open_shards=16, verify_checksums=True),
            rows_of=rows_of,
            kinds=places,
            segment_samples=segment_samples,
            settings=settings,
        )
        is_complete = all(size == counts[kind] for kind, (_, size) in places.items())
        is_fixed = settings.purpose == "response" and is_complete
        return cls(
            source.generation,
            kinds=places,
            sample_rate_hz=index.sample_rate_hz,
            device=device,
            refresh_epochs=None if is_fixed else settings.refresh_epochs,
        )

    def at(self, epoch: int) -> Generation:
        """Return what the bank holds in an epoch, on the device; waits until it is made.

        Raises:
            ShardFormatError: a clip is damaged.
            StorageError: a shard is not there or can't be read.
            RuntimeError: the bank was closed.
        """
        number = 0 if self._refresh_epochs is None else epoch // self._refresh_epochs
        with self._lock:
            if self._current is None or self._current.number != number:
                made = self._made(number)
                # Let go of the old one first: the budget holds for both.
                self._current = None
                self._current = Generation(
                    number=number,
                    keys=made.keys,
                    clips_NS=made.clips_NS.to(self.device),
                )
            if self._refresh_epochs is not None and self._next is None:
                coming = in_background(
                    partial(self._make, number + 1),
                    name=f"melstream-bank-{number + 1}",
                    stop=self._stop,
                )
                self._next = (number + 1, coming)
            return self._current

    def close(self) -> None:
        """Stop making the next generation; nothing waits for it."""
        self._stop.set()

    def _made(self, number: int) -> Generation:
        coming, self._next = self._next, None
        try:
            if coming is not None and coming[0] == number:
                return coming[1].result()
            return self._make(number, self._stop)
        except CancelledError as err:
            raise RuntimeError("this bank was closed; make another one") from err


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Source:
    """Makes generations from a dataset."""

    index: DatasetIndex
    reader: SampleReader
    rows_of: Mapping[str, NDArray[np.int64]]
    kinds: Mapping[str, tuple[int, int]]
    segment_samples: int
    settings: BankSettings

    def generation(self, number: int, stop: threading.Event) -> Generation:
        plan = plan_bank(
            self.index,
            self.rows_of,
            self.kinds,
            segment_samples=self.segment_samples,
            seed=self.settings.seed,
            generation=number,
        )
        bank_NS = np.empty((len(plan.rows), self.segment_samples), dtype=np.int16)
        for first in range(0, len(plan.rows), _CLIPS_AT_ONCE):
            if stop.is_set():
                raise CancelledError
            self._fill(bank_NS, plan, slice(first, first + _CLIPS_AT_ONCE))
        return Generation(
            number=number,
            keys=self.index.keys_of(plan.rows),
            clips_NS=torch.from_numpy(bank_NS),
        )

    def _fill(self, bank_NS: NDArray[np.int16], plan: BankPlan, part: slice) -> None:
        """Decode some clips into their rows."""
        rows = plan.rows[part]
        lengths = self.index.num_samples_N[rows]
        is_response = self.settings.purpose == "response"
        starts = np.zeros_like(plan.starts[part]) if is_response else plan.starts[part]
        # A response is decoded whole: where its direct path lies is not known before.
        counts = lengths if is_response else np.minimum(lengths, self.segment_samples)
        decoded = np.empty((len(rows), int(counts.max())), dtype=np.int16)
        clips = [
            ClipWindow(
                data=self.reader.read(int(row)),
                row=place,
                start=int(starts[place]),
                num_samples=int(counts[place]),
                clip_num_samples=int(lengths[place]),
                where=self.index.where(int(row)),
            )
            for place, row in enumerate(rows)
        ]
        decode_windows(
            EncodedClips.of(clips),
            decoded,
            sample_rate_hz=self.index.sample_rate_hz,
            verify_checksums=True,
        )
        begin_loading()
        fit = _from_direct_path if is_response else _repeated
        for row_S, clip_T, count in zip(bank_NS[part], decoded, counts, strict=True):
            row_S[:] = fit(clip_T[:count], len(row_S))


def _repeated(clip_T: NDArray[np.int16], num_samples: int) -> NDArray[np.int16]:
    return np.resize(clip_T, num_samples)


def _from_direct_path(clip_T: NDArray[np.int16], num_samples: int) -> NDArray[np.int16]:
    """Return the response from its largest sample on, so that it delays nothing."""
    # int16 has no +32768.
    first = int(np.argmax(np.abs(clip_T.astype(np.int32))))
    row = np.zeros(num_samples, dtype=np.int16)
    kept = clip_T[first : first + num_samples]
    row[: len(kept)] = kept
    return row


def _segment_samples(settings: BankSettings, index: DatasetIndex) -> int:
    num_samples = round(settings.segment_seconds * index.sample_rate_hz)
    if not 1 <= num_samples <= _MAX_SEGMENT_SAMPLES:
        raise ConfigError(
            f"segment_seconds={settings.segment_seconds} is {num_samples} samples at "
            f"{index.sample_rate_hz} Hz; from 1 to {_MAX_SEGMENT_SAMPLES} are possible"
        )
    if settings.purpose == "response":
        return min(num_samples, int(index.num_samples_N.max()))
    return num_samples

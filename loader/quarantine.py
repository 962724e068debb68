"""Samples that could not be read: listed, not asked for again, counted against a budget.

The list is a rank's own. It lives as long as the loader and is no part of a saved position: a
position is the same on every rank and under 1 kB, and a run that goes on after a repair should see
the samples again. To keep it, give a file (`LoaderConfig.quarantine_file`).
"""

import json
import math
import os
import threading
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from loader.dataset import DatasetIndex
from shardwriter.errors import (
    ConfigError,
    ErrorBudgetError,
    MelstreamError,
    ReplacedError,
    ShardFormatError,
    StorageError,
    TransientStorageError,
)

READ_ERRORS = (StorageError, ShardFormatError)
"""What a lost or damaged sample raises; anything else is a broken run."""

Reason = Literal["damaged", "replaced", "unreachable", "missing"]

_NUM_SHARDS_NAMED = 3
_NUM_EPOCHS_KEPT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantinedSample:
    """A sample that stays out of the batches, and why."""

    key: str
    shard: str
    """URL of the tar."""
    offset: int
    """Position of the audio in it."""
    reason: Reason
    """`damaged`: the bytes are not those of the index; `replaced`: the shard changed during the
    run; `unreachable`: the store did not answer in time; `missing`: not there, or denied."""
    message: str
    """The error, with what was expected and what came."""
    epoch: int
    """When it was found."""

    def to_json(self) -> dict[str, Any]:
        """Return a row of the quarantine file."""
        return asdict(self)


class Quarantine:
    """The samples that one rank does without. Any thread may call any method."""

    def __init__(
        self,
        index: DatasetIndex,
        *,
        budget: float,
        num_samples: int,
        file: Path | None = None,
    ) -> None:
        """Take the budget, and what a file holds of earlier runs.

        Args:
            index: The dataset.
            budget: Samples that this rank may do without in an epoch: a number, or below 1 a
                share of `num_samples`, rounded up. 0: none, the first error is raised as it is.
            num_samples: Samples of this rank in an epoch.
            file: Where the list is kept, one JSON object a line; need not be there yet. Samples
                that it lists of this dataset are not asked for; delete it after a repair.

        Raises:
            ConfigError: the file can't be read, or holds something else.
        """
        self._index = index
        self._budget = budget
        self._max_lost = math.ceil(budget * num_samples) if 0 < budget < 1 else int(budget)
        self._file = file
        self._lock = threading.Lock()
        self._samples: dict[int, QuarantinedSample] = {}
        self._lost_in_epoch: dict[int, set[int]] = {}
        if file is not None:
            self._samples = _load(file, index)

    @property
    def is_on(self) -> bool:
        """Whether there is any budget."""
        return self._max_lost > 0

    @property
    def samples(self) -> tuple[QuarantinedSample, ...]:
        """All that is listed, in the order in which it was found."""
        with self._lock:
            return tuple(self._samples.values())

    def __len__(self) -> int:
        return len(self._samples)

    def __contains__(self, row: int) -> bool:
        return row in self._samples

    def places(self, rows_B: NDArray[np.int64]) -> frozenset[int]:
        """Return the places of a batch whose samples are listed."""
        if not self._samples or not self.is_on:
            return frozenset()
        return frozenset(place for place, row in enumerate(rows_B.tolist()) if row in self)

    def add(self, row: int, error: MelstreamError, *, epoch: int) -> None:
        """List a sample of which the second attempt failed too.

        Raises:
            ErrorBudgetError: that is one more than the budget allows.
        """
        index = self._index
        shard = int(index.shard_N[row])
        sample = QuarantinedSample(
            key=str(index.keys[row]),
            shard=_shard_url(index, shard),
            offset=int(index.audio_offset_N[row]),
            reason=_reason(error),
            message=str(error),
            epoch=epoch,
        )
        with self._lock:
            is_new = row not in self._samples
            self._samples.setdefault(row, sample)
        if is_new and self._file is not None:
            _append(self._file, {"dataset_digest": index.digest, **sample.to_json()})
        self.count(row, epoch=epoch, error=error)

    def count(self, row: int, *, epoch: int, error: Exception | None = None) -> None:
        """Count a listed sample against the budget of an epoch; copies of it count once.

        Raises:
            ErrorBudgetError: that is one more than the budget allows.
        """
        with self._lock:
            lost = self._lost_in_epoch.setdefault(epoch, set())
            lost.add(row)
            while len(self._lost_in_epoch) > _NUM_EPOCHS_KEPT:
                del self._lost_in_epoch[next(iter(self._lost_in_epoch))]
            rows = list(lost)
        if len(rows) > self._max_lost:
            raise ErrorBudgetError(self._describe(rows, epoch)) from error

    def _describe(self, rows: list[int], epoch: int) -> str:
        index = self._index
        by_shard = Counter(int(index.shard_N[row]) for row in rows)
        worst = ", ".join(
            f"{_shard_url(index, shard)} ({count})"
            for shard, count in by_shard.most_common(_NUM_SHARDS_NAMED)
        )
        latest = self._samples[rows[-1]].message
        return (
            f"{len(rows)} samples of epoch {epoch} can't be read on this rank, error_budget="
            f"{self._budget:g} allows {self._max_lost}; worst of {len(by_shard)} shards: {worst}. "
            f"One of the errors: {latest}. `melstream verify URL` finds all damage; copy those "
            "shards again, or raise error_budget"
        )


def _reason(error: MelstreamError) -> Reason:
    if isinstance(error, ShardFormatError):
        return "damaged"
    if isinstance(error, ReplacedError):
        return "replaced"
    return "unreachable" if isinstance(error, TransientStorageError) else "missing"


def _shard_url(index: DatasetIndex, shard: int) -> str:
    return f"{index.stores[index.dataset_of_shard[shard]].url}/{index.tars[shard]}"


def _append(file: Path, row: dict[str, Any]) -> None:
    """Add a line in one write: ranks of a node may share the file."""
    # All in ASCII: U+2028 would end a line for some, and a path may hold what has no UTF-8.
    line = json.dumps(row).encode() + b"\n"
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)
    except OSError as err:
        raise ConfigError(f"can't write quarantine_file {file}: {err.strerror}") from err


def _load(file: Path, index: DatasetIndex) -> dict[int, QuarantinedSample]:
    """Return the listed samples of this dataset, by row; later lines of a sample count."""
    listed: dict[tuple[str, str], QuarantinedSample] = {}
    try:
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"can't read quarantine_file {file}: {err}") from err
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            digest = row.pop("dataset_digest")
            sample = QuarantinedSample(**row)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as err:
            raise ConfigError(
                f"quarantine_file {file}, line {number}: not a quarantined sample ({err}); "
                "delete the file to begin a new list"
            ) from err
        if digest == index.digest:
            listed[sample.shard, sample.key] = sample
    keys = pa.array([key for _, key in listed], pa.large_string())
    rows = np.flatnonzero(pc.is_in(index.keys, value_set=keys).to_numpy(zero_copy_only=False))
    found = {
        int(row): (_shard_url(index, index.shard_N[row]), str(index.keys[row])) for row in rows
    }
    return {row: listed[name] for row, name in found.items() if name in listed}

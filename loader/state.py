"""What a checkpoint keeps of a loader: a position in the global order, and what made that order.

There is no rank and no world size in it: it is the same on every rank, and a run may go on with
other numbers of ranks, threads and rows.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from shardwriter.errors import LoaderStateError

STATE_VERSION = 2

_MAX_TEXT = 250
"""As JSON, where a letter may take six bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderState:
    """A position, and the identity of the order it is a position in."""

    version: int = STATE_VERSION
    dataset_digest: str
    """Of several datasets: a hash of their digests, in the order of the configuration."""
    selection: str
    """Splits, filters and weights, from `DatasetConfig.describe`."""
    sampling: str
    """What decides how often each clip comes, from `Sampling.describe`, and what is mixed into it,
    from `NoiseSource.describe`."""
    seed: int
    shuffle: bool
    open_shards: int
    num_streams: int
    epoch: int
    cursor: int
    """Samples of this epoch's global order that all ranks together have received."""

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> "LoaderState":
        """Read a saved state.

        Raises:
            LoaderStateError: another version, or a field is missing, unknown or mistyped.
        """
        if row.get("version") != STATE_VERSION:
            raise LoaderStateError(
                f"version: the saved state has {row.get('version')!r}, this melstream reads "
                f"{STATE_VERSION}; resume with the version that saved it, or start the epoch anew"
            )
        names = set(cls.__dataclass_fields__)
        if row.keys() != names:
            raise LoaderStateError(
                "not a loader state: "
                f"missing {sorted(names - row.keys())}, unknown {sorted(row.keys() - names)}; "
                "pass what ShardLoader.state_dict() returned"
            )
        for name, kind in _KINDS.items():
            # type() and not isinstance(): True is no epoch.
            if type(row[name]) is not kind:
                raise LoaderStateError(
                    f"{name}: the saved state has {row[name]!r}, expected {kind.__name__}"
                )
        return cls(**row)

    def check_fits(self, current: "LoaderState", *, num_samples: int) -> None:
        """Refuse a state of another order.

        Args:
            current: The state of the loader that is to go on from this one.
            num_samples: Samples in an epoch of that loader.

        Raises:
            LoaderStateError: it names the field, what was saved and what is now.
        """
        for name, way_out in _WAYS_OUT.items():
            saved, now = getattr(self, name), getattr(current, name)
            if saved != now:
                raise LoaderStateError(
                    f"{name}: the saved state has {saved!r}, this loader has {now!r}; {way_out}, "
                    "or begin a new run without the saved state"
                )
        if not 0 <= self.cursor <= num_samples or self.epoch < 0:
            raise LoaderStateError(
                f"epoch {self.epoch}, cursor {self.cursor}: outside of an epoch of "
                f"{num_samples} samples; the saved state was edited: use another one"
            )


_KINDS: dict[str, type] = {
    "dataset_digest": str,
    "selection": str,
    "sampling": str,
    "seed": int,
    "shuffle": bool,
    "open_shards": int,
    "num_streams": int,
    "epoch": int,
    "cursor": int,
}

_WAYS_OUT = {
    "dataset_digest": "point url at the dataset (or datasets, in order) that the run began with",
    "selection": "set splits, filters and weights as they were",
    "seed": "set seed as it was",
    "shuffle": "set shuffle as it was",
    "open_shards": "set open_shards as it was",
    "num_streams": "set num_streams as it was",
    "sampling": "set balance, epoch_size, group_batches, min_spread and noise as they were",
}


def bounded(text: str) -> str:
    """Return a text as it is, or, so that a state stays small, its beginning and its hash."""
    if len(json.dumps(text)) <= _MAX_TEXT:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{text.encode('ascii', 'replace').decode()[: _MAX_TEXT - 30]}... ({digest})"

"""What a checkpoint keeps of a loader: a position in the global order, and what made that order.

There is no rank and no world size in it: it is the same on every rank, and a run may go on with
other numbers of ranks, threads and rows.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from shardwriter.errors import LoaderStateError

STATE_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderState:
    """A position, and the identity of the order it is a position in."""

    version: int = STATE_VERSION
    dataset_digest: str
    split: str
    folds: tuple[int, ...] | None
    """Ascending, whatever order the configuration lists them in."""
    seed: int
    shuffle: bool
    open_shards: int
    epoch: int
    cursor: int
    """Samples of this epoch's global order that all ranks together have received."""

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary that JSON can hold."""
        folds = None if self.folds is None else list(self.folds)
        return asdict(self) | {"folds": folds}

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
        return cls(**{**row, "folds": _read_folds(row["folds"])})

    def check_fits(self, current: "LoaderState", *, num_samples: int) -> None:
        """Refuse a state of another order.

        Args:
            current: The state of the loader that is to go on from this one.
            num_samples: Samples in that loader's selection.

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
    "split": str,
    "seed": int,
    "shuffle": bool,
    "open_shards": int,
    "epoch": int,
    "cursor": int,
}

_WAYS_OUT = {
    "dataset_digest": "point url at the dataset that the run began with",
    "split": "set split as it was",
    "folds": "set folds as they were",
    "seed": "set seed as it was",
    "shuffle": "set shuffle as it was",
    "open_shards": "set open_shards as it was",
}


def _read_folds(folds: object) -> tuple[int, ...] | None:
    if folds is None:
        return None
    if not isinstance(folds, list | tuple) or not all(type(fold) is int for fold in folds):
        raise LoaderStateError(
            f"folds: the saved state has {folds!r}, expected whole numbers or None"
        )
    return tuple(folds)

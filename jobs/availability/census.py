"""How much of a dataset is still there: by split, by class, by reason.

Only what is alive survives. What we could not see (`blocked`, `unknown`) is never counted as gone:
it widens the bounds. Axes: S splits, K classes, X states.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.availability.standing import ALIVE, STATES, UNDECIDED, UNKNOWN, Standing

ALL_SPLITS = "*"
"""Stands for all splits together; no split can have this name."""
AUDIOSET_FLOOR = 59
"""Positives of the rarest class in AudioSet's balanced and eval segments, as published."""
NEVER_TRIED = "never_tried"
"""Stands for the code of a clip without any attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Clips by state; `counts` has every state of `STATES`."""

    counts: Mapping[str, int]
    seconds_listed: float = 0.0
    """Sum over the clips whose length the catalogue knows."""
    seconds_alive: float = 0.0

    @property
    def num_listed(self) -> int:
        """All clips that the catalogue lists."""
        return sum(self.counts.values())

    @property
    def num_alive(self) -> int:
        """Clips that are there."""
        return self.counts[STATES[ALIVE]]

    @property
    def num_undecided(self) -> int:
        """Clips of which we don't know, or could not see, whether they are there."""
        return sum(self.counts[STATES[state]] for state in UNDECIDED)

    @property
    def survival(self) -> float:
        """Share of the listed clips that is alive; also what it is if all undecided are gone."""
        return self.num_alive / self.num_listed if self.num_listed else float("nan")

    @property
    def survival_at_most(self) -> float:
        """Share of the listed clips that is alive if all undecided ones are."""
        at_most = self.num_alive + self.num_undecided
        return at_most / self.num_listed if self.num_listed else float("nan")

    @property
    def survival_of_judged(self) -> float:
        """Share that is alive of the clips that were judged."""
        num_judged = self.num_listed - self.num_undecided
        return self.num_alive / num_judged if num_judged else float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Clips with one state for one reason."""

    state: str
    code: str
    """A `Code`, or `never_tried`."""
    num_clips: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Census:
    """What is there of what was listed."""

    total: Tally
    splits: Mapping[str, Tally]
    reasons: tuple[Reason, ...]
    """Most frequent first."""
    classes: pa.Table
    """A row for each class in each split, and in all splits together (`ALL_SPLITS`): `split`,
    `label`, `num_listed`, a column for each state, `survival`, `survival_at_most`."""
    num_claimed: int
    """Of the unknown clips: answered once as if gone, which a second look has to confirm."""
    num_suspect: int
    """Clips whose last verdict fell in a window in which the canaries failed."""
    num_unlisted: int
    first_verdict: str | None
    """When the earliest and the latest of the verdicts were made, ISO 8601."""
    last_verdict: str | None


def take_census(standing: Standing) -> Census:
    """Count the clips of a listing by state: in all, by split, by class, by reason."""
    num_splits, num_states = len(standing.splits), len(STATES)
    cell_N = standing.split_N * num_states + standing.state_N
    size = num_splits * num_states
    counts_SX = np.bincount(cell_N, minlength=size).reshape(num_splits, num_states)
    seconds_SX = np.bincount(
        cell_N, weights=np.nan_to_num(standing.seconds_N), minlength=size
    ).reshape(num_splits, num_states)
    strength = standing.verdicts["verdict_strength"]
    is_unknown = pa.array(standing.state_N == UNKNOWN)
    times = pc.min_max(standing.verdicts["last_attempt"])
    return Census(
        total=_tally(counts_SX.sum(axis=0), seconds_SX.sum(axis=0)),
        splits={
            split: _tally(counts_SX[row], seconds_SX[row])
            for row, split in enumerate(standing.splits)
        },
        reasons=_reasons(standing),
        classes=_class_table(standing),
        num_claimed=_num_true(pc.and_(pc.equal(strength, "claimed"), is_unknown)),
        num_suspect=_num_true(pc.equal(strength, "suspect")),
        num_unlisted=standing.num_unlisted,
        first_verdict=times["min"].as_py(),
        last_verdict=times["max"].as_py(),
    )


def worst_classes(census: Census, *, split: str = ALL_SPLITS, limit: int = 20) -> pa.Table:
    """Return the classes that lost the largest share, the worst first, of equals the largest."""
    rows = census.classes.filter((pc.field("split") == split) & (pc.field("num_listed") > 0))
    order = [("survival", "ascending"), ("num_listed", "descending"), ("label", "ascending")]
    return rows.sort_by(order).slice(0, limit)


def classes_under(census: Census, *, floor: int = AUDIOSET_FLOOR) -> pa.Table:
    """Return the classes that had `floor` clips in a split, and have less now, fewest first."""
    rows = census.classes.filter(
        (pc.field("split") != ALL_SPLITS)
        & (pc.field("num_listed") >= floor)
        & (pc.field("alive") < floor)
    )
    return rows.sort_by([("alive", "ascending"), ("split", "ascending"), ("label", "ascending")])


def class_counts(standing: Standing) -> NDArray[np.int64]:
    """Return the number of clips by split, class and state, as an array SKX."""
    shape = (len(standing.splits), len(standing.labels), len(STATES))
    cell_L = np.ravel_multi_index(
        (
            standing.split_N[standing.clip_L],
            standing.label_L,
            standing.state_N[standing.clip_L],
        ),
        shape,
    )
    return np.bincount(cell_L, minlength=int(np.prod(shape))).reshape(shape)


def _tally(counts_X: NDArray[np.int64], seconds_X: NDArray[np.float64]) -> Tally:
    return Tally(
        counts=dict(zip(STATES, counts_X.tolist(), strict=True)),
        seconds_listed=float(seconds_X.sum()),
        seconds_alive=float(seconds_X[ALIVE]),
    )


def _num_true(mask: pa.ChunkedArray) -> int:
    return pc.sum(mask).as_py() or 0


def _reasons(standing: Standing) -> tuple[Reason, ...]:
    table = pa.table(
        {
            "state": pa.array(standing.state_N),
            "code": pc.fill_null(standing.verdicts["code"], NEVER_TRIED),
        }
    )
    counts = table.group_by(["state", "code"]).aggregate([([], "count_all")]).to_pylist()
    counts.sort(key=lambda row: (-row["count_all"], row["state"], row["code"]))
    return tuple(
        Reason(state=STATES[row["state"]], code=row["code"], num_clips=row["count_all"])
        for row in counts
    )


def _class_table(standing: Standing) -> pa.Table:
    counts_SKX = class_counts(standing)
    everywhere = np.concatenate([counts_SKX.sum(axis=0, keepdims=True), counts_SKX])
    rows = everywhere.reshape(-1, len(STATES))
    listed = rows.sum(axis=1)
    with np.errstate(invalid="ignore"):
        survival = rows[:, ALIVE] / listed
        at_most = (rows[:, ALIVE] + rows[:, UNDECIDED].sum(axis=1)) / listed
    splits = (ALL_SPLITS, *standing.splits)
    return pa.table(
        {
            "split": np.repeat(splits, len(standing.labels)),
            "label": pa.array(standing.labels * len(splits), pa.string()),
            "num_listed": listed,
            **{state: rows[:, column] for column, state in enumerate(STATES)},
            "survival": survival,
            "survival_at_most": at_most,
        }
    )

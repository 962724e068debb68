"""Each listed clip with its state, as arrays: what census, label shift and report count from.

Axes: N clips of the listing, in its order; L pairs of a clip and one of its labels; K classes.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shardwriter.errors import ShardFormatError

STATES = ("alive", "gone", "gated", "blocked", "absent", "unknown")
ALIVE, GONE, GATED, BLOCKED, ABSENT, UNKNOWN = range(len(STATES))
UNDECIDED = (BLOCKED, UNKNOWN)
"""States that leave open whether the clip is there."""

_COLUMNS = ["code", "last_attempt", "verdict_strength"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standing:
    """What is known of each clip that the catalogue lists."""

    labels: tuple[str, ...]
    splits: tuple[str, ...]
    """In order of their first clip."""
    clip_ids: pa.Array
    split_N: NDArray[np.int64]
    """Position in `splits`."""
    state_N: NDArray[np.int64]
    """Position in `STATES`."""
    seconds_N: NDArray[np.float64]
    """How long the catalogue says the clip is; NaN where it doesn't."""
    label_L: NDArray[np.int64]
    """Position in `labels`."""
    clip_L: NDArray[np.int64]
    """Position of the clip in the listing."""
    verdicts: pa.Table
    """Columns `code`, `last_attempt` and `verdict_strength` of N rows; null: never tried."""
    num_unlisted: int
    """Clips of the snapshot that are not in the listing; they are counted nowhere else."""


def stand(listing: pa.Table, labels: tuple[str, ...], snapshot: pa.Table) -> Standing:
    """Give each clip of a listing its state; one that the snapshot lacks is `unknown`.

    Args:
        listing: Table of `LISTING_SCHEMA`.
        labels: The vocabulary; a label's id is its position.
        snapshot: Table of `SNAPSHOT_SCHEMA`, in any order.

    Raises:
        ShardFormatError: a clip twice, a state or a label that is not known.
    """
    clip_ids = flat(listing["clip_id"])
    check_unique(clip_ids, where="the listing")
    place = index_of(clip_ids, in_ids=unique_ids(snapshot, where="the snapshot"))
    splits = pc.unique(listing["split"])
    lists = flat(listing["labels"])
    return Standing(
        labels=labels,
        splits=tuple(splits.to_pylist()),
        clip_ids=clip_ids,
        split_N=_codes(listing["split"], known=splits, what="split"),
        state_N=_codes(
            pc.fill_null(flat(snapshot["state"]).take(place), STATES[UNKNOWN]),
            known=pa.array(STATES),
            what="state",
        ),
        seconds_N=_floats(listing["seconds"]),
        label_L=_codes(lists.flatten(), known=pa.array(labels, pa.string()), what="label"),
        clip_L=pc.list_parent_indices(lists).to_numpy().astype(np.int64),
        verdicts=snapshot.select(_COLUMNS).take(place),
        num_unlisted=len(snapshot) - (len(place) - place.null_count),
    )


def unique_ids(snapshot: pa.Table, *, where: str) -> pa.Array:
    """Return the clip ids of a snapshot; a clip twice is a `ShardFormatError`."""
    ids = flat(snapshot["clip_id"])
    check_unique(ids, where=where)
    return ids


def check_unique(ids: pa.Array, *, where: str) -> None:
    """Refuse clip ids of which one is there twice."""
    if len(pc.unique(ids)) == len(ids):
        return
    counts = pc.value_counts(ids)
    twice = counts.filter(pc.greater(counts.field("counts"), 1))
    raise ShardFormatError(
        f"{where} holds {len(twice)} clips more than once, e.g. {twice[0]['values'].as_py()!r}"
    )


def index_of(ids: pa.Array, *, in_ids: pa.Array) -> pa.Array:
    """Return the position of each of `ids` in `in_ids`; null where it is not there."""
    return pc.index_in(ids, value_set=in_ids)


def state_codes(snapshot: pa.Table) -> NDArray[np.int64]:
    """Return the states of a snapshot as positions in `STATES`.

    Raises:
        ShardFormatError: a state that is not one of them.
    """
    return _codes(snapshot["state"], known=pa.array(STATES), what="state")


def flat(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return a column in one piece."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _codes(column: pa.Array | pa.ChunkedArray, *, known: pa.Array, what: str) -> NDArray[np.int64]:
    values = flat(column)
    codes = pc.index_in(values, value_set=known)
    if codes.null_count:
        stranger = values.filter(pc.is_null(codes))[0].as_py()
        some = ", ".join(map(str, known.slice(0, 8).to_pylist()))
        raise ShardFormatError(f"{what} {stranger!r} is not one of the {len(known)} known: {some}")
    result: NDArray[np.int64] = codes.to_numpy(zero_copy_only=False).astype(np.int64)
    return result


def _floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    values: NDArray[np.float64] = pc.fill_null(flat(column), float("nan")).to_numpy(
        zero_copy_only=False
    )
    return values

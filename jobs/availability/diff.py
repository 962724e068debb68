"""Two snapshots side by side: what both know, what was lost, what came back, whose audio changed.

They are two runs of one dataset, or two datasets. Axes: X states of the first, Y of the second.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.availability.standing import (
    ABSENT,
    ALIVE,
    GATED,
    GONE,
    STATES,
    flat,
    index_of,
    state_codes,
    unique_ids,
)

_OUT_OF_REACH = (GONE, GATED, ABSENT)


class Change(StrEnum):
    """How a clip differs between two snapshots; a clip has at most one of these."""

    LOST = "lost"  # alive, then gone, gated or absent
    RECOVERED = "recovered"  # gone, gated or absent, then alive: published again, or misjudged
    AUDIO = "audio"  # alive in both, with other samples
    STATE = "state"  # any other change of state, e.g. unknown to alive: nothing is claimed by it
    ONLY_FIRST = "only_first"  # not in the second snapshot at all
    ONLY_SECOND = "only_second"


CHANGES_SCHEMA = pa.schema(
    [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("change", pa.string(), nullable=False),
        pa.field("first_state", pa.string()),
        pa.field("second_state", pa.string()),
        pa.field("first_code", pa.string()),
        pa.field("second_code", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SnapshotDiff:
    """What differs between two snapshots."""

    num_first: int
    num_second: int
    num_common: int
    num_common_alive: int
    transitions_XY: NDArray[np.int64]
    """Common clips by state in the first (rows) and the second snapshot, in order of `STATES`."""
    num_audio_compared: int
    """Clips alive in both whose samples' hash is known in both."""
    changes: pa.Table
    """A row of `CHANGES_SCHEMA` for each clip that differs, in order of clip id."""

    def count(self, change: Change) -> int:
        """Return how many clips changed so."""
        return len(self.ids(change))

    def ids(self, change: Change) -> pa.Array:
        """Return the ids of the clips that changed so, in order."""
        return flat(self.changes.filter(pc.field("change") == change.value)["clip_id"])


def diff_snapshots(first: pa.Table, second: pa.Table) -> SnapshotDiff:
    """Compare two tables of `SNAPSHOT_SCHEMA`.

    Raises:
        ShardFormatError: a clip twice in one of them, or a state that is not known.
    """
    first_ids = unique_ids(first, where="the first snapshot")
    second_ids = unique_ids(second, where="the second snapshot")
    place = index_of(first_ids, in_ids=second_ids)
    is_common = pc.is_valid(place)
    a, b = first.filter(is_common), second.take(place.drop_null())
    state_a, state_b = state_codes(a), state_codes(b)
    both_alive = (state_a == ALIVE) & (state_b == ALIVE)
    compared = both_alive & _both_known(a["pcm_sha256"], b["pcm_sha256"])
    differs = pc.fill_null(pc.not_equal(a["pcm_sha256"], b["pcm_sha256"]), fill_value=False)
    other_audio = compared & differs.to_numpy()
    kind = _kinds(state_a, state_b, other_audio)
    is_changed = pc.is_valid(kind)
    changes = pa.concat_tables(
        [
            _changes(a.filter(is_changed), b.filter(is_changed), kind.drop_null()),
            _one_sided(first.filter(pc.invert(is_common)), Change.ONLY_FIRST),
            _one_sided(
                second.filter(pc.invert(pc.is_in(second_ids, value_set=first_ids))),
                Change.ONLY_SECOND,
            ),
        ]
    )
    pairs = np.bincount(state_a * len(STATES) + state_b, minlength=len(STATES) ** 2)
    return SnapshotDiff(
        num_first=len(first),
        num_second=len(second),
        num_common=len(a),
        num_common_alive=int(both_alive.sum()),
        transitions_XY=pairs.reshape(len(STATES), len(STATES)),
        num_audio_compared=int(compared.sum()),
        changes=changes.sort_by("clip_id"),
    )


def _both_known(first: pa.ChunkedArray, second: pa.ChunkedArray) -> NDArray[np.bool_]:
    known: NDArray[np.bool_] = pc.and_(pc.is_valid(first), pc.is_valid(second)).to_numpy()
    return known


def _kinds(
    state_a: NDArray[np.int64], state_b: NDArray[np.int64], other_audio: NDArray[np.bool_]
) -> pa.Array:
    """Return the change of each common clip, null where there is none."""
    names = list(Change)
    code = np.select(
        [
            (state_a == ALIVE) & np.isin(state_b, _OUT_OF_REACH),
            np.isin(state_a, _OUT_OF_REACH) & (state_b == ALIVE),
            other_audio,
            state_a != state_b,
        ],
        [names.index(kind) for kind in (Change.LOST, Change.RECOVERED, Change.AUDIO, Change.STATE)],
        default=-1,
    )
    return pa.array([name.value for name in names]).take(pa.array(code, mask=code < 0))


def _changes(a: pa.Table, b: pa.Table, kind: pa.Array) -> pa.Table:
    columns = [a["clip_id"], kind, a["state"], b["state"], a["code"], b["code"]]
    return pa.Table.from_arrays(columns, schema=CHANGES_SCHEMA)


def _one_sided(rows: pa.Table, change: Change) -> pa.Table:
    nothing = pa.nulls(len(rows), pa.string())
    kind = pa.array([change.value] * len(rows), pa.string())
    if change is Change.ONLY_FIRST:
        columns = [rows["clip_id"], kind, rows["state"], nothing, rows["code"], nothing]
    else:
        columns = [rows["clip_id"], kind, nothing, rows["state"], nothing, rows["code"]]
    return pa.Table.from_arrays(columns, schema=CHANGES_SCHEMA)

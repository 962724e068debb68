"""Attempts in the order of clip and time, as columns of numbers: millions of them in seconds."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

NONE: Final = -1
"""Where there is no row."""

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A column of few distinct strings."""

    values: npt.NDArray[np.str_]
    """The distinct ones, sorted."""
    ranks: npt.NDArray[np.int32]
    """For each row the place of its value."""

    def among(self, *wanted: str) -> Flags:
        """Tell which rows have one of some values."""
        flags: Flags = np.isin(self.values, wanted)[self.ranks]
        return flags


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Attempts at listed clips, by clip and time. Numbers of rows are places in this order."""

    attempts: pa.Table
    row: Integers
    """Row of `attempts`."""
    clip: Integers
    """Place of the clip in the listing."""
    milliseconds: Integers
    run: Words
    source: Words
    group: Words
    code: Words
    canaries: Words

    def last(self, mask: Flags, num_clips: int) -> Integers:
        """Return for each clip the last row of a mask, -1 for none."""
        found = np.full(num_clips, NONE)
        places = np.flatnonzero(mask)
        found[self.clip[places]] = places  # of several, numpy keeps the last
        return found

    def first(self, mask: Flags, num_clips: int) -> Integers:
        """Return for each clip the first row of a mask, -1 for none."""
        found = np.full(num_clips, NONE)
        places = np.flatnonzero(mask)[::-1]
        found[self.clip[places]] = places
        return found

    def after(self, rows: Integers) -> Flags:
        """Tell of each row whether it comes after its clip's row among these."""
        return np.arange(len(self.clip)) > rows[self.clip]


def sorted_rows(attempts: pa.Table, clip_ids: pa.Array) -> Rows:
    """Sort row numbers; the attempts themselves, over a gigabyte of them, stay where they are."""
    clip = pc.fill_null(pc.index_in(attempts["clip_id"], value_set=clip_ids), NONE).to_numpy()
    listed = np.flatnonzero(clip != NONE)
    times = _milliseconds(attempts["time_utc"])
    names = ("canary_state", "source", "code", "run_id", "group")
    words = {name: _words(attempts[name]) for name in names}
    number = attempts["attempt"].to_numpy()
    keys = [words["canary_state"].ranks, words["source"].ranks, words["code"].ranks, number]
    keys += [words["run_id"].ranks, times, clip]
    order = listed[np.lexsort([key[listed] for key in keys])]

    def ordered(name: str) -> Words:
        return Words(values=words[name].values, ranks=words[name].ranks[order])

    return Rows(
        attempts=attempts,
        row=order,
        clip=clip[order].astype(np.int64),
        milliseconds=times[order],
        run=ordered("run_id"),
        source=ordered("source"),
        group=ordered("group"),
        code=ordered("code"),
        canaries=ordered("canary_state"),
    )


def _milliseconds(times: pa.ChunkedArray) -> Integers:
    try:
        stamps = pc.cast(times, pa.timestamp("ms", "UTC"))
    except pa.ArrowInvalid as err:
        raise ValueError(f"the attempts log has a time that is none: {err}") from err
    return np.asarray(pc.cast(stamps, pa.int64()).to_numpy())


def _words(column: pa.ChunkedArray) -> Words:
    values = pc.unique(column)
    values = values.take(pc.sort_indices(values))
    ranks = pc.index_in(column, value_set=values).to_numpy()
    return Words(values=np.array(values.to_pylist(), dtype=np.str_), ranks=ranks)

"""When the verdicts were made, and the windows in which they can't be trusted.

A verdict is suspect if the canaries (videos known to be alive) failed around it: then it was the
network or the session that was looked at, not the clip.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.availability.standing import STATES, Standing

_NUM_BINS = 60
_GAP_SECONDS = 1800.0
"""Suspect verdicts that lie further apart belong to different windows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspectWindow:
    """A time in which the canaries failed."""

    start_utc: str
    """ISO 8601, of the first and the last suspect verdict."""
    stop_utc: str
    num_clips: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VerdictTimeline:
    """Verdicts by time and state, axes B bins and X states."""

    edges: NDArray[np.datetime64]
    """B + 1 times, evenly spaced, UTC."""
    counts_BX: NDArray[np.int64]


def suspect_windows(standing: Standing) -> tuple[SuspectWindow, ...]:
    """Return the windows of suspect verdicts, in order of time."""
    is_suspect = pc.equal(standing.verdicts["verdict_strength"], "suspect")
    times = _times(standing.verdicts.filter(is_suspect)["last_attempt"])
    times = np.sort(times[~np.isnat(times)])
    if not len(times):
        return ()
    gaps = np.diff(times) / np.timedelta64(1, "s") > _GAP_SECONDS
    groups = np.split(times, np.flatnonzero(gaps) + 1)
    return tuple(
        SuspectWindow(start_utc=f"{group[0]}Z", stop_utc=f"{group[-1]}Z", num_clips=len(group))
        for group in groups
    )


def verdict_timeline(standing: Standing) -> VerdictTimeline | None:
    """Return how many verdicts of each state were made when; None where none was made."""
    times = _times(standing.verdicts["last_attempt"])
    is_made = ~np.isnat(times)
    if not is_made.any():
        return None
    made = times[is_made]
    start, stop = made.min(), made.max() + np.timedelta64(1, "ms")
    # A step in whole milliseconds; the last edge may lie behind the last verdict.
    step = max(1, -(-int((stop - start).astype(np.int64)) // _NUM_BINS))
    bins = (made - start).astype(np.int64) // step
    cells = bins * len(STATES) + standing.state_N[is_made]
    counts = np.bincount(cells, minlength=_NUM_BINS * len(STATES))
    edges = start + (np.arange(_NUM_BINS + 1) * step).astype("timedelta64[ms]")
    return VerdictTimeline(edges=edges, counts_BX=counts.reshape(_NUM_BINS, len(STATES)))


def _times(column: pa.ChunkedArray) -> NDArray[np.datetime64]:
    """Read ISO 8601 times in UTC; numpy has no zones, so the result is UTC without saying so."""
    moments = pc.cast(column, pa.timestamp("ms", tz="UTC"))
    times: NDArray[np.datetime64] = pc.local_timestamp(moments).to_numpy()
    return times.astype("datetime64[ms]")

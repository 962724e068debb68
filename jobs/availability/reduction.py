"""From attempts to states, vectorised: every rule is one line over all attempts.

For each clip, in the order of time:
1. An attempt that came out `ok` shows the clip alive, whatever was said before or the canaries say.
2. What went wrong later counts only if it says something of the clip. Blocked, transient, unclear
   and our own failures say nothing: a clip that was alive stays so, with an old `last_seen`.
   Attempts made while the canaries failed, or in the hour before, are suspect and say nothing.
3. A gated clip exists: that ends every earlier claim that it is gone.
4. Claims that it is gone: the permanent codes; and the bare "Video unavailable", which a blocked
   session gets too, if the canaries showed that the session was well. One window makes a claim,
   two windows confirm it. A check of whole bytes (the attempt has the hash of the source) is
   confirmed at once: another day brings the same bytes.
5. `absent` stands where nothing better is known, or if the same kind of source had the clip before.

Nothing depends on the order of the rows.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.availability.outcome import CHECKS_OF_AUDIO, Code, Group
from jobs.availability.reduction_rows import NONE, Flags, Integers, Rows, sorted_rows
from jobs.availability.snapshot import SNAPSHOT_SCHEMA

HOURS_BETWEEN_WINDOWS: Final = 20
"""A run is a window, and two count as two if so far apart: YouTube's blocks of a session or an
address last an hour to a day, and a job at the same hour of each day should confirm."""

SUSPECT_MINUTES: Final = 60
"""What was found so long before canaries failed is suspect too: they are asked every half hour, and
nothing tells when in between it began."""

REDUCED_COLUMNS: Final = (
    "run_id", "attempt", "source", "clip_id", "time_utc", "code", "group", "canary_state",
    "source_sha256", "pcm_sha256",
)  # fmt: skip
"""What `reduce_attempts` needs of the log: a twentieth of its bytes."""

_STATES = ("unknown", "alive", "gone", "gated", "blocked", "absent")
_UNKNOWN, _ALIVE, _GONE, _GATED, _BLOCKED, _ABSENT = range(len(_STATES))
_STRENGTHS = ("claimed", "confirmed", "suspect")
_CLAIMED, _CONFIRMED, _SUSPECT = range(len(_STRENGTHS))


def reduce_attempts(attempts: pa.Table, listing: pa.Table) -> pa.Table:
    """Return the state of every listed clip.

    Args:
        attempts: Rows of the attempts log in any order, with `REDUCED_COLUMNS` at least. Rows of
            clips that are not listed don't matter.
        listing: The catalogue's clips; only `clip_id` is looked at.

    Returns:
        A table of `SNAPSHOT_SCHEMA`, a row for each listed clip, in the listing's order.

    Raises:
        ValueError: the listing has a clip twice, or a time is not one.
    """
    clip_ids = listing["clip_id"].combine_chunks()
    if pc.count_distinct(clip_ids).as_py() != len(clip_ids):
        raise ValueError("the listing has a clip twice")
    rows = sorted_rows(attempts, clip_ids)
    return _snapshot(_judge(rows, len(clip_ids)), rows, clip_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdicts:
    """For each clip its state, how sure that is (-1: not a verdict), and the rows that tell."""

    state: Integers
    strength: Integers
    decided: Integers
    first_ok: Integers
    last_ok: Integers
    last: Integers
    num_attempts: Integers


def _judge(rows: Rows, num_clips: int) -> _Verdicts:
    is_ok = rows.group.among(Group.OK)
    last_ok = rows.last(is_ok, num_clips)
    counts = ~is_ok & ~_is_suspect(rows)
    since_ok = counts & rows.after(last_ok)
    is_gated = since_ok & rows.group.among(Group.GATED)
    last_gated = rows.last(is_gated, num_clips)
    is_claim = since_ok & rows.after(last_gated) & _claims(rows)
    last_claim = rows.last(is_claim, num_clips)
    is_absent = since_ok & rows.group.among(Group.ABSENT) & _same_source(rows, last_ok)
    last_absent = rows.last(is_absent, num_clips)
    last_counted = rows.last(counts, num_clips)
    last = rows.last(np.ones(len(rows.clip), np.bool_), num_clips)
    was_blocked = rows.last(counts & rows.group.among(Group.BLOCKED), num_clips)

    def strength(mask: Flags) -> Integers:
        return np.where(_has_two_windows(rows, mask, num_clips), _CONFIRMED, _CLAIMED)

    is_sure = rows.last(is_claim & _looked_at_whole_bytes(rows), num_clips) != NONE
    is_gone = is_sure | (strength(is_claim) == _CONFIRMED)
    # The first that holds for a clip: whether it does, state, strength, the row that tells.
    cases: list[tuple[Flags, int, int | Integers, Integers]] = [
        ((last_claim != NONE) & is_gone, _GONE, _CONFIRMED, last_claim),
        (last_claim != NONE, _UNKNOWN, _CLAIMED, last_claim),
        (last_gated != NONE, _GATED, strength(is_gated), last_gated),
        ((last_ok != NONE) & (last_absent == NONE), _ALIVE, _CONFIRMED, last_ok),
        (_is_newest(was_blocked, last_counted), _BLOCKED, NONE, was_blocked),
        (_is_newest(last_absent, last_counted), _ABSENT, strength(is_absent), last_absent),
        (last_counted != NONE, _UNKNOWN, NONE, last_counted),
        (last != NONE, _UNKNOWN, _SUSPECT, last),
    ]
    conditions = [case[0] for case in cases]
    zeros = np.zeros(num_clips, np.int64)
    return _Verdicts(
        state=np.select(conditions, [zeros + case[1] for case in cases], _UNKNOWN),
        strength=np.select(conditions, [zeros + case[2] for case in cases], NONE),
        decided=np.select(conditions, [case[3] for case in cases], NONE),
        first_ok=rows.first(is_ok, num_clips),
        last_ok=last_ok,
        last=last,
        num_attempts=np.bincount(rows.clip, minlength=num_clips),
    )


def _is_suspect(rows: Rows) -> Flags:
    """Tell which attempts were made while their run's canaries failed, or in the hour before."""
    # One number for run and time, so that a run's times lie apart from every other run's.
    key = (rows.run.ranks.astype(np.int64) << 43) + rows.milliseconds
    failed = np.sort(key[rows.canaries.among("failed")])
    if not len(failed):
        return np.zeros(len(key), np.bool_)
    next_failed = failed[np.minimum(np.searchsorted(failed, key), len(failed) - 1)]
    is_soon: Flags = (next_failed >= key) & (next_failed - key <= SUSPECT_MINUTES * 60_000)
    return is_soon


def _is_newest(found: Integers, last_counted: Integers) -> Flags:
    is_newest: Flags = (found != NONE) & (found == last_counted)
    return is_newest


def _claims(rows: Rows) -> Flags:
    """Tell which attempts say that the clip is gone."""
    is_unspecified = rows.code.among(Code.UNAVAILABLE_UNSPECIFIED)
    is_permanent = rows.group.among(Group.PERMANENT)
    return is_permanent | (is_unspecified & rows.canaries.among("ok"))


def _looked_at_whole_bytes(rows: Rows) -> Flags:
    came_whole: Flags = pc.is_valid(rows.attempts["source_sha256"]).to_numpy()
    return came_whole[rows.row] & rows.code.among(*CHECKS_OF_AUDIO)


def _same_source(rows: Rows, last_ok: Integers) -> Flags:
    """Tell of each row whether its kind of source is the one that had the clip, if any had it."""
    ok_row = last_ok[rows.clip]
    is_same: Flags = rows.source.ranks[ok_row] == rows.source.ranks
    is_same |= ok_row == NONE
    return is_same


def _has_two_windows(rows: Rows, mask: Flags, num_clips: int) -> Flags:
    """Tell for which clips the rows of a mask are of two runs, far enough apart.

    A run's time is that of its first such row at the clip.
    """
    places = np.flatnonzero(mask)
    if not len(places):
        return np.zeros(num_clips, np.bool_)
    windows = rows.clip[places] * len(rows.run.values) + rows.run.ranks[places]
    _, first = np.unique(windows, return_index=True)  # in the order of time within a clip
    chosen = places[first]
    earliest = np.full(num_clips, np.iinfo(np.int64).max)
    latest = np.full(num_clips, np.iinfo(np.int64).min)
    np.minimum.at(earliest, rows.clip[chosen], rows.milliseconds[chosen])
    np.maximum.at(latest, rows.clip[chosen], rows.milliseconds[chosen])
    has_any = latest >= earliest
    apart = np.where(has_any, latest, 0) - np.where(has_any, earliest, 0)
    is_apart: Flags = apart >= HOURS_BETWEEN_WINDOWS * 3_600_000
    return is_apart


def _snapshot(verdicts: _Verdicts, rows: Rows, clip_ids: pa.Array) -> pa.Table:
    def taken(name: str, places: Integers) -> pa.ChunkedArray:
        chosen = np.full(len(places), NONE)
        chosen[places != NONE] = rows.row[places[places != NONE]]
        return rows.attempts[name].take(pa.array(chosen, mask=chosen == NONE))

    def named(names: tuple[str, ...], values: Integers) -> pa.Array:
        return pa.array(names).take(pa.array(values, mask=values == NONE))

    columns = {
        "clip_id": clip_ids,
        "state": named(_STATES, verdicts.state),
        "code": taken("code", verdicts.decided),
        "first_seen": taken("time_utc", verdicts.first_ok),
        "last_seen": taken("time_utc", verdicts.last_ok),
        "last_attempt": taken("time_utc", verdicts.last),
        "num_attempts": pa.array(verdicts.num_attempts, pa.int32()),
        "verdict_strength": named(_STRENGTHS, verdicts.strength),
        "source_sha256": taken("source_sha256", verdicts.last_ok),
        "pcm_sha256": taken("pcm_sha256", verdicts.last_ok),
    }
    return pa.table(columns, schema=SNAPSHOT_SCHEMA)

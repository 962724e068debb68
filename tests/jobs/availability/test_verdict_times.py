import numpy as np
import pyarrow as pa

from jobs.availability.listing import listing_table
from jobs.availability.standing import STATES, Standing, stand
from jobs.availability.verdict_times import SuspectWindow, suspect_windows, verdict_timeline
from tests.jobs.availability.drift_builders import catalogue, clip, snapshot


def standing(rows: list[tuple[str, str | None, str]]) -> Standing:
    """Clips with state, time of the last attempt and strength of the verdict."""
    clips = [clip(number) for number in range(len(rows))]
    ids = [c.id for c in clips]
    states: pa.Table = snapshot(
        {clip_id: state for clip_id, (state, _, _) in zip(ids, rows, strict=True)},
        last_attempt={clip_id: time for clip_id, (_, time, _) in zip(ids, rows, strict=True)},
        verdict_strength={clip_id: row[2] for clip_id, row in zip(ids, rows, strict=True)},
    )
    listed = catalogue(*clips)
    return stand(listing_table(listed), listed.labels, states)


def test_suspect_verdicts_within_half_an_hour_are_one_window() -> None:
    windows = suspect_windows(
        standing(
            [
                ("unknown", "2026-11-22T09:20:00.500Z", "suspect"),
                ("unknown", "2026-11-22T09:00:00.000Z", "suspect"),
                ("gone", "2026-11-22T09:10:00.000Z", "confirmed"),
                ("unknown", "2026-11-22T11:00:00.000Z", "suspect"),
                ("unknown", None, "suspect"),
            ]
        )
    )
    assert windows == (
        SuspectWindow(
            start_utc="2026-11-22T09:00:00.000Z",
            stop_utc="2026-11-22T09:20:00.500Z",
            num_clips=2,
        ),
        SuspectWindow(
            start_utc="2026-11-22T11:00:00.000Z",
            stop_utc="2026-11-22T11:00:00.000Z",
            num_clips=1,
        ),
    )


def test_trusted_verdicts_make_no_window() -> None:
    assert suspect_windows(standing([("alive", "2026-11-22T09:00:00.000Z", "confirmed")])) == ()


def test_timeline_counts_every_verdict_once_in_order_of_time() -> None:
    rows = [("alive", f"2026-11-22T09:{minute:02}:00.000Z", "confirmed") for minute in range(30)]
    rows += [("gone", "2026-11-22T10:00:00.000Z", "confirmed")]
    timeline = verdict_timeline(standing([*rows, ("unknown", None, "claimed")]))
    assert timeline is not None
    counts_BX = timeline.counts_BX
    assert counts_BX[:, STATES.index("alive")].sum() == 30
    assert counts_BX[:31, STATES.index("alive")].sum() == 30
    assert counts_BX[-1, STATES.index("gone")] == 1
    assert counts_BX.sum() == 31
    assert timeline.edges[0] == np.datetime64("2026-11-22T09:00:00.000")
    assert timeline.edges[-1] > np.datetime64("2026-11-22T10:00:00.000")
    assert len(timeline.edges) == len(counts_BX) + 1


def test_single_verdict_has_a_timeline_and_none_has_not() -> None:
    one = verdict_timeline(standing([("alive", "2026-11-22T09:00:00.000Z", "confirmed")]))
    assert one is not None
    assert one.counts_BX.sum() == 1
    assert verdict_timeline(standing([("unknown", None, "claimed")])) is None

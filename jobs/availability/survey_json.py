"""A survey, and a diff, as JSON for machines; what can't be said is null."""

import math
from typing import Any

from jobs.availability.census import Tally
from jobs.availability.diff import Change, SnapshotDiff
from jobs.availability.label_shift import LabelShift
from jobs.availability.standing import STATES
from jobs.availability.survey import Survey


def survey_json(survey: Survey) -> dict[str, Any]:
    """Return the figures of a survey; tables by class and clip lie in files of their own."""
    census = survey.census
    return {
        "name": survey.facts.name,
        "url": survey.facts.url,
        "run": survey.run_id,
        "dataset_digest": survey.facts.digest or None,
        "published": dict(survey.published),
        "first_verdict": census.first_verdict,
        "last_verdict": census.last_verdict,
        **_tally(census.total),
        "ids_sha256": survey.alive_anywhere.sha256,
        "splits": {
            split: {**_tally(tally), "ids_sha256": survey.alive[split].sha256}
            for split, tally in census.splits.items()
        },
        "reasons": [
            {"state": reason.state, "code": reason.code, "clips": reason.num_clips}
            for reason in census.reasons
        ],
        "unknown_but_once_as_if_gone": census.num_claimed,
        "suspect": census.num_suspect,
        "unlisted": census.num_unlisted,
        "suspect_windows": [
            {"from": window.start_utc, "to": window.stop_utc, "clips": window.num_clips}
            for window in survey.windows
        ],
        "label_shift": {shift.split: _shift(shift) for shift in survey.shifts},
        "since": None
        if survey.diff is None
        else {"run": survey.earlier_run_id, **diff_json(survey.diff)},
    }


def diff_json(diff: SnapshotDiff) -> dict[str, Any]:
    """Return the counts of a diff."""
    return {
        "first": diff.num_first,
        "second": diff.num_second,
        "common": diff.num_common,
        "alive_in_both": diff.num_common_alive,
        "audio_compared": diff.num_audio_compared,
        "changes": {change.value: diff.count(change) for change in Change},
        "transitions": {
            before: dict(zip(STATES, diff.transitions_XY[row].tolist(), strict=True))
            for row, before in enumerate(STATES)
        },
    }


def _tally(tally: Tally) -> dict[str, Any]:
    return {
        "listed": tally.num_listed,
        "states": dict(tally.counts),
        "survival": _number(tally.survival),
        "survival_at_most": _number(tally.survival_at_most),
        "survival_of_judged": _number(tally.survival_of_judged),
        "hours_listed": tally.seconds_listed / 3600,
        "hours_alive": tally.seconds_alive / 3600,
    }


def _shift(shift: LabelShift) -> dict[str, Any]:
    return {
        "js_divergence_bits": _number(shift.js_divergence_bits),
        "max_log_odds_change": _number(shift.max_log_odds_change),
        "max_log_odds_label": shift.max_log_odds_label,
        "classes_beyond_chance": shift.num_classes_shifted,
        "recall_half_width_before": _number(shift.recall_half_width_before),
        "recall_half_width_after": _number(shift.recall_half_width_after),
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value

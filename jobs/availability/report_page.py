"""A survey as one HTML page."""

import math

from jobs.availability.card import percent
from jobs.availability.census import (
    ALL_SPLITS,
    AUDIOSET_FLOOR,
    Tally,
    classes_under,
    worst_classes,
)
from jobs.availability.diff import Change
from jobs.availability.report_plots import (
    class_funnel_picture,
    label_shift_picture,
    reasons_picture,
    survival_picture,
    timeline_picture,
    transitions_picture,
    worst_classes_picture,
)
from jobs.availability.standing import STATES
from jobs.availability.survey import Survey
from jobs.html_page import Html, cards, code, figures, page, section, table
from jobs.report import Picture

_MAX_CLASS_ROWS = 20
_CHANGE_WORDS = {
    Change.LOST: "lost: alive before, now gone, gated or absent",
    Change.RECOVERED: "recovered: published again, or misjudged before",
    Change.AUDIO: "alive in both, with other audio",
    Change.STATE: "another change of state, which claims nothing",
    Change.ONLY_FIRST: "only in the earlier run",
    Change.ONLY_SECOND: "only in this run",
}


def render_availability(survey: Survey, *, floor: int = AUDIOSET_FLOOR) -> str:
    """Return the page; the same survey gives the same text.

    Args:
        survey: What is told.
        floor: Classes that fell under so many clips of a split are named.
    """
    facts, census = survey.facts, survey.census
    sections = [
        section("Splits", _split_figure(survey), _splits(survey), _published(survey)),
        section("Reasons", _reasons(survey)),
        section("Classes", _classes(survey), _under(survey, floor)),
        section("Label shift", _shifts(survey)),
        section("Since the earlier run", _since(survey)),
        section("When we looked", _times(survey)),
        section("Which clips: cite these", _ids(survey)),
        section("Provenance", _provenance(survey)),
    ]
    return page(
        title=f"{facts.title or facts.name}: what is still there",
        subtitle=f"{facts.url}, run {survey.run_id}",
        note=f"Clips looked at from {census.first_verdict or 'never'} to "
        f"{census.last_verdict or 'never'}",
        body=cards(_cards(survey)) + "".join(sections),
    )


def _cards(survey: Survey) -> list[tuple[str, str, str]]:
    total = survey.census.total
    missing = [state for state in STATES[1:] if total.counts[state]]
    bounds = (
        f"of {total.num_listed:,} listed; at most {percent(total.survival_at_most)} "
        f"with the {total.num_undecided:,} that could not be judged"
        if total.num_undecided
        else f"of {total.num_listed:,} listed; every clip was judged"
    )
    shift = survey.shifts[0]
    return [
        ("Alive", percent(total.survival), bounds),
        (
            "Clips alive",
            f"{total.num_alive:,}",
            f"{total.seconds_alive / 3600:,.1f} of {total.seconds_listed / 3600:,.1f} hours",
        ),
        (
            "Not there",
            f"{total.num_listed - total.num_alive:,}",
            ", ".join(f"{total.counts[state]:,} {state}" for state in missing) or "nothing missing",
        ),
        (
            "Label shift",
            "-" if math.isnan(shift.js_divergence_bits) else f"{shift.js_divergence_bits:.4f}",
            "bits of Jensen-Shannon divergence; "
            f"{shift.num_classes_shifted} of {len(shift.classes):,} classes beyond chance",
        ),
    ]


def _split_figure(survey: Survey) -> str:
    if not survey.census.splits:
        return "<p>No clip is listed.</p>"
    return figures(
        [
            Picture(
                png=survival_picture(survey.census.splits),
                caption="Blocked and unknown clips are not counted as gone: they were not seen. "
                "The percentage is what is alive, to what would be if all of those were.",
            )
        ]
    )


def _splits(survey: Survey) -> str:
    heads = ("split", "listed", *STATES, "survival", "of judged", "hours alive")
    rows = [_split_row(name, tally) for name, tally in survey.census.splits.items()]
    if len(rows) > 1:
        rows.append(_split_row("all", survey.census.total))
    return table(heads, rows, numbers=True)


def _split_row(name: str, tally: Tally) -> tuple[str, ...]:
    return (
        name,
        f"{tally.num_listed:,}",
        *(f"{tally.counts[state]:,}" for state in STATES),
        percent(tally.survival),
        percent(tally.survival_of_judged),
        f"{tally.seconds_alive / 3600:,.1f}",
    )


def _published(survey: Survey) -> str:
    listed, expected = survey.census.total.num_listed, sum(survey.published.values())
    notes = []
    if survey.published and listed != expected:
        notes.append(f"{listed:,} clips are listed, but {expected:,} are published.")
    if survey.census.num_unlisted:
        notes.append(
            f"{survey.census.num_unlisted:,} clips of the snapshot are not in the listing, and "
            "are counted nowhere here."
        )
    return "".join(f'<p class="note">{note}</p>' for note in notes)


def _reasons(survey: Survey) -> str:
    reasons = [reason for reason in survey.census.reasons if reason.state != "alive"]
    if not reasons:
        return "<p>Every listed clip is alive.</p>"
    caption = "The outcome of the last look at each clip that is not alive, coloured by state."
    if survey.census.num_claimed:
        caption += (
            f" Of the unknown clips, {survey.census.num_claimed:,} answered once as if gone; "
            "a second look on another day decides."
        )
    picture = Picture(png=reasons_picture(survey.census.reasons), caption=caption)
    rows = [(code(reason.code), reason.state, f"{reason.num_clips:,}") for reason in reasons]
    return figures([picture]) + table(("reason", "state", "clips"), rows, numbers=True)


def _classes(survey: Survey) -> str:
    worst = worst_classes(survey.census)
    if not len(worst):
        return ""
    return figures(
        [
            Picture(
                png=class_funnel_picture(survey.census),
                caption="Each dot is a class. If loss were blind to labels, 95 % of the dots "
                "would lie in the grey band; small classes vary more by chance alone.",
            ),
            Picture(
                png=worst_classes_picture(worst),
                caption="The classes with the smallest share alive, all splits together.",
            ),
        ]
    )


def _under(survey: Survey, floor: int) -> str:
    under = classes_under(survey.census, floor=floor).to_pylist()
    if not under:
        return f"<p>Every class that had {floor:,} clips in a split still has as many.</p>"
    rows = [
        (row["label"], row["split"], f"{row['num_listed']:,}", f"{row['alive']:,}")
        for row in under[:_MAX_CLASS_ROWS]
    ]
    more = f", the first {_MAX_CLASS_ROWS} of them" if len(under) > _MAX_CLASS_ROWS else ""
    intro = (
        f"<p>{len(under):,} classes had {floor:,} clips or more in a split, and have fewer "
        f"now{more}:</p>"
    )
    return intro + table(("class", "split", "listed", "alive"), rows, numbers=True)


def _shifts(survey: Survey) -> str:
    first = survey.shifts[0]
    if not len(first.classes) or not first.num_after:
        return "<p>No labelled clip is alive, so there is nothing to compare.</p>"
    picture = Picture(
        png=label_shift_picture(first),
        caption="Change of each class's log-odds, alive against listed, half a clip added to "
        "both sides (Haldane, Anscombe 1956): below 0 a class is rarer than listed. Right, the "
        "classes that changed most. All splits together.",
    )
    rows = [
        (
            "all" if shift.split == ALL_SPLITS else shift.split,
            f"{shift.js_divergence_bits:.5f}",
            f"{shift.max_log_odds_change:.3f}, {shift.max_log_odds_label}",
            f"{shift.num_classes_shifted:,} (|z| > {shift.shifted_z:.1f})",
            f"{100 * shift.recall_half_width_before:.2f} to "
            f"{100 * shift.recall_half_width_after:.2f}",
        )
        for shift in survey.shifts
    ]
    heads = (
        "split",
        "JS divergence, bits",
        "largest change of log-odds",
        "classes beyond chance",
        "half-width, points",
    )
    note = (
        '<p class="note">Half-width: of the 95 % interval of the mean recall over classes, as '
        "listed and as alive, from the numbers of positives alone (Wilson, at a recall of 1/2): "
        "differences between two models that are smaller say little.</p>"
    )
    return figures([picture]) + table(heads, rows, numbers=True) + note


def _since(survey: Survey) -> str:
    if survey.diff is None:
        return ""
    picture = Picture(
        png=transitions_picture(survey.diff.transitions_XY),
        caption=f"Clips by state in run {survey.earlier_run_id} (rows) and now (columns).",
    )
    rows = [
        (words, f"{survey.diff.count(change):,}")
        for change, words in _CHANGE_WORDS.items()
        if survey.diff.count(change)
    ]
    if not rows:
        return figures([picture]) + "<p>Nothing changed.</p>"
    return figures([picture]) + table(("change", "clips"), rows, numbers=True)


def _times(survey: Survey) -> str:
    if survey.timeline is None:
        return "<p>No clip was looked at yet.</p>"
    picture = Picture(
        png=timeline_picture(survey.timeline, survey.windows),
        caption="The last look at each clip. In a suspect window the canaries failed: clips seen "
        "missing there count as unknown until they are seen again.",
    )
    rows = [
        (str(number), window.start_utc, window.stop_utc, f"{window.num_clips:,}")
        for number, window in enumerate(survey.windows, start=1)
    ]
    windows = table(("suspect window", "from", "to", "clips"), rows, numbers=True)
    return figures([picture]) + (windows or "<p>No window was suspect.</p>")


def _ids(survey: Survey) -> str:
    lists = {**survey.alive, "all": survey.alive_anywhere}
    rows = [(name, f"{len(ids.ids):,}", code(ids.sha256)) for name, ids in lists.items()]
    note = (
        '<p class="note">SHA-256 of the ids of the clips that are alive: each id once, in order of '
        "its bytes, a newline after each. <code>sha256sum ids/SPLIT.txt</code> gives it too, and "
        "<code>melstream availability common-eval</code> the clips that several copies share.</p>"
    )
    return table(("split", "clips", "digest of the id list"), rows) + note


def _provenance(survey: Survey) -> str:
    facts = survey.facts
    rows: list[tuple[str, str]] = [
        ("licence", facts.licence),
        ("citation", facts.citation),
        *facts.audio.items(),
        ("tools", facts.tools),
        ("digest of the shards", code(facts.digest) if facts.digest else Html("not published yet")),
        ("earlier run", survey.earlier_run_id or ""),
    ]
    return table(("what", "value"), [(name, value) for name, value in rows if value])

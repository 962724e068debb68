"""`dataset_card.md`: what a paper should say of the copy of a dataset that it used."""

import json
import math
from collections.abc import Iterable, Sequence

from jobs.availability.census import ALL_SPLITS, Tally
from jobs.availability.standing import STATES
from jobs.availability.survey import Survey

_SPLIT_HEADS = ("split", "listed", "alive", "survival", *STATES[1:], "hours alive")
_ESCAPES = str.maketrans({character: f"\\{character}" for character in "\\`*_{}[]<>#|"})


def dataset_card(survey: Survey) -> str:
    """Return the card as Markdown, with the front matter that Hugging Face reads.

    The same survey gives the same text: the date is that of the last look at a clip.
    """
    facts = survey.facts
    title = facts.title or facts.name
    parts = [
        _front_matter(title),
        f"# {_plain(title)}: the clips of this copy",
        _summary(survey),
        "## Clips by split",
        _table(
            ("split", "listed", "alive", "survival", *STATES[1:], "hours alive"),
            _split_rows(survey),
        ),
        _published(survey),
        "## Clip ids",
        "The id list of a split has each id once, in order of its UTF-8 bytes, a newline after "
        "each; its digest is the SHA-256 of that text (`sha256sum ids/SPLIT.txt`). Two results "
        "with equal digests were scored on the same clips.",
        _table(
            ("split", "clips", "SHA-256 of the id list"),
            [
                (_plain(split), f"{len(ids.ids):,}", f"`{ids.sha256}`")
                for split, ids in {**survey.alive, "all": survey.alive_anywhere}.items()
            ],
        ),
        "## Why clips are missing",
        _table(
            ("state", "reason", "clips"),
            [
                (reason.state, _plain(reason.code), f"{reason.num_clips:,}")
                for reason in survey.census.reasons
                if reason.state != "alive"
            ],
        )
        or "No clip is missing.",
        "## Label shift",
        _shift(survey),
        "## How the audio was made",
        _facts(survey),
        "## How to reproduce",
        _how(survey),
        "## Licence and citation",
        _plain(facts.licence),
        _plain(facts.citation),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(title: str) -> str:
    # A JSON string is a YAML string too, whatever it holds.
    return "\n".join(
        [
            "---",
            f"pretty_name: {json.dumps(title)}",
            "task_categories: [audio-classification]",
            "tags: [audio, webdataset, melstream]",
            "---",
        ]
    )


def _summary(survey: Survey) -> str:
    total = survey.census.total
    sentence = (
        f"{total.num_alive:,} of {total.num_listed:,} listed clips are there "
        f"(**{percent(total.survival)}**), as of {survey.census.last_verdict or 'never'}, "
        f"run `{survey.run_id}`."
    )
    if total.num_undecided:
        sentence += (
            f" {total.num_undecided:,} clips could not be judged; with them it is at most "
            f"{percent(total.survival_at_most)}."
        )
    if survey.census.num_claimed:
        sentence += (
            f" {survey.census.num_claimed:,} of these answered once as if gone, which a second "
            "look on another day has to confirm."
        )
    if survey.census.num_suspect:
        sentence += (
            f" {survey.census.num_suspect:,} verdicts fell in windows in which the canaries "
            "failed, and count as not judged."
        )
    return sentence


def _split_rows(survey: Survey) -> list[tuple[str, ...]]:
    rows = [_split_row(split, tally) for split, tally in survey.census.splits.items()]
    return [*rows, _split_row("all", survey.census.total)] if len(rows) > 1 else rows


def _split_row(split: str, tally: Tally) -> tuple[str, ...]:
    return (
        _plain(split),
        f"{tally.num_listed:,}",
        f"{tally.num_alive:,}",
        percent(tally.survival),
        *(f"{tally.counts[state]:,}" for state in STATES[1:]),
        f"{tally.seconds_alive / 3600:,.1f}",
    )


def _published(survey: Survey) -> str:
    listed = survey.census.total.num_listed
    expected = sum(survey.published.values())
    if not survey.published:
        return ""
    counts = ", ".join(f"{_plain(title)}: {count:,}" for title, count in survey.published.items())
    if listed == expected:
        return f"The number of listed clips is the published one ({counts})."
    return f"**{listed:,} clips are listed, {expected:,} are published** ({counts})."


def _shift(survey: Survey) -> str:
    if math.isnan(survey.shifts[0].js_divergence_bits):
        return "No labelled clip is alive, so there is nothing to compare."
    rows = [
        (
            "all" if shift.split == ALL_SPLITS else _plain(shift.split),
            f"{shift.js_divergence_bits:.5f}",
            f"{shift.max_log_odds_change:.3f} ({_plain(shift.max_log_odds_label)})",
            f"{shift.num_classes_shifted}",
            f"{100 * shift.recall_half_width_before:.2f} -> "
            f"{100 * shift.recall_half_width_after:.2f}",
        )
        for shift in survey.shifts
    ]
    heads = (
        "split",
        "Jensen-Shannon divergence (bits)",
        "largest change of log-odds (nats)",
        "classes shifted beyond chance",
        "95 % half-width of mean recall (points)",
    )
    return _table(heads, rows)


def _facts(survey: Survey) -> str:
    facts = survey.facts
    rows = [("source listing", facts.title), *facts.audio.items(), ("tools", facts.tools)]
    rows.append(("digest of the shards", facts.digest))
    return _table(
        ("what", "value"), [(_plain(name), _plain(value)) for name, value in rows if value]
    )


def _how(survey: Survey) -> str:
    lines = [
        f"melstream availability report {survey.facts.url} --run {survey.run_id}",
        f"melstream availability common-eval {survey.facts.url} OTHER --split SPLIT",
    ]
    return "\n".join(["```", *lines, "```"])


def percent(share: float) -> str:
    """Return a share in percent, or `-` where there is none."""
    return "-" if math.isnan(share) else f"{share:.2%}"


def _plain(text: str) -> str:
    """Escape what Markdown would read as markup, on one line."""
    return " ".join(text.split()).translate(_ESCAPES)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(heads)} |", "|" + "---|" * len(heads), *lines])

"""`melstream availability report` and `card`: what is left of a dataset, told to people."""

import json
import math
from pathlib import Path

from jobs.availability.card import dataset_card, percent
from jobs.availability.census import classes_under
from jobs.availability.diff import Change
from jobs.availability.listing import published_num_clips, read_listing
from jobs.availability.report_files import PAGE_NAME, write_report_files
from jobs.availability.runs import load_run, run_before
from jobs.availability.standing import STATES
from jobs.availability.survey import Survey, facts_of, take_survey
from jobs.availability.survey_json import survey_json
from jobs.console import say, table
from shardwriter.manifest import load_manifest
from shardwriter.schema import MANIFEST_NAME
from shardwriter.storage import S3Options, open_store


def report(
    url: str,
    *,
    out: Path,
    run_id: str | None,
    since: str | None,
    floor: int,
    as_json: bool,
    s3: S3Options | None,
) -> None:
    """Write the report of a dataset, and print its summary.

    Args:
        url: The dataset.
        out: Folder of the report.
        run_id: The run; None for the latest.
        since: An earlier run to compare with; None for the one before, if there is one.
        floor: Classes that fell under so many clips of a split are named.
        as_json: Print the summary as JSON.
        s3: How to reach the dataset on S3.

    Raises:
        ConfigError: no listing, no snapshot, no such run.
        ShardFormatError: one of them is damaged.
    """
    survey = load_survey(url, run_id=run_id, since=since, s3=s3)
    names = write_report_files(survey, out, floor=floor)
    if as_json:
        say(json.dumps(survey_json(survey), indent=1, ensure_ascii=False))
        return
    _print_survey(survey, floor=floor)
    say(f"\nreport: {out / PAGE_NAME}, and {len(names) - 1} files beside it")


def card(url: str, *, out: Path | None, run_id: str | None, s3: S3Options | None) -> None:
    """Write the dataset card to a file, or print it.

    Raises:
        ConfigError: no listing, no snapshot, no such run.
        ShardFormatError: one of them is damaged.
    """
    text = dataset_card(load_survey(url, run_id=run_id, since=None, s3=s3))
    if out is None:
        say(text.rstrip())
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    say(f"card: {out}")


def load_survey(url: str, *, run_id: str | None, since: str | None, s3: S3Options | None) -> Survey:
    """Load what the dataset lists and what a run found, and count."""
    store = open_store(url, s3)
    run = load_run(store, run_id)
    earlier_id = since or run_before(store, run.run_id)
    listing, labels = read_listing(store)
    # A dataset whose ingest is not finished, or found nothing, has a log but no manifest.
    manifest = load_manifest(store) if store.exists(MANIFEST_NAME) else None
    return take_survey(
        facts_of(store.url, manifest, name=" and ".join(published_num_clips(listing)) or url),
        listing,
        labels,
        run_id=run.run_id,
        snapshot=run.snapshot,
        earlier=None if earlier_id is None else (earlier_id, load_run(store, earlier_id).snapshot),
    )


def _print_survey(survey: Survey, *, floor: int) -> None:
    total = survey.census.total
    say(f"{survey.facts.title or survey.facts.name} at {survey.facts.url}, run {survey.run_id}")
    rows = [("listed", f"{total.num_listed:,} clips")]
    rows += [
        (state, f"{total.counts[state]:,} ({percent(total.counts[state] / total.num_listed)})")
        for state in STATES
        if total.counts[state]
    ]
    if total.num_undecided:
        rows.append(("survival", f"{percent(total.survival)} to {percent(total.survival_at_most)}"))
    rows.append(
        ("hours", f"{total.seconds_alive / 3600:,.1f} of {total.seconds_listed / 3600:,.1f}")
    )
    under = classes_under(survey.census, floor=floor)
    if len(under):
        rows.append((f"fell under {floor}", f"{len(under):,} classes of a split"))
    if survey.windows:
        rows.append(("suspect windows", f"{len(survey.windows):,}: the canaries failed there"))
    shift = survey.shifts[0]
    if not math.isnan(shift.js_divergence_bits):
        bent = f"{shift.num_classes_shifted:,} of {len(shift.classes):,} classes beyond chance"
        rows.append(("label shift", f"{shift.js_divergence_bits:.4f} bits, {bent}"))
    if survey.diff is not None:
        lost, back = survey.diff.count(Change.LOST), survey.diff.count(Change.RECOVERED)
        rows.append((f"since {survey.earlier_run_id}", f"{lost:,} clips lost, {back:,} recovered"))
    table(rows)

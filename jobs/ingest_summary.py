"""The lines that close an ingest: what was listed, written, left out, and where it lies."""

from jobs.availability.outcome import Group
from jobs.catalogues.catalogue import Catalogue
from jobs.catalogues.showing import shortcomings, split_duplicates
from jobs.console import counted, human_bytes, table
from jobs.ingest import IngestSummary
from jobs.ingesting.tally import REJECTIONS_NAME, SHOWN_AS
from shardwriter.manifest import Manifest
from shardwriter.overlaps import DUPLICATES_NAME, GROUPS_NAME

_MAX_PARTS_NAMED = 8
_MAX_SHORTCOMINGS = 8
_MEANING = {
    Group.PERMANENT: "not there any more, damaged, or not what the catalogue says; a later run "
    "confirms it",
    Group.GATED: "there, but not for us: age, members, country",
    Group.BLOCKED: "we were refused, which says nothing about the clips",
    Group.TRANSIENT: "the network failed, or files are cut off; a later run asks again",
    Group.OURS: "our side failed",
    Group.UNCLEAR: "asks for another look",
    Group.ABSENT: "not in this source",
}


def print_summary(summary: IngestSummary, catalogue: Catalogue, *, out: str) -> None:
    """Print the summary of an ingest; a count that differs from the published one stands out."""
    expected = summary.expected_num_clips
    listed = f"{summary.num_listed:,} of the {expected:,} clips that {catalogue.title} holds"
    if summary.num_listed != expected:
        listed += "  <- differs from the published count"
    rows = [("listed", listed), ("written", counted(summary.num_written, "clip"))]
    if summary.num_already_there:
        rows.append(("there before", counted(summary.num_already_there, "clip")))
    if summary.num_not_due:
        waiting = (
            f"{counted(summary.num_not_due, 'clip')}, which would answer the same now; --retry asks"
        )
        rows.append(("not asked for", waiting))
    rows += _shortcomings(catalogue)
    rows += _outcomes(summary)
    rows += _duplicates(summary, catalogue, out=out)
    rows += _groups(summary, catalogue, out=out)
    rows += _dataset(summary, out=out)
    if summary.num_written:
        speed = summary.num_written / summary.seconds
        rows.append(("took", f"{summary.seconds:.1f} s, {speed:.0f} clips/s"))
    if summary.rejections:
        rows.append(("every rejection", f"{out}/{REJECTIONS_NAME}"))
    table(rows)


def _shortcomings(catalogue: Catalogue) -> list[tuple[str, str]]:
    rows = shortcomings(catalogue)
    if len(rows) <= _MAX_SHORTCOMINGS:
        return rows
    return [*rows[:_MAX_SHORTCOMINGS], ("", f"and {len(rows) - _MAX_SHORTCOMINGS:,} more")]


def _outcomes(summary: IngestSummary) -> list[tuple[str, str]]:
    rows = [
        (SHOWN_AS[group], f"{counted(summary.num_by_group[group], 'clip')}: {_MEANING[group]}")
        for group in Group
        if group is not Group.OK and summary.num_by_group.get(group)
    ]
    rows += [
        (f"rejected: {reason}", counted(count, "clip"))
        for reason, count in summary.rejections_by_reason.items()
    ]
    if summary.blocked:
        rows.append(
            ("stopped", f"{summary.blocked}; no clip is judged by that: run it again later")
        )
    return rows


def _dataset(summary: IngestSummary, *, out: str) -> list[tuple[str, str]]:
    if summary.manifest is not None:
        return [("dataset", _size(summary.manifest, out=out))]
    unfinished = summary.unfinished_parts
    if not unfinished:
        return [("dataset", f"nothing to publish yet at {out}; what was fetched is kept")]
    named = ", ".join(map(str, unfinished[:_MAX_PARTS_NAMED]))
    more = len(unfinished) - _MAX_PARTS_NAMED
    return [
        (
            "dataset",
            f"waits for part {named}" + (f" and {more:,} more" if more > 0 else "") + "; the last "
            "one publishes it, or --merge does with what there is",
        )
    ]


def _size(manifest: Manifest, *, out: str) -> str:
    hours = sum(shard.duration_seconds for shard in manifest.shards) / 3600
    num_bytes = sum(shard.num_bytes for shard in manifest.shards)
    shards = counted(len(manifest.shards), "shard")
    return f"{shards}, {hours:.2f} hours, {human_bytes(num_bytes)} at {out}"


def _duplicates(summary: IngestSummary, catalogue: Catalogue, *, out: str) -> list[tuple[str, str]]:
    known, others = split_duplicates(catalogue, summary.duplicates)
    rows = []
    if others:
        first = others[0]
        rows.append(
            (
                "same audio",
                f"{counted(len(others), 'clip')} with the audio of another, e.g. {first.key} "
                f"that of {first.same_as_key}: {out}/{DUPLICATES_NAME}",
            )
        )
    if known:
        rows.append(("same audio, known", f"{counted(len(known), 'clip')}, as published"))
    return rows


def _groups(summary: IngestSummary, catalogue: Catalogue, *, out: str) -> list[tuple[str, str]]:
    known = {group for leak in catalogue.leaks for group in leak.groups}
    others = [found for found in summary.straddling_groups if found.group not in known]
    num_known = len(summary.straddling_groups) - len(others)
    rows = []
    if others:
        named = f"{len(others):,}, e.g. {others[0].group}: {out}/{GROUPS_NAME}"
        rows.append(("groups in two splits", named))
    if num_known:
        rows.append(("groups in two splits, known", f"{num_known:,}, as published"))
    return rows

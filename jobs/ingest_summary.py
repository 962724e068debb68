"""The lines that close an ingest: what was listed, written, left out, and where it lies."""

from jobs.catalogues.catalogue import Catalogue
from jobs.console import human_bytes, table
from jobs.ingest import REJECTIONS_NAME, IngestSummary
from shardwriter.overlaps import DUPLICATES_NAME, GROUPS_NAME


def print_summary(summary: IngestSummary, catalogue: Catalogue, *, out: str) -> None:
    """Print the summary of an ingest; a count that differs from the published one stands out."""
    shards = summary.manifest.shards
    expected = summary.expected_num_clips
    listed = f"{summary.num_listed:,} of the {expected:,} clips that {catalogue.title} holds"
    if summary.num_listed != expected:
        listed += "  <- differs from the published count"
    rows = [("listed", listed), ("written", f"{summary.num_written:,} clips")]
    if summary.num_already_there:
        rows.append(("there before", f"{summary.num_already_there:,} clips"))
    for reason, count in summary.rejections_by_reason.items():
        rows.append((f"rejected: {reason}", f"{count:,} clips"))
    rows += _overlaps(summary, out=out)
    hours = sum(shard.duration_seconds for shard in shards) / 3600
    num_bytes = sum(shard.num_bytes for shard in shards)
    rows.append(
        ("dataset", f"{len(shards)} shards, {hours:.2f} hours, {human_bytes(num_bytes)} at {out}")
    )
    if summary.num_written:
        speed = summary.num_written / summary.seconds
        rows.append(("took", f"{summary.seconds:.1f} s, {speed:.0f} clips/s"))
    if summary.rejections:
        rows.append(("every rejection", f"{out}/{REJECTIONS_NAME}"))
    table(rows)


def _overlaps(summary: IngestSummary, *, out: str) -> list[tuple[str, str]]:
    rows = []
    if summary.duplicates:
        first = summary.duplicates[0]
        rows.append(
            (
                "same audio",
                f"{len(summary.duplicates):,} clips hold the audio of another, e.g. {first.key} "
                f"that of {first.same_as_key}: {out}/{DUPLICATES_NAME}",
            )
        )
    if summary.straddling_groups:
        rows.append(
            (
                "groups in two splits",
                f"{len(summary.straddling_groups):,}, e.g. {summary.straddling_groups[0].group}: "
                f"{out}/{GROUPS_NAME}",
            )
        )
    return rows

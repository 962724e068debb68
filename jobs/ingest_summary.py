"""The lines that close an ingest: what was listed, written, left out, and where it lies."""

from jobs.catalogues.catalogue import Catalogue
from jobs.console import human_bytes, table
from jobs.ingest import REJECTIONS_NAME, IngestSummary


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

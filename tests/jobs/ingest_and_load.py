"""From published files to shards, and from there through the loader."""

from dataclasses import dataclass
from pathlib import Path

from jobs.catalogues.reading import read_catalogue
from jobs.catalogues.registry import find_dataset
from jobs.fetching.open_fetcher import open_fetcher
from jobs.ingest import IngestOptions, IngestSummary, ingest
from jobs.sources import open_source
from shardwriter.schema import SampleRecord
from tests.jobs.round_trip import load
from tests.jobs.shard_records import records_of


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """What came out of it."""

    summary: IngestSummary
    records: dict[str, SampleRecord]
    """By identity."""
    targets: dict[str, dict[str, frozenset[str]]]
    """What the loader gives to learn: the labels of each clip, by split."""

    @property
    def reasons(self) -> dict[str, str]:
        """Why clips were left out, by identity."""
        return {rejection.clip_id: rejection.reason for rejection in self.summary.rejections}


def round_trip(dataset: str, place: Path, out: Path, /, **options: str) -> RoundTrip:
    """Ingest a dataset by its description, and load every split."""
    source = open_source(str(place))
    catalogue = read_catalogue(find_dataset(dataset), source, options)
    choices = IngestOptions(out=str(out), sample_rate_hz=16_000, num_workers=0, quiet=True)
    summary = ingest(catalogue, open_fetcher(source.url), choices)
    return RoundTrip(
        summary=summary,
        records={record.id: record for record in records_of(out)},
        targets={
            split: {name: frozenset(labels) for name, labels in load(str(out), split).items()}
            for split in summary.manifest.splits
        },
    )

"""From published files to shards, and from there through the loader."""

from dataclasses import dataclass
from pathlib import Path

from jobs.catalogues.reading import read_catalogue
from jobs.catalogues.registry import find_dataset
from jobs.fetching.open_fetcher import open_fetcher
from jobs.ingest import IngestOptions, IngestSummary, ingest
from jobs.sources import open_source
from loader import LoaderConfig, ShardLoader, World
from shardwriter.keys import from_key
from shardwriter.manifest import load_manifest
from shardwriter.schema import SampleRecord
from shardwriter.storage import open_store
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
        targets={split: _targets(out, split) for split in summary.manifest.splits},
    )


def _targets(out: Path, split: str) -> dict[str, frozenset[str]]:
    labels = load_manifest(open_store(str(out))).settings.labels
    config = LoaderConfig(
        url=str(out), split=split, batch_size=2, crop_seconds=0.1, tail="pad", num_threads=1
    )
    found: dict[str, frozenset[str]] = {}
    for batch in ShardLoader(config, world=World()):
        for key, row_K in zip(batch.keys, batch.target_BK, strict=True):
            found[from_key(key)] = frozenset(labels[k] for k in row_K.nonzero().flatten())
    return found

"""A dataset as published → shards → what the loader gives a training loop."""

from dataclasses import dataclass
from pathlib import Path

from jobs.catalogues.catalogue import Catalogue
from jobs.catalogues.reading import read_catalogue
from jobs.catalogues.registry import find_dataset
from jobs.fetching.open_fetcher import open_fetcher
from jobs.ingest import IngestOptions, IngestSummary, ingest
from jobs.sources import open_source
from loader.config import LoaderConfig
from loader.loader import ShardLoader
from loader.world import World
from shardwriter.keys import from_key
from shardwriter.schema import SampleRecord
from tests.jobs.shard_records import records_of

ALONE = World(rank=0, size=1, local_rank=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    catalogue: Catalogue
    summary: IngestSummary
    records: dict[str, SampleRecord]
    """By id of the clip, without the dataset's name in front."""
    loaded: dict[str, tuple[str, ...]]
    """Labels of each clip as the loader's targets have them, likewise."""

    @property
    def splits(self) -> dict[str, str]:
        return {name: record.split for name, record in self.records.items()}

    @property
    def rejected(self) -> dict[str, str]:
        return {
            found.clip_id.partition("/")[2]: str(found.reason) for found in self.summary.rejections
        }


def round_trip(name: str, place: Path, out: Path, *, hz: int = 16_000, **chosen: str) -> RoundTrip:
    """Ingest a dataset, and load every split of it."""
    source = open_source(str(place))
    catalogue = read_catalogue(find_dataset(name), source, chosen)
    options = IngestOptions(out=str(out), sample_rate_hz=hz, num_workers=0, quiet=True)
    summary = ingest(catalogue, open_fetcher(source.url), options)
    records = {record.id.partition("/")[2]: record for record in records_of(out)}
    loaded: dict[str, tuple[str, ...]] = {}
    for split in sorted({record.split for record in records.values()}):
        of_split = load(str(out), split)
        loaded |= {name.partition("/")[2]: labels for name, labels in of_split.items()}
    assert {name: record.labels for name, record in records.items()} == loaded
    return RoundTrip(catalogue=catalogue, summary=summary, records=records, loaded=loaded)


def load(url: str, split: str) -> dict[str, tuple[str, ...]]:
    """Return the labels of each clip of a split as the loader's targets have them, by id."""
    config = LoaderConfig(
        url=url, split=split, batch_size=4, crop_seconds=None, tail="pad", num_threads=1
    )
    found: dict[str, tuple[str, ...]] = {}
    loader = ShardLoader(config, world=ALONE)
    for batch in loader:
        for row, key in enumerate(batch.keys):
            positions = batch.target_BK[row].nonzero().flatten().tolist()
            found[from_key(key)] = tuple(loader.labels[k] for k in positions)
    loader.close()
    return found

"""A small source of real clips, ways to reach the test server, and what a store holds."""

import csv
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jobs.catalogues.esc50 import read_catalogue
from jobs.fetching.open_fetcher import open_fetcher
from jobs.ingest import IngestOptions, IngestSummary, ingest
from jobs.sources import open_source
from shardwriter import AudioFormat, CleanClip, EncodedSample, Settings, ShardWriter, encode_clip
from shardwriter.s3 import S3Store
from shardwriter.s3_options import S3Options
from shardwriter.storage import Store
from tests.s3.fault_proxy import FaultProxy
from tests.s3.weed import BUCKET

SAMPLE = Path(__file__).resolve().parents[2] / "jobs" / "sample" / "esc10"
NUM_CLIPS = 20
CLIPS_PER_SHARD = 3

SETTINGS = Settings(
    name="made", audio=AudioFormat(sample_rate_hz=8000, frame_num_samples=64), labels=("noise",)
)

FAST = S3Options(
    max_attempts=3, backoff_seconds=0.001, connect_timeout_seconds=2, read_timeout_seconds=5
)
"""As a user would have it, but for the waiting."""


_clients: dict[S3Options, dict[tuple[int, int], object]] = {}
"""Those of each set of options: boto3 takes a third of a second to make one."""


def s3_store(prefix: str, *, bucket: str = BUCKET, options: S3Options = FAST) -> S3Store:
    """Open a store with a client that other tests use as well."""
    store = S3Store(bucket, prefix, options)
    store._bucket._clients = _clients.setdefault(options, {})  # type: ignore[assignment]
    return store


def through(proxy: FaultProxy, prefix: str, *, bucket: str = BUCKET, **changes: object) -> S3Store:
    """Open a store behind the proxy."""
    options = dataclasses.replace(FAST, endpoint_url=proxy.url, **changes)  # type: ignore[arg-type]
    return s3_store(prefix, bucket=bucket, options=options)


def make_source(folder: Path) -> Path:
    """Make a source of the first clips of the embedded sample."""
    with (SAMPLE / "meta" / "esc50.csv").open() as file:
        reader = csv.DictReader(file)
        rows = [row for row, _ in zip(reader, range(NUM_CLIPS), strict=False)]
    (folder / "meta").mkdir()
    (folder / "audio").mkdir()
    with (folder / "meta" / "esc50.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        (clip,) = (SAMPLE / "audio").glob(Path(row["filename"]).stem + ".*")
        os.link(clip, folder / "audio" / clip.name)
    return folder


def ingest_sample(source: Path, out: str) -> IngestSummary:
    """Ingest in this process."""
    opened = open_source(str(source))
    catalogue = read_catalogue(opened, subset="esc10")
    options = IngestOptions(
        out=out,
        sample_rate_hz=8000,
        num_workers=0,
        max_samples_per_shard=CLIPS_PER_SHARD,
        quiet=True,
    )
    return ingest(catalogue, open_fetcher(opened.url), options)


def content(store: Store) -> dict[str, bytes]:
    """Every object but what tells of the runs: it holds their times."""
    names = sorted(store.names(""))
    of_runs = ("availability/attempts/", "availability/snapshots/")
    return {name: store.read(name) for name in names if not name.startswith(of_runs)}


def make_samples(num_clips: int, *, seed: int = 0) -> list[EncodedSample]:
    """Make short clips of noise, already encoded."""
    rng = np.random.default_rng(seed)
    return [
        encode_clip(
            CleanClip(
                id=f"made/{number:03d}",
                split="train",
                pcm_T=rng.integers(-9000, 9000, size=400, dtype=np.int16),
                labels=("noise",),
            ),
            SETTINGS,
        )
        for number in range(num_clips)
    ]


def write_sample(store: Store, samples: Sequence[EncodedSample]) -> None:
    """Write those of the clips that are not there, two a shard."""
    with ShardWriter(store, SETTINGS, max_samples_per_shard=2) as writer:
        for sample in samples:
            if not writer.is_written(sample.record.key):
                writer.write(sample)

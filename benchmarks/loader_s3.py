"""What S3 costs a training loop: the same batches from a local folder and from a store 30 ms away.

The store is SeaweedFS, behind a proxy in a process of its own that adds the delay to each request:

    local     the dataset's folder, read with pread
    cached    S3 with a node cache that earlier epochs have filled
    cold      S3 with an empty node cache: shards are downloaded while it is read
    streamed  S3 without a cache: one GET a clip

Rounds are interleaved; start-up and the first batch are left out of the rates. Server and proxy run
on the same cores as the loader, which a store elsewhere would not: that counts against `cold` and
`streamed`. What the loader itself takes of the processor for a clip is told beside the rates.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.machine import write_results
from jobs.sample import sample_folder
from loader import LoaderConfig, ShardLoader, World
from loader.flac_decoder import wait_until_ready
from loader.reader_stats import ReaderStats
from shardwriter import AudioFormat, CleanClip, Settings, ShardWriter
from shardwriter.storage import S3Options, open_store
from tests.s3.fault_proxy import FaultProxy
from tests.s3.weed import ACCESS_KEY, BUCKET, SECRET_KEY, running_weed

BATCH_SIZE = 64
SAMPLE_RATE_HZ = 32_000
CLIP_SECONDS = 10
CLIPS_PER_SHARD = 40
LATENCY_SECONDS = 0.03
CROPS_SECONDS = (10.0, 2.0)
WAYS = ("local", "cached", "cold", "streamed")


def main() -> int:
    """Run the rounds and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=640)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_weed(Path(folder)) as port:
        os.environ |= {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        }
        local = Path(folder) / "dataset"
        make_dataset(local, num_clips=arguments.clips)
        upload(local)
        context = get_context("spawn")
        ours, its = context.Pipe()
        proxy = context.Process(target=serve_slowly, args=(port, its), daemon=True)
        proxy.start()
        os.environ["AWS_ENDPOINT_URL"] = ours.recv()
        wait_until_ready()
        measured = measure(local, Path(folder) / "cache", rounds=arguments.rounds)
        proxy.kill()
    report(measured, arguments)
    return 0


def make_dataset(folder: Path, *, num_clips: int) -> None:
    """Write clips of 10 s of the embedded sample's sounds."""
    files = sorted((sample_folder() / "audio").iterdir())
    settings = Settings(
        name="far", audio=AudioFormat(sample_rate_hz=SAMPLE_RATE_HZ), labels=("sound",)
    )
    num_samples = CLIP_SECONDS * SAMPLE_RATE_HZ
    with ShardWriter(str(folder), settings, max_samples_per_shard=CLIPS_PER_SHARD) as writer:
        for number in range(num_clips):
            pcm_T, _ = soundfile.read(files[number % len(files)], dtype="int16")
            writer.write_clip(
                CleanClip(
                    id=f"far/{number:05d}",
                    split="train",
                    pcm_T=np.roll(np.resize(pcm_T, num_samples), 997 * number),
                    labels=("sound",),
                )
            )


def upload(local: Path) -> None:
    """Put the dataset into the store, once it is ready for it."""
    store = open_store(f"s3://{BUCKET}/far", S3Options(max_attempts=20))
    store._bucket.client.create_bucket(Bucket=BUCKET)  # type: ignore[attr-defined]
    for path in sorted(local.rglob("*.*")):
        store.put(path.relative_to(local).as_posix(), path.read_bytes())


def serve_slowly(port: int, parent: Connection) -> None:
    """Be the proxy that adds the delay."""
    with FaultProxy(port).serving() as proxy:
        proxy.latency_seconds = LATENCY_SECONDS
        parent.send(proxy.url)
        time.sleep(3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the rounds gave, by way and mostly by crop."""

    rates: dict[Any, list[float]]
    """Clips per second."""
    cpu_seconds: dict[Any, list[float]]
    """Of this process, for a clip."""
    firsts: dict[str, list[float]]
    """Seconds to the first batch."""
    stats: dict[str, ReaderStats]
    """Of the last round."""


def measure(local: Path, cache: Path, *, rounds: int) -> Measured:
    """Run the rounds."""
    rates: dict[Any, list[float]] = {(way, crop): [] for way in WAYS for crop in CROPS_SECONDS}
    cpu_seconds: dict[Any, list[float]] = {key: [] for key in rates}
    firsts: dict[str, list[float]] = {way: [] for way in WAYS}
    stats: dict[str, ReaderStats] = {}
    one_epoch(make_loader("cached", local, cache / "warm", CROPS_SECONDS[0]))
    for _ in range(rounds):
        for crop_seconds in CROPS_SECONDS:
            for way in WAYS:
                shutil.rmtree(cache / "cold", ignore_errors=True)
                folder = cache / ("cold" if way == "cold" else "warm")
                begin = time.perf_counter()
                loader = make_loader(way, local, folder, crop_seconds)
                begin_cpu = time.process_time()
                first, rate = one_epoch(loader)
                if way != "cold":  # warm by now, with the shards' own indexes
                    loader.set_epoch(1)
                    begin_cpu = time.process_time()
                    _, rate = one_epoch(loader)
                cpu = time.process_time() - begin_cpu
                cpu_seconds[way, crop_seconds].append(cpu / (len(loader) * BATCH_SIZE))
                firsts[way].append(first - begin)
                if way == "cold":  # most of it is waiting for the first shards
                    rate = len(loader) * BATCH_SIZE / (time.perf_counter() - begin)
                rates[way, crop_seconds].append(rate)
                stats[way] = loader.stats().reader
    return Measured(rates=rates, cpu_seconds=cpu_seconds, firsts=firsts, stats=stats)


def make_loader(way: str, local: Path, cache: Path, crop_seconds: float) -> ShardLoader:
    """Open the dataset as a training loop would."""
    config = LoaderConfig(
        url=str(local) if way == "local" else f"s3://{BUCKET}/far",
        split="train",
        batch_size=BATCH_SIZE,
        crop_seconds=crop_seconds,
        num_threads=len(os.sched_getaffinity(0)),
        cache_dir=str(cache) if way in ("cached", "cold") else None,
    )
    return ShardLoader(config, world=World())


def one_epoch(loader: ShardLoader) -> tuple[float, float]:
    """Return when the first batch came, and the clips per second behind it."""
    first, num_clips = 0.0, 0
    for batch in loader:
        if first:
            num_clips += len(batch)
        first = first or time.perf_counter()
    return first, num_clips / (time.perf_counter() - first)


def report(results: Measured, arguments: argparse.Namespace) -> None:
    """Print and write the table."""
    rates, firsts, stats = results.rates, results.firsts, results.stats
    rows = []
    for crop_seconds in CROPS_SECONDS:
        for way in WAYS:
            measured = rates[way, crop_seconds]
            ratios = [
                rate / base
                for rate, base in zip(measured, rates["local", crop_seconds], strict=True)
            ]
            rows.append(
                [
                    f"{crop_seconds:g} s of {CLIP_SECONDS} s",
                    way,
                    f"{statistics.median(measured):.0f}",
                    f"{min(measured):.0f} to {max(measured):.0f}",
                    f"{statistics.median(ratios):.0%}",
                    f"{1e3 * min(results.cpu_seconds[way, crop_seconds]):.2f} ms",
                    f"{statistics.median(firsts[way]):.2f} s",
                    f"{stats[way].num_requests / arguments.clips:.2f}",
                ]
            )
    write_results(
        "loader_s3",
        title="The loader from S3, 30 ms away, beside a local folder",
        header=[
            "crop",
            "from",
            "clips/s, median",
            "range",
            "of local",
            "CPU a clip",
            "first batch",
            "GETs a clip",
        ],
        rows=rows,
        notes=[
            f"{arguments.clips} FLAC clips of {CLIP_SECONDS} s, {SAMPLE_RATE_HZ // 1000} kHz mono, "
            f"{CLIPS_PER_SHARD} a shard; batches of {BATCH_SIZE}; {arguments.rounds} interleaved "
            "rounds, and ratios within each round. Rates are those of a loader's second epoch, "
            "less its first batch; that of `cold` is of the whole first. `first batch` is from "
            "making the "
            "loader on, manifest and index included. `CPU a clip` is what all threads of the "
            "loader's process take, but for opening the dataset: the least of the rounds. "
            "SeaweedFS and the delaying proxy run on the "
            "same cores."
        ],
        data={
            "clips_per_second": {f"{way}, {crop:g} s": rates[way, crop] for way, crop in rates},
            "cpu_seconds_a_clip": {
                f"{way}, {crop:g} s": results.cpu_seconds[way, crop] for way, crop in rates
            },
            "first_batch_seconds": firsts,
        },
        command="python -m benchmarks.loader_s3",
    )


if __name__ == "__main__":
    sys.exit(main())

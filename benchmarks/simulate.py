"""Is `melstream simulate` right? Two nodes stream from a store that is far away, beside the model.

A node is a `torchrun` of two ranks with a cache and a proxy of its own in front of SeaweedFS. The
proxies add a log-normal latency to each request, and count what passes: the same as the loaders
count, or it is an error. The ranks meet after each batch and then sleep for as long as a GPU would
train. All of it shares the cores of one machine.

The model gets what the ranks measured of one request, of decoding a clip and of a step of the
training loop, and the spread that the proxies add: all that it can't know of this machine. What
becomes of these, it has to say itself.
"""

import argparse
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.simulate_report import Case, CaseResult, Measured, write_report
from jobs.fleet import Fleet
from jobs.fleet_pace import Speeds
from jobs.sample import sample_folder
from jobs.simulate import SimulateOptions, simulate
from shardwriter import AudioFormat, CleanClip, Settings, ShardWriter
from shardwriter.storage import S3Options, open_store
from tests.s3.fault_proxy import FaultProxy, Request
from tests.s3.shard_traffic import SeenTraffic, TrafficMeter
from tests.s3.weed import ACCESS_KEY, BUCKET, SECRET_KEY, free_ports, running_weed

NUM_NODES = 2
GPUS_PER_NODE = 2
BATCH_SIZE = 16
OPEN_SHARDS = 4
NUM_EPOCHS = 2
MEMORY_NUM_BYTES = 2 << 20
"""Some batches, so that look-ahead doesn't reach to the end of such a short epoch."""
SAMPLE_RATE_HZ = 16_000
CLIP_SECONDS = 2
CLIPS_PER_SHARD = 40
LATENCY_SECONDS = 0.1
LATENCY_SPREAD = 0.6
MEAN_OF_MEDIAN = float(np.exp(LATENCY_SPREAD**2 / 2))
URL = f"s3://{BUCKET}/far"
TIMEOUT_SECONDS = 600


CASES = (
    Case(name="streamed, GPUs set the pace", clips_per_gpu=40, num_connections=16),
    Case(name="streamed, connections set the pace", clips_per_gpu=400, num_connections=4),
    Case(name="cached", clips_per_gpu=40, num_connections=16, cache_share=2.0),
    Case(name="cached, one stream", clips_per_gpu=40, num_connections=16, cache_share=2.0,
         num_streams=1),
    Case(name="cache of half the dataset", clips_per_gpu=40, num_connections=16, cache_share=0.5,
         num_streams=1),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What the nodes did in a case."""

    epochs: tuple[Measured, ...]
    request_seconds: float
    """On average, the transfer included."""
    decode_seconds: float
    """Of a clip."""
    loop_seconds: float
    """Of a step: from a batch on all ranks to the request for the next."""


def main() -> int:
    """Run the cases and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=1280)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_weed(Path(folder)) as port:
        set_environment(port)
        make_dataset(Path(folder, "dataset"), num_clips=arguments.clips)
        upload(Path(folder, "dataset"))
        with proxies(port) as nodes:
            results = [
                run_case(case, nodes, Path(folder, str(number)))
                for number, case in enumerate(CASES)
            ]
    write_report(results, notes=describe(arguments.clips))
    return 0


def describe(num_clips: int) -> str:
    """Say what was run, and what the model was told."""
    return (
        f"{num_clips} FLAC clips of {CLIP_SECONDS} s, {SAMPLE_RATE_HZ // 1000} kHz, "
        f"{CLIPS_PER_SHARD} a shard; {NUM_NODES} nodes of {GPUS_PER_NODE} ranks (`torchrun`, "
        f"gloo), batches of {BATCH_SIZE}, {OPEN_SHARDS} open shards. SeaweedFS behind a proxy "
        f"for each node that adds {1000 * LATENCY_SECONDS:.0f} ms to each request (median, "
        f"log-normal, sigma {LATENCY_SPREAD}). All processes share the cores. The model is "
        "given what a request, a clip's decoding and a step of the loop took on average; ranks "
        "make their S3 clients (a third of a second of CPU each) before the first batch of "
        "epoch 0, of which it knows nothing. Where shards are being downloaded, up to 5 % of "
        "the bytes may be streamed meanwhile: a range is the model's bound. Where a cache has "
        "no room, because all that is in it is pinned, the loader streams; the model "
        "downloads, and drops what was used longest ago."
    )


def set_environment(port: int) -> None:
    """Let this process and its children reach the store."""
    os.environ |= {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "OMP_NUM_THREADS": "1",
    }


def make_dataset(folder: Path, *, num_clips: int) -> None:
    """Write short clips of the embedded sample's sounds."""
    files = sorted((sample_folder() / "audio").iterdir())[:40]
    sounds = [soundfile.read(file, dtype="int16")[0] for file in files]
    settings = Settings(
        name="far", audio=AudioFormat(sample_rate_hz=SAMPLE_RATE_HZ), labels=("sound",)
    )
    num_samples = CLIP_SECONDS * SAMPLE_RATE_HZ
    with ShardWriter(str(folder), settings, max_samples_per_shard=CLIPS_PER_SHARD) as writer:
        for number in range(num_clips):
            pcm_T = np.resize(sounds[number % len(sounds)], num_samples)
            writer.write_clip(
                CleanClip(
                    id=f"far/{number:05d}",
                    split="train",
                    pcm_T=np.roll(pcm_T, 997 * number),
                    labels=("sound",),
                )
            )


def upload(local: Path) -> None:
    """Put the dataset into the store, once it is ready for it."""
    store = open_store(URL, S3Options(max_attempts=20))
    store._bucket.client.create_bucket(Bucket=BUCKET)  # type: ignore[attr-defined]
    for path in sorted(local.rglob("*.*")):
        store.put(path.relative_to(local).as_posix(), path.read_bytes())


@dataclass(frozen=True, slots=True)
class NodeProxy:
    """The way of one node to the store."""

    url: str
    pipe: Connection

    def take(self, latency_seconds: float) -> SeenTraffic:
        """Return what passed since the last call; requests take so long from now on."""
        self.pipe.send(latency_seconds)
        seen: SeenTraffic = self.pipe.recv()
        return seen


@contextlib.contextmanager
def proxies(port: int) -> Iterator[list[NodeProxy]]:
    """Run a proxy for each node, in a process of its own."""
    context = get_context("spawn")
    with contextlib.ExitStack() as running:
        nodes = []
        for node in range(NUM_NODES):
            ours, its = context.Pipe()
            process = context.Process(target=serve, args=(port, its, node), daemon=True)
            process.start()
            running.callback(process.kill)
            nodes.append(NodeProxy(ours.recv(), ours))
        yield nodes


def serve(port: int, parent: Connection, seed: int) -> None:
    """Be a proxy: count and delay what passes, and answer the parent."""
    rng = random.Random(seed)
    meter = TrafficMeter()
    median = 0.0

    def note(request: Request) -> None:
        meter.note(request)
        if median:
            time.sleep(rng.lognormvariate(np.log(median), LATENCY_SPREAD))

    proxy = FaultProxy(port)
    proxy.on_request = note
    with proxy.serving():
        parent.send(proxy.url)
        while True:
            median = parent.recv()
            parent.send(meter.take())


def run_case(case: Case, nodes: Sequence[NodeProxy], folder: Path) -> CaseResult:
    """Run the fleet, and then the model with its figures."""
    dataset_num_bytes = sum(
        path.stat().st_size for path in (folder.parent / "dataset").glob("train/*.tar")
    )
    cache_num_bytes = (
        None if case.cache_share is None else int(case.cache_share * dataset_num_bytes)
    )
    folder.mkdir()
    run = run_fleet(case, nodes, folder, cache_num_bytes=cache_num_bytes)
    fleet = Fleet(
        num_gpus=NUM_NODES * GPUS_PER_NODE,
        gpus_per_node=GPUS_PER_NODE,
        batch_size=BATCH_SIZE,
        clips_per_gpu=BATCH_SIZE / run.loop_seconds,
        cache_num_bytes=cache_num_bytes,
        num_connections=case.num_connections,
        memory_num_bytes=MEMORY_NUM_BYTES,
        num_threads=1,
    )
    speeds = Speeds(
        latency_seconds=run.request_seconds / MEAN_OF_MEDIAN,
        latency_spread=LATENCY_SPREAD,
        decode_seconds=run.decode_seconds,
    )
    options = SimulateOptions(
        fleet=fleet,
        speeds=speeds,
        url=URL,
        open_shards=OPEN_SHARDS,
        num_streams=case.num_streams,
        num_epochs=NUM_EPOCHS,
    )
    return CaseResult(case=case, simulation=simulate(options), epochs=run.epochs)


def run_fleet(
    case: Case, nodes: Sequence[NodeProxy], folder: Path, *, cache_num_bytes: int | None
) -> Run:
    """Run the nodes, one epoch after the other, and return what they saw."""
    (port,) = free_ports(1)
    commands = []
    for number, node in enumerate(nodes):
        settings = {
            "loader": {
                "url": URL, "split": "train", "batch_size": BATCH_SIZE,
                "crop_seconds": float(CLIP_SECONDS), "open_shards": OPEN_SHARDS,
                "num_streams": case.num_streams, "num_threads": 1,
                "fetch_connections": case.num_connections,
                "fetch_memory_bytes": MEMORY_NUM_BYTES,
                **({} if cache_num_bytes is None else {
                    "cache_dir": str(folder / f"cache-{number}"), "cache_bytes": cache_num_bytes,
                }),
            },
            "endpoint_url": node.url, "num_epochs": NUM_EPOCHS, "out": str(folder),
            "step_seconds": BATCH_SIZE / case.clips_per_gpu,
        }  # fmt: skip
        file = folder / f"node-{number}.json"
        file.write_text(json.dumps(settings))
        commands.append(
            [sys.executable, "-m", "torch.distributed.run", f"--nnodes={NUM_NODES}",
             f"--nproc-per-node={GPUS_PER_NODE}", f"--node-rank={number}",
             "--master-addr=127.0.0.1", f"--master-port={port}",
             "-m", "benchmarks.simulate_rank", str(file)]
        )  # fmt: skip
        node.take(LATENCY_SECONDS)
    with ThreadPoolExecutor(NUM_NODES) as pool:
        for done in pool.map(_run, commands):
            done.check_returncode()
    rows = [
        json.loads((folder / f"rank-{rank}.json").read_text())
        for rank in range(NUM_NODES * GPUS_PER_NODE)
    ]
    epochs = [[row["epochs"][epoch] for row in rows] for epoch in range(NUM_EPOCHS)]
    measured = tuple(map(measured_epoch, epochs))
    for number, node in enumerate(nodes):
        check_counts(node.take(0.0), [epoch.by_node[number] for epoch in measured])
    num_requests = sum(node.num_requests for epoch in measured for node in epoch.by_node)
    # The rank that came last waits for nobody in its loop.
    loops = np.array([[rank["loops"] for rank in epoch] for epoch in epochs]).min(axis=1)
    return Run(
        epochs=measured,
        request_seconds=sum(epoch.fetch_seconds for epoch in measured) / num_requests,
        decode_seconds=statistics.mean(rank["decode_seconds_a_clip"] for rank in epochs[-1]),
        loop_seconds=float(loops.mean()),
    )


def check_counts(passed: SeenTraffic, counted: Sequence[SeenTraffic]) -> None:
    """Refuse figures of the loaders that the proxy doesn't confirm."""
    seen = (passed.num_requests, passed.num_bytes)
    told = (sum(each.num_requests for each in counted), sum(each.num_bytes for each in counted))
    if seen != told:
        raise RuntimeError(f"(requests, bytes): the proxy saw {seen}, the loaders counted {told}")


def _run(command: Sequence[str]) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(command, check=False, timeout=TIMEOUT_SECONDS)


def measured_epoch(ranks: Sequence[dict[str, Any]]) -> Measured:
    """Sum up what the ranks tell of an epoch."""
    wait_RS = np.array([rank["waits"] for rank in ranks])
    played = statistics.mean(rank["played_seconds"] for rank in ranks)
    by_node = tuple(
        SeenTraffic(
            num_requests=sum(rank["num_requests"] for rank in ranks[first:][:GPUS_PER_NODE]),
            num_bytes=sum(rank["num_bytes_fetched"] for rank in ranks[first:][:GPUS_PER_NODE]),
        )
        for first in range(0, len(ranks), GPUS_PER_NODE)
    )
    return Measured(
        by_node=by_node,
        num_shards_downloaded=sum(rank["num_shards_downloaded"] for rank in ranks),
        num_cache_fallbacks=sum(rank["num_cache_fallbacks"] for rank in ranks),
        fetch_seconds=sum(rank["fetch_seconds"] for rank in ranks),
        first_batch_seconds=float(wait_RS[:, 0].max()),
        clips_per_gpu=BATCH_SIZE * (wait_RS.shape[1] - 1) / played,
        mean_wait_seconds=float(wait_RS[:, 1:].mean()),
        slowest_wait_seconds=float(wait_RS[:, 1:].max(axis=0).mean()),
    )


if __name__ == "__main__":
    sys.exit(main())

"""Hours of streaming: does memory stay flat, and do speed and threads stay what they were?

A dataset behind a web server of this machine is streamed over and over, by turns through a node
cache that is too small for it, without a cache, and from the folder itself. The resident memory is
taken after each epoch; its slope is fitted to all but the first fifth of the time. Beside it stand
the memory blocks that Python has in use: where those are flat and resident memory is not, it is the
C library's allocator that spreads over more arenas, one for each of many threads, until it has as
many as it may. With MALLOC_ARENA_MAX=2 in the environment it has from the start.
"""

import argparse
import dataclasses
import gc
import logging
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from subprocess import PIPE, Popen

import numpy as np
from numpy.typing import NDArray

from benchmarks.loader_s3 import make_dataset
from benchmarks.machine import write_results
from loader import InverseFrequency, LoaderConfig, ShardLoader, World
from loader.flac_decoder import wait_until_ready
from tests.s3.weed import free_ports

BATCH_SIZE = 32
MAX_SLOPE_BYTES_PER_MINUTE = 1e6
"""30 minutes of it are 30 MB: less than what one batch more or less in flight makes."""
MAX_GROWTH_SHARE = 0.05
"""Of the resident memory, over the whole run: for runs of minutes, which warm up meanwhile."""
_PAGE_BYTES = 4096


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The process after an epoch."""

    way: str
    seconds: float
    resident_bytes: int
    num_blocks: int
    num_threads: int
    num_descriptors: int
    clips_per_second: float


def main() -> int:
    """Stream, write the report, and fail if memory grew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--clips", type=int, default=256)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dataset = Path(folder) / "dataset"
        make_dataset(dataset, num_clips=arguments.clips)
        port = free_ports(1)[0]
        command = [sys.executable, "-m", "tests.loader.range_server", str(dataset), "127.0.0.1"]
        with Popen([*command, str(port)], stdout=PIPE) as server:
            try:
                if server.stdout is None or server.stdout.readline() != b"ready\n":
                    raise RuntimeError("the web server did not start")
                far = f"http://127.0.0.1:{port}/"
                samples = soak(far, dataset, Path(folder) / "cache", arguments.minutes)
            finally:
                server.kill()
    return report(samples, arguments.minutes)


def soak(far: str, near: Path, cache: Path, minutes: float) -> list[Sample]:
    """Stream for so long; return the process after each epoch."""
    wait_until_ready()
    # That a shard has no room in a cache which is too small is what is wanted here.
    logging.getLogger("loader.shard_downloads").setLevel(logging.ERROR)
    shard_bytes = max(path.stat().st_size for path in near.glob("train/*.tar"))
    loaders = {
        "cached": make_loader(far, cache_dir=str(cache), cache_bytes=3 * shard_bytes),
        "streamed": make_loader(far),
        "local": make_loader(str(near)),
    }
    begin = time.monotonic()
    samples: list[Sample] = []
    while time.monotonic() - begin < 60 * minutes:
        for way, loader in loaders.items():
            epoch_begin = time.monotonic()
            num_clips = sum(len(batch) for batch in loader)
            now = time.monotonic()
            samples.append(
                Sample(
                    way=way,
                    seconds=now - begin,
                    resident_bytes=_resident_bytes(),
                    num_blocks=_num_blocks(),
                    num_threads=threading.active_count(),
                    num_descriptors=len(list(Path("/proc/self/fd").iterdir())),
                    clips_per_second=num_clips / (now - epoch_begin),
                )
            )
    return samples


def make_loader(url: str, **settings: object) -> ShardLoader:
    """Open a dataset with all that keeps memory: repeats, fetching ahead, a full budget."""
    config = LoaderConfig(
        url=url,
        split="train",
        batch_size=BATCH_SIZE,
        crop_seconds=2.0,
        num_threads=2,
        open_shards=2,
        balance=InverseFrequency(),
        resampling_buffer_bytes=16 << 20,
        fetch_memory_bytes=16 << 20,
        error_budget=1,
        **settings,  # type: ignore[arg-type]  # of the caches
    )
    return ShardLoader(config, world=World())


def _num_blocks() -> int:
    gc.collect()
    return sys.getallocatedblocks()


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


def report(samples: list[Sample], minutes: float) -> int:
    """Print and write the table; return 1 if memory is not flat."""
    kept = [sample for sample in samples if sample.seconds > samples[-1].seconds / 5]
    minutes_N: NDArray[np.float64] = np.array([sample.seconds / 60 for sample in kept])
    resident_N = np.array([sample.resident_bytes for sample in kept], dtype=np.float64)
    slope = float(np.polyfit(minutes_N, resident_N, 1)[0])
    spread = float(resident_N.max() - resident_N.min())
    allowed = max(MAX_SLOPE_BYTES_PER_MINUTE, MAX_GROWTH_SHARE * resident_N[0] / minutes)
    is_flat = bool(slope <= allowed)
    rows = [
        [
            way,
            str(len(of_way)),
            f"{of_way[0].resident_bytes / 1e6:.0f}",
            f"{of_way[-1].resident_bytes / 1e6:.0f}",
            f"{of_way[0].num_blocks}",
            f"{of_way[-1].num_blocks}",
            f"{max(each.num_threads for each in of_way)}",
            f"{max(each.num_descriptors for each in of_way)}",
            f"{np.median([each.clips_per_second for each in of_way]):.0f}",
        ]
        for way in dict.fromkeys(sample.way for sample in kept)
        if (of_way := [sample for sample in kept if sample.way == way])
    ]
    write_results(
        "soak",
        title=f"{minutes:g} minutes of streaming",
        header=[
            "from",
            "epochs",
            "MB at first",
            "at last",
            "Python's blocks at first",
            "at last",
            "threads",
            "files",
            "clips/s",
        ],
        rows=rows,
        notes=[
            f"Resident memory grew by {slope / 1e3:.0f} kB a minute (least squares over all epochs "
            f"but the first fifth), within {spread / 1e6:.1f} MB from least to most: "
            f"{'flat' if is_flat else 'NOT FLAT'} (allowed: {allowed / 1e3:.0f} kB a minute). "
            f"MALLOC_ARENA_MAX is {os.environ.get('MALLOC_ARENA_MAX', 'not set')}."
        ],
        data={
            "slope_bytes_per_minute": slope,
            "is_flat": is_flat,
            "samples": [dataclasses.asdict(sample) for sample in samples],
        },
        command=f"python -m benchmarks.soak --minutes {minutes:g}",
    )
    return 0 if is_flat else 1


if __name__ == "__main__":
    sys.exit(main())

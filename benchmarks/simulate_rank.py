"""One rank of `benchmarks.simulate`: streams epochs at a GPU's pace, and tells its waits."""

import json
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from loader import LoaderConfig, ShardLoader, World
from loader.flac_decoder import wait_until_ready
from shardwriter.storage import S3Options, open_store

COUNTED = (
    "num_requests",
    "num_bytes_fetched",
    "num_shards_downloaded",
    "num_cache_fallbacks",
    "fetch_seconds",
)


def main() -> None:
    """Argument: a JSON file with `loader`, `endpoint_url`, `step_seconds`, `num_epochs`, `out`."""
    settings = json.loads(Path(sys.argv[1]).read_text())
    wait_until_ready()
    world = World.from_env()
    dist.init_process_group("gloo", timeout=timedelta(seconds=300))
    config = LoaderConfig(**settings["loader"])
    store = open_store(str(config.url), S3Options(endpoint_url=settings["endpoint_url"]))
    begin = time.perf_counter()
    loader = ShardLoader(config, world=world, store=store)
    open_seconds = time.perf_counter() - begin
    epochs = [
        one_epoch(loader, step_seconds=settings["step_seconds"])
        for _ in range(settings["num_epochs"])
    ]
    row = {"open_seconds": open_seconds, "epochs": epochs}
    Path(settings["out"], f"rank-{world.rank}.json").write_text(json.dumps(row))
    dist.barrier()
    dist.destroy_process_group()


def one_epoch(loader: ShardLoader, *, step_seconds: float) -> dict[str, Any]:
    """Return the wait and the loop of each step, and what was fetched."""
    dist.barrier()
    before = loader.stats().reader
    waits, loops, begun = [], [], []
    batches = iter(loader)
    asked = time.perf_counter()
    while next(batches, None) is not None:
        got = time.perf_counter()
        waits.append(got - asked)
        dist.all_reduce(torch.ones(1))
        begun.append(time.perf_counter())
        time.sleep(step_seconds)
        asked = time.perf_counter()
        loops.append(asked - got)
    after = loader.stats()
    return {
        "waits": waits,
        "loops": loops,
        "played_seconds": begun[-1] - begun[0],
        "decode_seconds_a_clip": after.decode_seconds / after.num_clips,
        **{name: getattr(after.reader, name) - getattr(before, name) for name in COUNTED},
    }


if __name__ == "__main__":
    main()

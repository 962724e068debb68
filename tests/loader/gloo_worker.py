"""One rank of a real world: streams an epoch, meets the others in every step, tells its keys."""

import json
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from loader import LoaderConfig, ShardLoader, World


def main() -> None:
    """Arguments: URL, batch size, threads, tail, error budget, folder for the result."""
    url, batch_size, num_threads, tail, error_budget, out = sys.argv[1:]
    config = LoaderConfig(
        url=url,
        split="train",
        batch_size=int(batch_size),
        crop_seconds=0.02,
        num_threads=int(num_threads),
        tail=tail,  # type: ignore[arg-type]  # checked by itself
        error_budget=int(error_budget),
        open_shards=2,
    )
    world = World.from_env()
    # Ranks with unequal steps would wait for each other here until the time is up.
    dist.init_process_group("gloo", timeout=timedelta(seconds=60))
    loader = ShardLoader(config, world=world)
    keys = []
    for batch in loader:
        met = torch.ones(1)
        dist.all_reduce(met)
        assert int(met) == world.size
        paddings = batch.is_padding_B.tolist()
        keys.append([key for key, pad in zip(batch.keys, paddings, strict=True) if not pad])
    row = {"keys": keys, "num_steps": len(loader), "state": loader.state_dict()}
    Path(out, f"rank-{world.rank}.json").write_text(json.dumps(row))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()

"""How long planning takes, and how much memory, for an index of AudioSet's size.

    python -m benchmarks.plan

Two million clips in 2,000 shards with 1 to 3 of 527 labels each, whose frequencies go from 10,000
to 1. Each case is timed and then run once more with every allocation counted (`tracemalloc`, which
numpy reports to); the index itself, which every case has, is not in the figure.
"""

import argparse
import functools
import statistics
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.machine import write_results
from loader import (
    DatasetConfig,
    EffectiveNumber,
    GroupBatches,
    InverseFrequency,
    LoaderConfig,
    RepeatFactor,
)
from loader.dataset import DatasetIndex
from loader.resampling_buffer import next_uses
from loader.sampling import Sampling
from loader.spread import too_close
from loader.stripe import Stripe
from shardwriter.storage import open_store

_NUM_LABELS = 527
_NUM_SHARDS = 2000
_NUM_GROUPS = 7205
"""As many as speakers in VoxCeleb 1 and 2 (development)."""
_CLIP_BYTES = 377_000
_WORLD = 8
_BATCH = 64

CASES: dict[str, dict[str, Any]] = {
    "each clip once": {},
    "each clip once, 8 streams": {"num_streams": 8},
    "class-uniform": {"balance": InverseFrequency()},
    "class-uniform, 8 streams": {"balance": InverseFrequency(), "num_streams": 8},
    "offset 100": {"balance": InverseFrequency(offset=100)},
    "repeat factor, t = 0.001": {"balance": RepeatFactor(threshold=0.001)},
    "effective number": {"balance": EffectiveNumber()},
    "3 datasets 5:3:2, class-uniform": {
        "weights": (5, 3, 2),
        "balance": InverseFrequency(),
        "epoch_size": 2_000_000,
    },
    "batches of 32 groups x 2 clips": {"group_batches": GroupBatches(clips_per_group=2)},
}


@functools.cache
def make_index(num_clips: int, num_datasets: int) -> DatasetIndex:
    """Return an index as `open_dataset` would, without a dataset behind it."""
    rng = np.random.default_rng(0)
    frequency = 10_000.0 ** (-np.arange(_NUM_LABELS) / (_NUM_LABELS - 1))
    counts = rng.integers(1, 4, size=num_clips)
    shard_N = (np.arange(num_clips) * _NUM_SHARDS // num_clips).astype(np.int32)
    return DatasetIndex(
        stores=tuple(open_store(f"/nowhere/{number}") for number in range(num_datasets)),
        digest="0" * 64,
        labels=tuple(f"label-{number}" for number in range(_NUM_LABELS)),
        sample_rate_hz=32_000,
        tars=tuple(f"train/made-{number:06d}.tar" for number in range(_NUM_SHARDS)),
        tar_num_bytes=(num_clips * _CLIP_BYTES // _NUM_SHARDS + 1,) * _NUM_SHARDS,
        tar_sha256s=("0" * 64,) * _NUM_SHARDS,
        idx_sha256s=("0" * 64,) * _NUM_SHARDS,
        dataset_of_shard=(np.arange(_NUM_SHARDS) * num_datasets // _NUM_SHARDS).astype(np.int32),
        shard_N=shard_N,
        audio_offset_N=np.zeros(num_clips, dtype=np.int64),
        audio_num_bytes_N=np.full(num_clips, _CLIP_BYTES, dtype=np.int64),
        audio_crc32c_N=np.zeros(num_clips, dtype=np.uint32),
        num_samples_N=np.full(num_clips, 320_000, dtype=np.int64),
        fold_N=np.zeros(num_clips, dtype=np.int32),
        group_N=rng.integers(0, _NUM_GROUPS, size=num_clips).astype(np.int32),
        label_starts=np.concatenate(([0], np.cumsum(counts))),
        label_ids=rng.choice(
            _NUM_LABELS, size=int(counts.sum()), p=frequency / frequency.sum()
        ).astype(np.int32),
        keys=pa.array(["made"] * num_clips, pa.large_string()),
    )


def make_config(settings: dict[str, Any]) -> LoaderConfig:
    """Return the settings of a case; the datasets' URLs are not read."""
    settings = dict(settings)
    weights = settings.pop("weights", (None,))
    datasets = tuple(
        DatasetConfig(url=f"/nowhere/{number}", split="train", weight=weight)
        for number, weight in enumerate(weights)
    )
    return LoaderConfig(datasets=datasets, batch_size=_BATCH, crop_seconds=10, **settings)


def plan(config: LoaderConfig, index: DatasetIndex) -> dict[str, float]:
    """Plan one epoch as rank 3 of 8 does, and return the seconds of each stage."""
    times = [time.process_time()]
    sampling = Sampling.of(config, index)
    times.append(time.process_time())
    order = sampling.order(0)
    times.append(time.process_time())
    stripe = Stripe(rank=3, num_ranks=_WORLD, batch_size=_BATCH, tail="drop")
    place_SB = stripe.deal(order, cursor=0)
    if order.has_repeats:
        next_uses(order.rows_M[place_SB.ravel()].astype(np.int64))
    times.append(time.process_time())
    weigh, arrange, deal = np.diff(times).tolist()
    return {"weigh": weigh, "order": arrange, "deal": deal, "total": weigh + arrange + deal}


def describe_order(config: LoaderConfig, index: DatasetIndex) -> dict[str, float]:
    """Return what the order of the first epoch is like."""
    order = Sampling.of(config, index).order(0)
    stripe = Stripe(rank=3, num_ranks=_WORLD, batch_size=_BATCH, tail="drop")
    rows_SB = np.sort(order.identities_M[stripe.deal(order, cursor=0)][:, :: order.unit], axis=1)
    return {
        "num_draws": len(order),
        "max_copies": int(np.bincount(order.rows_M).max()),
        "num_near": len(too_close(order.rows_M, config.min_spread)),
        "num_batches_with_twins": int((np.diff(rows_SB, axis=1) == 0).any(axis=1).sum()),
    }


def peak_bytes(work: Callable[[], object]) -> int:
    """Return the most memory that some work holds at a time, beyond what there was before."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def main() -> None:
    """Measure all cases and write `benchmarks/results/plan.md`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-clips", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    num_clips = args.num_clips
    rows, data = [], {}
    for name, settings in CASES.items():
        config = make_config(settings)
        index = make_index(num_clips, len(config.datasets))
        rounds = [plan(config, index) for _ in range(args.rounds)]
        seconds = {stage: statistics.median(r[stage] for r in rounds) for stage in rounds[0]}
        megabytes = peak_bytes(lambda c=config, i=index: plan(c, i)) / 1e6  # type: ignore[misc]  # mypy infers no defaults
        facts = describe_order(config, index)
        print(f"{name}: {seconds['total']:.2f} s, {megabytes:.0f} MB", flush=True)
        data[name] = {"seconds": seconds, "peak_mb": megabytes, **facts}
        rows.append(
            [
                name,
                *(f"{seconds[stage]:.2f}" for stage in ("weigh", "order", "deal", "total")),
                f"{megabytes:.0f}",
                f"{facts['num_draws']:,}",
                str(facts["max_copies"]),
                str(facts["num_batches_with_twins"]),
            ]
        )
    write_results(
        "plan",
        title=f"Planning an epoch of {num_clips:,} clips",
        header=[
            *("case", "weights, s", "order, s", "deal, s", "total, s", "peak, MB"),
            *("draws", "most copies", "batches with twins"),
        ],
        rows=rows,
        notes=[
            "2,000 shards, 527 labels with frequencies 10,000 to 1, 1 to 3 a clip; rank 3 of "
            f"{_WORLD}, batches of {_BATCH}; CPU seconds of one core, median "
            f"of {args.rounds} round(s). Weights are computed once for a loader, order and deal "
            "once an epoch. The peak leaves out the index itself.",
        ],
        data=data,
        command=f"python -m benchmarks.plan --num-clips {num_clips} --rounds {args.rounds}",
    )


if __name__ == "__main__":
    main()

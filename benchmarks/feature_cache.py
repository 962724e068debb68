"""What cached features save: CPU time and bytes a clip, from shards of features and of audio.

    python -m benchmarks.feature_cache

Clips of 10 s at 32 kHz (recordings of the embedded sample), whole, from a local disk in the page
cache, one thread of the loader, one of torch. CPU time is that of the process, all threads, in the
quickest of some epochs.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.loader_clips import make_clips
from benchmarks.machine import write_results
from jobs.feature_cache import FeatureCacheOptions, cache_features
from loader import AudioBatch, FeatureBatch, LoaderConfig, ShardLoader, World
from loader.features import LogMel
from loader.flac_decoder import wait_until_ready

PRESETS = ("panns", "passt")
_BATCH = 32


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_clips(root, num_recordings=32, copies=max(1, arguments.clips // 32))
        audio = str(root / "shards")
        wait_until_ready()
        data["audio, decoded"] = _measured(audio, arguments.epochs, lambda batch: batch)
        for preset in PRESETS:
            began = time.process_time()
            out = str(root / preset)
            cache_features(
                FeatureCacheOptions(
                    url=audio, out=out, preset=preset, num_workers=0, device="cpu", quiet=True
                ),
                world=World(),
            )
            seconds = time.process_time() - began
            log_mel = LogMel.preset(preset)
            data[f"audio, decoded, {preset}"] = _measured(
                audio, arguments.epochs, lambda batch, log_mel=log_mel: _features(log_mel, batch)
            )
            for dtype in ("float32", "float16"):
                name = f"cached {preset} as {dtype}"
                data[name] = _measured(out, arguments.epochs, lambda batch: batch, mel_dtype=dtype)
            num_clips = data["audio, decoded"]["clips"]
            data[f"cached {preset} as float32"]["caching_ms"] = 1000 * seconds / num_clips
    write_results(
        "feature_cache",
        title="Features from shards, in place of audio",
        header=("batches of", "CPU ms a clip", "kB a clip", "CPU ms to cache it"),
        rows=[
            (
                name,
                f"{row['ms']:.3f}",
                f"{row['bytes'] / 1000:.0f}",
                f"{row['caching_ms']:.1f}" if "caching_ms" in row else "",
            )
            for name, row in data.items()
        ],
        notes=[__doc__.split("\n\n")[2].replace("\n", " ")],
        data=data,
        command="python -m benchmarks.feature_cache",
    )


def _features(log_mel: LogMel, batch: AudioBatch) -> torch.Tensor:
    with torch.inference_mode():
        return log_mel(batch.wave_BT, batch.num_samples_B)


def _measured(
    url: str, num_epochs: int, use: Callable[[Any], Any], **settings: Any
) -> dict[str, float]:
    """Return CPU time and bytes a clip."""
    config = LoaderConfig(
        url=url, split="train", batch_size=_BATCH, crop_seconds=None, num_threads=1, **settings
    )
    loader: ShardLoader[FeatureBatch] = ShardLoader(config, world=World())
    times = []
    for _ in range(num_epochs + 1):  # the first one warms up
        began = time.process_time()
        num_clips = 0
        for batch in loader:
            use(batch)
            num_clips += len(batch)
        times.append((time.process_time() - began) / num_clips)
    return {
        "ms": 1000 * min(times[1:]),
        "bytes": float(loader.index.audio_num_bytes_N.mean()),
        "clips": float(len(loader.index)),
    }


if __name__ == "__main__":
    main()

"""Clips long enough that crops of them are read in part, and loaders of such crops."""

from pathlib import Path
from typing import Any

import numpy as np

from loader import LoaderConfig, ShardLoader, World
from shardwriter import AudioFormat, CleanClip, Settings, ShardWriter
from tests.loader.builders import RATE_HZ

NUM_CLIPS = 24
SECONDS = 1.5
CROP_SAMPLES = int(SECONDS * RATE_HZ)


def clip_pcm(number: int) -> np.ndarray:
    """About 100 kB of noise, with a silent stretch in some."""
    rng = np.random.default_rng(number)
    pcm_T = rng.integers(-6000, 6000, 60_000 + 511 * number, dtype=np.int16)
    pcm_T[30_000 : 30_000 + 9000 * (number % 3)] = 0
    return pcm_T


def make_long_clips(folder: Path, *, codec: str = "flac") -> str:
    audio = AudioFormat(sample_rate_hz=RATE_HZ, codec=codec)  # type: ignore[arg-type]
    settings = Settings(name="made", audio=audio, labels=("a", "b"))
    with ShardWriter(str(folder), settings, max_samples_per_shard=8) as writer:
        for number in range(NUM_CLIPS):
            pcm_T, labels = clip_pcm(number), (("a", "b")[number // 20],)
            writer.write_clip(
                CleanClip(id=f"made/{number:03d}", split="train", pcm_T=pcm_T, labels=labels)
            )
    return str(folder)


def loader_of(url: str, **settings: Any) -> ShardLoader:
    defaults = {"split": "train", "batch_size": 4, "crop_seconds": SECONDS, "tail": "pad"}
    return ShardLoader(LoaderConfig(url=url, **{**defaults, **settings}), world=World())


def without_idx(url: str) -> str:
    for path in Path(url).rglob("*.idx"):
        path.unlink()
    return url


def whole_num_bytes(loader: ShardLoader) -> int:
    return int(loader.index.audio_num_bytes_N.sum())

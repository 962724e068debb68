"""A small dataset of audio at 16 kHz, and datasets of its features."""

from pathlib import Path
from typing import Any

import numpy as np

from jobs.feature_cache import FeatureCacheOptions, FeatureCacheSummary, cache_features
from loader import FeatureBatch, LoaderConfig, ShardLoader, World
from shardwriter import AudioFormat, CleanClip, Settings, ShardWriter
from shardwriter.targets import Target

RATE_HZ = 16_000
NUM_CLIPS = 14
LABELS = ("hum", "hiss", "beep")


def clip_pcm(number: int) -> np.ndarray:
    """A tone in noise, 0.1 to 2 s; every fourth clip ends in digital silence."""
    rng = np.random.default_rng(number)
    num_samples = 1600 + 2311 * number
    time_T = np.arange(num_samples) / RATE_HZ
    wave_T = 0.2 * np.sin(2 * np.pi * (200 + 150 * number) * time_T)
    wave_T += 0.02 * rng.standard_normal(num_samples)
    if number % 4 == 3:
        wave_T[num_samples // 2 :] = 0
    return np.round(32767 * wave_T).astype(np.int16)


def make_audio(
    folder: Path, *, num_clips: int = NUM_CLIPS, seed: int = 0, stem: str = "made/"
) -> str:
    """Every fifth clip is in the split `test`, the others in `train`, three in a shard."""
    settings = Settings(
        name="made",
        audio=AudioFormat(sample_rate_hz=RATE_HZ),
        labels=LABELS,
        targets={"pitch": Target(kind="number")},
    )
    with ShardWriter(str(folder), settings, max_samples_per_shard=3) as writer:
        for number in range(num_clips):
            writer.write_clip(
                CleanClip(
                    id=f"{stem}{number:03d}.wav",
                    split="test" if number % 5 == 4 else "train",
                    pcm_T=clip_pcm(number + seed),
                    labels=(LABELS[number % 3],),
                    fold=number % 3 + 1,
                    group=f"hall {number // 2}",
                    targets={"pitch": 200.0 + 150 * number},
                    metadata={"number": number},
                )
            )
    return str(folder)


def cache(url: str, out: Path, preset: str = "small", **options: Any) -> FeatureCacheSummary:
    """Make all features in this process."""
    world = options.pop("world", World())
    settings = {"num_workers": 0, "device": "cpu", "quiet": True, **options}
    return cache_features(
        FeatureCacheOptions(url=url, out=str(out), preset=preset, **settings), world=world
    )


def make_features(url: str, out: Path, preset: str = "small", **options: Any) -> str:
    """The same, published; return its URL."""
    if cache(url, out, preset, **options).manifest is None:
        raise RuntimeError("nothing was published")
    return str(out)


def features_loader(url: str, *, rank: int = 0, size: int = 1, **settings: Any) -> Any:
    config = LoaderConfig(url=url, **{"split": "train", "batch_size": 3, **settings})
    loader: ShardLoader[FeatureBatch] = ShardLoader(
        config, world=World(rank=rank, size=size, local_rank=rank)
    )
    return loader

"""`melstream stats`: what the features and the clips of a dataset are like, in one pass.

Axes: B clips, T samples, M mel bands, F frames.
"""

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jobs.cached_features import check_cached_preset
from jobs.console import progress, say, table
from jobs.distributed import gather_from_ranks, process_group
from jobs.front_end import FrontEnd, front_end_config, statistics_name
from jobs.running_stats import RunningStats
from jobs.training_data import class_counts
from loader import AudioBatch, FeatureBatch, LoaderConfig, ShardLoader, World
from loader.dataset import DatasetIndex
from shardwriter.errors import ConfigError
from shardwriter.storage import S3Options, Store, open_store

VERSION = 1
SILENCE_DBFS = -60.0
"""Frames of 20 ms with a lower root mean square count as silence."""
_FRAME_SECONDS = 0.02
_BATCH_SIZE = 16
_LONGEST_SECONDS = 30.0
"""Longer clips are measured by their middle: a batch is as long as its longest clip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsOptions:
    """What to measure."""

    url: str
    preset: str = "small"
    splits: tuple[str, ...] = ("train",)
    """Measured as one."""
    folds: tuple[int, ...] | None = None
    s3: S3Options | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClipStats:
    """What is summed over clips; parts of a dataset add up to the whole."""

    features: RunningStats
    """Of each band over all frames of all clips."""
    level_dbfs: RunningStats
    """Root mean square of each clip that is not digital silence, in dB under full scale."""
    num_frames: int
    """Frames looked at for silence."""
    num_silent_frames: int

    @classmethod
    def empty(cls, num_bands: int) -> "ClipStats":
        """Return the statistics of no clip."""
        return cls(
            features=RunningStats.empty(num_bands),
            level_dbfs=RunningStats.empty(1),
            num_frames=0,
            num_silent_frames=0,
        )

    def plus(self, other: "ClipStats") -> "ClipStats":
        """Return the statistics of both together."""
        return ClipStats(
            features=self.features.plus(other.features),
            level_dbfs=self.level_dbfs.plus(other.level_dbfs),
            num_frames=self.num_frames + other.num_frames,
            num_silent_frames=self.num_silent_frames + other.num_silent_frames,
        )


def run_stats(options: StatsOptions) -> int:
    """Measure a split over all ranks; rank 0 prints, and writes beside the dataset."""
    world = World.from_env()
    with process_group(world) as device:
        store = open_store(options.url, options.s3)
        loader = _open(options, world=world, store=store)
        config = front_end_config(options.preset, sample_rate_hz=loader.sample_rate_hz)
        if loader.features is not None:
            check_cached_preset(config, loader.features, where=store.url)
        front_end = FrontEnd(config).to(device)
        mine = ClipStats.empty(config.log_mel.num_mels)
        batches = progress(
            loader, total=len(loader), what="stats", unit="batch", hidden=world.rank != 0
        )
        with torch.inference_mode():
            for batch in batches:
                on_device = batch.to(device, non_blocking=True)
                mine = mine.plus(measure(front_end, on_device, loader.sample_rate_hz))
        total = ClipStats.empty(config.log_mel.num_mels)
        for part in gather_from_ranks(mine, world):
            total = total.plus(part)
        if world.rank == 0:
            row = _row(options, total, loader.index, front_end)
            name = statistics_name(options.preset)
            store.put(name, (json.dumps(row, indent=1) + "\n").encode(), replace=True)
            _print(row)
            say(f"  written to {store.url}/{name}")
    return 0


def measure(
    front_end: FrontEnd, batch: AudioBatch | FeatureBatch, sample_rate_hz: int
) -> ClipStats:
    """Return the statistics of a batch; padding, of rows and in rows, doesn't count.

    Of features without their audio there are no levels and no silence.
    """
    features = front_end(batch)
    num_frames = features.mel_BMF.shape[2]
    frame_F = torch.arange(num_frames, device=features.mel_BMF.device)
    is_own_BF = (frame_F < features.num_frames_B[:, None]) & ~batch.is_padding_B[:, None]
    own_NM = features.mel_BMF.transpose(1, 2)[is_own_BF]
    of_features = RunningStats.of(own_NM.double().cpu().numpy())
    if isinstance(batch, FeatureBatch):
        return replace(ClipStats.empty(features.mel_BMF.shape[1]), features=of_features)
    level_B, is_silent_BF, is_whole_BF = _levels(batch, round(_FRAME_SECONDS * sample_rate_hz))
    real_B = ~batch.is_padding_B
    is_whole_BF = is_whole_BF & real_B[:, None]
    levels = level_B[real_B & (level_B > -torch.inf)]
    return ClipStats(
        features=of_features,
        level_dbfs=RunningStats.of(levels[:, None].cpu().numpy()),
        num_frames=int(is_whole_BF.sum()),
        num_silent_frames=int((is_silent_BF & is_whole_BF).sum()),
    )


def _levels(batch: AudioBatch, frame_samples: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return each clip's level in dBFS, and of its frames which are silent and which are whole."""
    wave_BT = batch.wave_BT.double() / 32768
    place_T = torch.arange(wave_BT.shape[1], device=wave_BT.device)
    power_BT = wave_BT.square() * (place_T < batch.num_samples_B[:, None])
    mean_B = power_BT.sum(dim=1) / batch.num_samples_B.clamp(min=1)
    num_frames = wave_BT.shape[1] // frame_samples
    framed_BFT = power_BT[:, : num_frames * frame_samples].reshape(-1, num_frames, frame_samples)
    is_silent_BF = framed_BFT.mean(dim=2) < 10 ** (SILENCE_DBFS / 10)
    frame_F = torch.arange(num_frames, device=wave_BT.device)
    is_whole_BF = (frame_F + 1) * frame_samples <= batch.num_samples_B[:, None]
    return 10 * mean_B.log10(), is_silent_BF, is_whole_BF


def _open(options: StatsOptions, *, world: World, store: Store) -> ShardLoader:
    def open_with(crop_seconds: float | None) -> ShardLoader:
        return ShardLoader(
            LoaderConfig(
                url=options.url,
                split=options.splits,
                folds=options.folds,
                batch_size=_BATCH_SIZE,
                crop_seconds=crop_seconds,
                crop="center",
                shuffle=False,
                tail="pad",
            ),
            world=world,
            store=store,
        )

    try:
        loader = open_with(_LONGEST_SECONDS)
        longest = int(loader.index.num_samples_N.max())
        return loader if longest > _LONGEST_SECONDS * loader.sample_rate_hz else open_with(None)
    except ValueError as err:
        raise ConfigError(str(err)) from err


def _row(
    options: StatsOptions, total: ClipStats, index: DatasetIndex, front_end: FrontEnd
) -> dict[str, Any]:
    """Return what is written."""
    seconds_N = index.num_samples_N / index.sample_rate_hz
    shares = (0, 5, 25, 50, 75, 95, 100)
    counts = class_counts(index).tolist()
    return {
        "version": VERSION,
        "dataset_digest": index.digest,
        "split": ",".join(sorted(options.splits)),
        "folds": None if options.folds is None else list(options.folds),
        "preset": options.preset,
        "features": str(front_end.config.log_mel),
        "num_clips": len(index),
        "num_feature_frames": total.features.count,
        "mean": total.features.mean_M.tolist(),
        "std": total.features.std_M().tolist(),
        "hours": float(seconds_N.sum() / 3600),
        "duration_seconds_percentiles": {
            str(share): float(value)
            for share, value in zip(shares, np.percentile(seconds_N, shares), strict=True)
        },
        **(_level_fields(total) if index.features is None else {}),
        "clips_per_class": dict(zip(index.labels, counts, strict=True)),
    }


def _level_fields(total: ClipStats) -> dict[str, float]:
    """Return what is known of levels, which features don't tell."""
    return {
        "silence_dbfs": SILENCE_DBFS,
        "silence_share": total.num_silent_frames / max(1, total.num_frames),
        "level_dbfs_mean": float(total.level_dbfs.mean_M[0]),
        "level_dbfs_std": float(total.level_dbfs.std_M()[0]),
    }


def _print(row: dict[str, Any]) -> None:
    counts = sorted(row["clips_per_class"].values())
    durations = row["duration_seconds_percentiles"]
    mean, std = np.array(row["mean"]), np.array(row["std"])
    table(
        [
            ("clips", f"{row['num_clips']:,} in {row['hours']:.2f} h"),
            (
                "duration",
                f"median {durations['50']:.2f} s, {durations['0']:.2f} to {durations['100']:.2f} s",
            ),
            ("clips per class", f"{counts[0]:,} to {counts[-1]:,}, {len(counts)} classes"),
            *_level_rows(row),
            (
                f"features {row['preset']}",
                f"mean {mean.mean():.3f} ({mean.min():.3f} to {mean.max():.3f}), deviation "
                f"{std.mean():.3f} ({std.min():.3f} to {std.max():.3f}) over {len(mean)} bands",
            ),
        ]
    )


def _level_rows(row: dict[str, Any]) -> list[tuple[str, str]]:
    if "silence_share" not in row:
        return []
    return [
        ("silence", f"{row['silence_share']:.1%} of frames under {SILENCE_DBFS:g} dBFS"),
        ("level", f"{row['level_dbfs_mean']:.1f} ± {row['level_dbfs_std']:.1f} dBFS"),
    ]

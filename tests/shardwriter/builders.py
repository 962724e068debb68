"""Small datasets, and hashes of whole trees to compare them by."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shardwriter import AudioFormat, CleanClip, Settings, ShardWriter, SourceInfo
from shardwriter.keys import to_key
from shardwriter.manifest import Manifest

RATE_HZ = 8000
FRAME = 64
LABELS = ("bark", "rain", "wind")
NUM_CLIPS = 11
SETTINGS = Settings(
    name="made", audio=AudioFormat(sample_rate_hz=RATE_HZ, frame_num_samples=FRAME), labels=LABELS
)


def clip_pcm(number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    return rng.integers(-9000, 9000, size=100 + 13 * number, dtype=np.int16)


def make_clip(number: int) -> CleanClip:
    """Every third clip belongs to the split `test`, the others to `train`."""
    return CleanClip(
        id=f"made/ä clip.{number}=+.wav",
        split="test" if number % 3 == 2 else "train",
        pcm_T=clip_pcm(number),
        labels=tuple(LABELS[(number + step) % 3] for step in range(1 + number % 2)),
        num_clipped=number,
        source=SourceInfo(
            file=f"clip.{number}.wav",
            container="WAV/PCM_16",
            sample_rate_hz=RATE_HZ,
            num_channels=1,
            num_samples=100 + 13 * number,
            sha256=f"{number:064x}",
        ),
        fold=number % 5,
        group=f"speaker {number // 2}",
        metadata={"category": "naïve", "number": number, "weight": number / 3},
    )


def make_clips(numbers: Iterable[int] = range(NUM_CLIPS)) -> list[CleanClip]:
    return [make_clip(number) for number in numbers]


def write_dataset(
    folder: Path,
    clips: Sequence[CleanClip] | None = None,
    *,
    settings: Settings = SETTINGS,
    max_samples_per_shard: int = 3,
    **options: Any,
) -> Manifest:
    """Write clips, those that are there already left out, as an ingest does."""
    writer = ShardWriter(
        str(folder), settings, max_samples_per_shard=max_samples_per_shard, **options
    )
    with writer:
        for clip in make_clips() if clips is None else clips:
            if not writer.is_written(to_key(clip.id)):
                writer.write_clip(clip)
    if writer.manifest is None:
        raise RuntimeError("the writer did not publish")
    return writer.manifest


def tree(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a folder, hidden ones too, by relative name."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def flip_byte(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 0x55
    path.write_bytes(data)

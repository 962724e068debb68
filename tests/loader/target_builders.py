"""Datasets of clips with targets beside their labels."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from shardwriter import AudioFormat, CleanClip, Settings, ShardWriter
from shardwriter.targets import class_target, number_target
from tests.loader.builders import LABELS, RATE_HZ, clip_id, clip_pcm

SPEAKERS = ("ann", "bob", "eve")
CITIES = ("lyon", "milan")


def target_values(number: int) -> dict[str, Any]:
    """Clip 0 mod 7 has none; speakers come 1 : 1 : 2, pitches are its number."""
    if number % 7 == 0:
        return {}
    speaker = SPEAKERS[min(number % 4, 2)]
    return {"speaker": speaker, "city": CITIES[number % 2], "pitch": number / 2}


def make_target_dataset(
    folder: Path,
    *,
    numbers: Iterable[int] = range(23),
    speakers: tuple[str, ...] = SPEAKERS,
    with_city: bool = True,
    split: str = "train",
) -> str:
    """Write clips of one label each."""
    targets = {"speaker": class_target(speakers), "pitch": number_target()}
    if with_city:
        targets["city"] = class_target(CITIES)
    settings = Settings(
        name="made",
        audio=AudioFormat(sample_rate_hz=RATE_HZ, frame_num_samples=64),
        labels=LABELS,
        targets=targets,
    )
    with ShardWriter(str(folder), settings, max_samples_per_shard=3) as writer:
        for number in numbers:
            values = target_values(number)
            writer.write_clip(
                CleanClip(
                    id=clip_id(number),
                    split=split,
                    pcm_T=clip_pcm(number),
                    labels=(LABELS[number % 5],),
                    targets={name: value for name, value in values.items() if name in targets},
                )
            )
    return str(folder)


def expected_id(number: int, name: str, classes: tuple[str, ...]) -> int:
    """The id that a batch should hold; -1 for none."""
    value = target_values(number).get(name)
    return -1 if value is None else classes.index(value)


def same_numbers(got: float, expected: float | None) -> bool:
    return math.isnan(got) if expected is None else got == expected

"""Shards as others make them, indexed, and the rows of an index."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from jobs.index_foreign import IndexOptions, index
from shardwriter.foreign_index import ForeignIndex
from shardwriter.index import index_rows, read_idx
from tests.shardwriter.dataset_builders import RATE_HZ, noise, tar_bytes

Sample = Mapping[str, bytes]


def audio(
    number: int,
    *,
    container: str = "FLAC",
    rate: int = RATE_HZ,
    channels: int = 1,
    num_samples: int = 3000,
) -> bytes:
    sink = io.BytesIO()
    wave = np.stack([noise(number, num_samples=num_samples)] * channels, axis=1)
    subtype = {"MP3": "MPEG_LAYER_III", "OGG": "VORBIS"}.get(container, "PCM_16")
    soundfile.write(sink, wave, rate, format=container, subtype=subtype)
    return sink.getvalue()


def label(value: Any) -> bytes:
    return json.dumps(value).encode()


def write_tar(path: Path, samples: Mapping[str, Sample], **options: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    members = [
        (f"{key}.{suffix}", data)
        for key, sample in samples.items()
        for suffix, data in sample.items()
    ]
    path.write_bytes(tar_bytes(members, **options))


def run(folder: Path, **options: Any) -> ForeignIndex:
    return index(IndexOptions(url=str(folder), quiet=True, **options))


def rows_of(folder: Path, idx: str) -> list[Any]:
    return index_rows(read_idx((folder / idx).read_bytes(), where="x"))

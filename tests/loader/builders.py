"""Small datasets whose audio is made here, and the loops that several tests run over them."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from loader import AudioBatch, LoaderConfig, ShardLoader, World
from loader.prefetch import THREAD_NAME_PREFIX
from shardwriter import AudioFormat, CleanClip, Settings, ShardWriter
from shardwriter.index import read_index
from shardwriter.keys import to_key
from shardwriter.manifest import load_manifest
from shardwriter.schema import MANIFEST_NAME
from shardwriter.shard_names import index_name
from shardwriter.storage import open_store

RATE_HZ = 8000
LABELS = ("bark", "rain", "siren", "speech", "wind")
CROP_SECONDS = 0.02
WINDOW = 160
NUM_CLIPS = 23
NUM_FOLDS = 5


def clip_id(number: int) -> str:
    return f"made/clip-{number:03d}.wav"


def clip_key(number: int) -> str:
    return to_key(clip_id(number))


def clip_pcm(number: int) -> np.ndarray:
    """Noise of its own for each clip; lengths from under one crop to several."""
    rng = np.random.default_rng(number)
    return rng.integers(-9000, 9000, size=90 + 37 * (number % 11), dtype=np.int16)


def clip_labels(number: int) -> tuple[str, ...]:
    """None, one or two labels."""
    return tuple(LABELS[(number + step) % len(LABELS)] for step in range(number % 3))


def clip_fold(number: int) -> int:
    return number % NUM_FOLDS + 1


def make_dataset(
    folder: Path,
    *,
    num_clips: int = NUM_CLIPS,
    clips_per_shard: int = 3,
    split: str = "train",
    numbers: Iterable[int] | None = None,
    has_folds: bool = True,
) -> str:
    """Write clips 0 .. num_clips - 1 (or those of `numbers`) and return the dataset's URL."""
    settings = Settings(
        name="made", audio=AudioFormat(sample_rate_hz=RATE_HZ, frame_num_samples=64), labels=LABELS
    )
    with ShardWriter(str(folder), settings, max_samples_per_shard=clips_per_shard) as writer:
        for number in range(num_clips) if numbers is None else numbers:
            writer.write_clip(
                CleanClip(
                    id=clip_id(number),
                    split=split,
                    pcm_T=clip_pcm(number),
                    labels=clip_labels(number),
                    fold=clip_fold(number) if has_folds else None,
                )
            )
    return str(folder)


def rewrite_index(url: str, edit: Callable[[pa.Table], pa.Table], *, split: str = "train") -> None:
    """Publish an edited index, with a manifest that has its hash."""
    store = open_store(url)
    sink = pa.BufferOutputStream()
    pq.write_table(edit(read_index(store.read(index_name(split)), where="test")), sink)
    data = sink.getvalue().to_pybytes()
    manifest = load_manifest(store)
    totals = replace(manifest.splits[split], index_sha256=hashlib.sha256(data).hexdigest())
    manifest = replace(manifest, splits={**manifest.splits, split: totals})
    store.put(index_name(split), data, replace=True)
    store.put(MANIFEST_NAME, manifest.to_json_bytes(), replace=True)


def set_column(table: pa.Table, name: str, values: Sequence[Any]) -> pa.Table:
    place = table.schema.get_field_index(name)
    field = table.schema.field(place)
    return table.set_column(place, field, pa.array(values, field.type))


def make_loader(url: str, *, rank: int = 0, size: int = 1, **settings: Any) -> ShardLoader:
    defaults = {"split": "train", "batch_size": 3, "crop_seconds": CROP_SECONDS}
    config = LoaderConfig(url=url, **{**defaults, **settings})
    return ShardLoader(config, world=World(rank=rank, size=size, local_rank=rank))


def make_loaders(url: str, size: int, **settings: Any) -> list[ShardLoader]:
    """The loaders of all ranks of a world."""
    return [make_loader(url, rank=rank, size=size, **settings) for rank in range(size)]


def interleave(batches_by_rank: Sequence[Sequence[AudioBatch]]) -> list[AudioBatch]:
    """Batches in the global order: step by step, rank by rank."""
    return [batch for step in zip(*batches_by_rank, strict=True) for batch in step]


def run_world(url: str, size: int, **settings: Any) -> list[AudioBatch]:
    """One epoch of all ranks, in the global order."""
    return interleave([list(loader) for loader in make_loaders(url, size, **settings)])


def real_keys(batches: Iterable[AudioBatch]) -> list[str]:
    """Keys in order, without padding."""
    return [
        key
        for batch in batches
        for key, is_padding in zip(batch.keys, batch.is_padding_B.tolist(), strict=True)
        if not is_padding
    ]


def rows_by_content(batches: Iterable[AudioBatch]) -> list[tuple[Any, ...]]:
    """Everything about each row."""
    return [
        (
            batch.keys[place],
            bool(batch.is_padding_B[place]),
            int(batch.num_samples_B[place]),
            int(batch.copy_B[place]),
            batch.target_BK[place].tolist(),
            batch.wave_BT[place].numpy().tobytes(),
        )
        for batch in batches
        for place in range(len(batch))
    ]


def windows_by_key(batches: Iterable[AudioBatch]) -> dict[str, bytes]:
    return {
        key: wave_T.numpy().tobytes()
        for batch in batches
        for key, wave_T in zip(batch.keys, batch.wave_BT, strict=True)
    }


def alive_threads_after_waiting() -> list[str]:
    """Names of the loader threads that don't end although nothing uses them."""
    threads = [thread for thread in threading.enumerate() if THREAD_NAME_PREFIX in thread.name]
    for thread in threads:
        thread.join(timeout=20)
    return [thread.name for thread in threads if thread.is_alive()]

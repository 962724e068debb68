"""Clips per second into a training loop on this machine's cores, beside two common set-ups.

All three deliver batches of int16 tensors from the same FLAC clips (the embedded ESC-10 clips,
5 s at 32 kHz mono), shuffled, with two threads or two worker processes:

    melstream   ShardLoader on its shards
    webdataset  WebDataset + soundfile in a DataLoader, on the same shards
    files       one FLAC file a clip, a Dataset + soundfile in a DataLoader

The workers are spawned: forked beside the threads that melstream has started, they would wait for
locks that no one holds. Rounds are interleaved and each figure is the median; start-up and first
batch are left out.
"""

import argparse
import functools
import io
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import torch
import webdataset
from torch.utils.data import DataLoader, Dataset

from benchmarks.machine import write_results
from jobs.catalogues.esc50 import read_catalogue
from jobs.fetching.open_fetcher import open_fetcher
from jobs.ingest import IngestOptions, ingest
from jobs.sample import sample_folder
from jobs.sources import open_source
from loader import LoaderConfig, ShardLoader, World
from loader.flac_decoder import wait_until_ready
from shardwriter.tarshard import read_members

BATCH_SIZE = 32
NUM_WORKERS = 2
SAMPLE_RATE_HZ = 32_000
CROPS_SECONDS = (5.0, 2.0)

Pcm = npt.NDArray[np.int16]


def main() -> int:
    """Run the rounds and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4, help="epochs a round")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        source = open_source(str(sample_folder()))
        options = IngestOptions(out=str(root / "shards"), max_samples_per_shard=64)
        fetcher = open_fetcher(source.url)
        ingest(read_catalogue(source, subset="esc10"), fetcher, options)
        _unpack(root / "shards", root / "files")
        wait_until_ready()
        rows, data = [], {}
        for crop_seconds in CROPS_SECONDS:
            speeds = _measure(root, crop_seconds, arguments.rounds, arguments.epochs)
            ours = statistics.median(speeds["melstream"])
            for name, values in speeds.items():
                middle = statistics.median(values)
                rows.append(
                    (
                        f"{crop_seconds:g} s of 5 s",
                        name,
                        f"{middle:.0f}",
                        f"{min(values):.0f} to {max(values):.0f}",
                        f"{ours / middle:.2f} x",
                    )
                )
            data[f"{crop_seconds:g}"] = speeds
    write_results(
        "pipeline",
        title="Clips per second into the training loop",
        header=("crop", "loader", "clips/s, median", "range", "melstream is"),
        rows=rows,
        notes=[
            f"400 FLAC clips of 5 s, 32 kHz mono; batches of {BATCH_SIZE}; {NUM_WORKERS} threads "
            f"(melstream) or {NUM_WORKERS} worker processes; {arguments.rounds} interleaved rounds "
            f"of {arguments.epochs} epochs."
        ],
        data=data,
        command="make bench",
    )
    return 0


def _measure(
    root: Path, crop_seconds: float, num_rounds: int, num_epochs: int
) -> dict[str, list[float]]:
    makers: dict[str, Callable[[], Iterator[int]]] = {
        "melstream": functools.partial(_melstream, root / "shards", crop_seconds),
        "webdataset": functools.partial(_webdataset, root / "shards", crop_seconds),
        "files": functools.partial(_files, root / "files", crop_seconds),
    }
    speeds: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(num_rounds):
        for name, make in makers.items():
            speeds[name].append(_clips_per_second(make(), num_epochs))
    return speeds


def _clips_per_second(batches: Iterator[int], num_epochs: int) -> float:
    """Take batches for some epochs' worth of clips; the first batch is not counted."""
    next(batches)
    num_clips, wanted = 0, num_epochs * 400
    started = time.perf_counter()
    while num_clips < wanted:
        num_clips += next(batches)
    return num_clips / (time.perf_counter() - started)


def _melstream(url: Path, crop_seconds: float) -> Iterator[int]:
    loader = ShardLoader(
        LoaderConfig(
            url=str(url),
            split="train",
            batch_size=BATCH_SIZE,
            crop_seconds=crop_seconds,
            num_threads=NUM_WORKERS,
        ),
        world=World(),
    )
    while True:
        for batch in loader:
            yield len(batch)


def _webdataset(url: Path, crop_seconds: float) -> Iterator[int]:
    dataset = (
        webdataset.WebDataset(
            sorted(str(path) for path in url.glob("train/*.tar")), shardshuffle=100
        )
        .shuffle(200)
        .map(functools.partial(_decode_sample, num_samples=_num_samples(crop_seconds)))
        .batched(BATCH_SIZE, collation_fn=_stack)
    )
    loader = DataLoader(
        dataset,
        batch_size=None,
        num_workers=NUM_WORKERS,
        persistent_workers=True,
        multiprocessing_context="spawn",
    )
    while True:
        for batch in loader:
            yield len(batch)


def _files(folder: Path, crop_seconds: float) -> Iterator[int]:
    loader = DataLoader(
        _FileDataset(sorted(folder.glob("*.flac")), _num_samples(crop_seconds)),
        batch_size=BATCH_SIZE,
        shuffle=True,
        drop_last=True,
        num_workers=NUM_WORKERS,
        persistent_workers=True,
        multiprocessing_context="spawn",
    )
    while True:
        for batch in loader:
            yield len(batch)


class _FileDataset(Dataset[torch.Tensor]):
    def __init__(self, paths: list[Path], num_samples: int) -> None:
        self._paths = paths
        self._num_samples = num_samples

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, number: int) -> torch.Tensor:
        with soundfile.SoundFile(self._paths[number]) as sound:
            return torch.from_numpy(_crop(sound, self._num_samples))


def _decode_sample(sample: dict[str, Any], *, num_samples: int) -> torch.Tensor:
    with soundfile.SoundFile(io.BytesIO(sample["flac"])) as sound:
        return torch.from_numpy(_crop(sound, num_samples))


def _crop(sound: soundfile.SoundFile, num_samples: int) -> Pcm:
    sound.seek(random.randint(0, max(0, sound.frames - num_samples)))
    wave_T = np.zeros(num_samples, dtype=np.int16)
    read_T = sound.read(num_samples, dtype="int16")
    wave_T[: len(read_T)] = read_T
    return wave_T


def _stack(waves: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack(waves)


def _num_samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE_HZ)


def _unpack(shards: Path, files: Path) -> None:
    files.mkdir()
    for tar in shards.glob("train/*.tar"):
        for member in read_members(tar.read_bytes(), where=str(tar)):
            if member.name.endswith(".flac"):
                (files / member.name).write_bytes(member.data)


if __name__ == "__main__":
    sys.exit(main())

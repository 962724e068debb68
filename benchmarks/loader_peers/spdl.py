"""SPDL's pipeline: threads over files, decoded by its own FFmpeg bindings or by others."""

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from spdl.pipeline import PipelineBuilder

from benchmarks.loader_peers import BATCH_SIZE
from benchmarks.loader_peers.dataset import prepare
from benchmarks.loader_peers.decoding import decode_batch, decoder_tunings

__all__ = ["TUNINGS", "open_batches", "prepare"]

TUNINGS = decoder_tunings("soundfile", "miniaudio")


def _orders(paths: list[str]) -> Iterator[list[str]]:
    while True:
        random.shuffle(paths)
        for first in range(0, len(paths) - BATCH_SIZE + 1, BATCH_SIZE):
            yield paths[first : first + BATCH_SIZE]


def open_batches(folder: Path, num_samples: int | None, *, decoder: str) -> Iterator[torch.Tensor]:
    """Yield batches; a task is a batch, so that the pipeline's own work is small."""
    paths = sorted(str(path) for path in folder.glob("*.flac"))
    pipeline = (
        PipelineBuilder()
        .add_source(_orders(paths))
        .pipe(partial(decode_batch, num_samples=num_samples, decoder=decoder), concurrency=1)
        .add_sink(2)
        .build(num_threads=1)
    )
    with pipeline.auto_stop():
        yield from pipeline

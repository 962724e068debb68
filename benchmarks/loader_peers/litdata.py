"""LitData: chunks of encoded clips, written by `optimize`."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from litdata import StreamingDataLoader, StreamingDataset, optimize

from benchmarks.loader_peers import BATCH_SIZE
from benchmarks.loader_peers.decoding import decode_batch, decoder_tunings

TUNINGS = decoder_tunings("soundfile", "miniaudio")


def _read(path: str) -> dict[str, bytes]:
    return {"flac": Path(path).read_bytes()}


def prepare(clips: Path, folder: Path) -> None:
    """Chunks of 64 MB."""
    paths = sorted(str(path) for path in (clips / "flac").glob("*.flac"))
    optimize(fn=_read, inputs=paths, output_dir=str(folder), chunk_bytes="64MB", num_workers=1)


def open_batches(folder: Path, num_samples: int | None, *, decoder: str) -> Iterator[torch.Tensor]:
    """Yield batches, decoded where they are collated, into one tensor."""
    dataset = StreamingDataset(str(folder), shuffle=True, drop_last=True)
    loader = StreamingDataLoader(
        dataset,
        batch_size=BATCH_SIZE,
        drop_last=True,
        collate_fn=functools.partial(_decode, num_samples, decoder),
        num_workers=0,
    )
    while True:
        yield from loader


def _decode(num_samples: int | None, decoder: str, samples: list[dict[str, Any]]) -> torch.Tensor:
    clips = [sample["flac"] for sample in samples]
    return decode_batch(clips, num_samples, decoder=decoder)

"""MosaicML Streaming: MDS shards of encoded clips, on this disk."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from streaming import MDSWriter, StreamingDataset
from torch.utils.data import DataLoader

from benchmarks.loader_peers import BATCH_SIZE
from benchmarks.loader_peers.decoding import decode_batch, decoder_tunings

TUNINGS = decoder_tunings("soundfile", "miniaudio")


def prepare(clips: Path, folder: Path) -> None:
    """Shards of 64 MB (its own default), uncompressed."""
    with MDSWriter(out=str(folder), columns={"flac": "bytes"}, size_limit="64mb") as writer:
        for path in sorted((clips / "flac").glob("*.flac")):
            writer.write({"flac": path.read_bytes()})


def open_batches(folder: Path, num_samples: int | None, *, decoder: str) -> Iterator[torch.Tensor]:
    """Yield batches, decoded where they are collated, into one tensor."""
    dataset = StreamingDataset(local=str(folder), shuffle=True, batch_size=BATCH_SIZE)
    loader = DataLoader(
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

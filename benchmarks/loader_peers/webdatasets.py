"""What the loaders over webdataset share: its pipeline, with a decoder of choice."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import webdataset
from torch.utils.data import DataLoader

from benchmarks.loader_peers import BATCH_SIZE
from benchmarks.loader_peers.decoding import decode_batch

DecodeBatch = Callable[[list[bytes], int | None], torch.Tensor]


def prepare(clips: Path, folder: Path) -> None:
    """Our shards are webdataset's."""
    folder.symlink_to(clips / "shards")


def _encoded(samples: list[dict[str, Any]]) -> list[bytes]:
    return [sample["flac"] for sample in samples]


def open_batches(
    folder: Path,
    num_samples: int | None,
    *,
    decoder: str,
    num_workers: int,
    decode: Callable[..., torch.Tensor] = decode_batch,
) -> Iterator[torch.Tensor]:
    """Yield batches; encoded clips are shuffled, and decoded into one tensor."""
    urls = sorted(str(path) for path in folder.glob("train/*.tar"))
    dataset = (
        webdataset.WebDataset(
            urls,
            shardshuffle=100,
            select_files=_is_audio,
            workersplitter=webdataset.split_by_worker,
        )
        .shuffle(BATCH_SIZE)
        .batched(BATCH_SIZE, collation_fn=_encoded, partial=False)
        .map(functools.partial(_decode, decode, num_samples, decoder))
    )
    loader = DataLoader(
        dataset, batch_size=None, num_workers=num_workers, persistent_workers=num_workers > 0
    )
    while True:
        yield from loader


def _is_audio(name: str) -> bool:
    return name.endswith(".flac")


def _decode(
    decode: Callable[..., torch.Tensor], num_samples: int | None, decoder: str, clips: list[bytes]
) -> torch.Tensor:
    return decode(clips, num_samples, decoder=decoder)

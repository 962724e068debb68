"""PyTorch's Dataset and DataLoader over one FLAC file a clip."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.loader_peers import BATCH_SIZE
from benchmarks.loader_peers.decoding import decode_batch, worker_tunings

TUNINGS = worker_tunings("soundfile", "miniaudio")


class Clips(Dataset[torch.Tensor]):
    """Takes a batch's clips at once, into one tensor: nothing is collated."""

    def __init__(self, folder: Path, num_samples: int | None, decoder: str) -> None:
        self._paths = sorted(str(path) for path in folder.glob("*.flac"))
        self._num_samples = num_samples
        self._decoder = decoder

    def __len__(self) -> int:
        return len(self._paths)

    def __getitems__(self, rows: list[int]) -> torch.Tensor:
        paths = [self._paths[row] for row in rows]
        return decode_batch(paths, self._num_samples, decoder=self._decoder)


def prepare(clips: Path, folder: Path) -> None:
    """Files as they are."""
    folder.symlink_to(clips / "flac")


def _as_it_is(batch: torch.Tensor) -> torch.Tensor:
    return batch


def open_batches(
    folder: Path, num_samples: int | None, *, decoder: str, num_workers: int
) -> Iterator[torch.Tensor]:
    """Yield batches in a new order each epoch."""
    loader = DataLoader(
        Clips(folder, num_samples, decoder),
        batch_size=BATCH_SIZE,
        shuffle=True,
        drop_last=True,
        collate_fn=_as_it_is,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
    )
    while True:
        yield from loader

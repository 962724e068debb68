"""Megatron Energon over our shards, with the index that it wants beside them."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from megatron.energon import (
    Cooker,
    TaskEncoder,
    WorkerConfig,
    get_savable_loader,
    get_train_dataset,
    stateless,
)

from benchmarks.loader_peers import BATCH_SIZE
from benchmarks.loader_peers.decoding import decode_batch, decoder_tunings

TUNINGS = decoder_tunings("soundfile", "miniaudio")


@stateless
def _as_it_is(sample: Any) -> Any:
    return sample


class _Encoder(TaskEncoder[Any, Any, Any, torch.Tensor]):
    """Keeps samples encoded until there is a batch of them."""

    cookers = (Cooker(_as_it_is),)
    decoder = None  # bytes stay bytes

    def __init__(self, num_samples: int | None, decoder: str) -> None:
        self._num_samples = num_samples
        self._decoder = decoder

    def batch(self, samples: list[Any]) -> torch.Tensor:
        clips = [sample["flac"] for sample in samples]
        return decode_batch(clips, self._num_samples, decoder=self._decoder)


def prepare(clips: Path, folder: Path) -> None:
    """Copy our shards and have their index made."""
    folder.mkdir()
    for tar in (clips / "shards" / "train").glob("*.tar"):
        shutil.copy(tar, folder)
    program = Path(sys.executable).with_name("energon")
    subprocess.run(
        [
            program, "prepare", folder, "--non-interactive", "--no-progress", "--num-workers", "1",
            "--split-parts", "train:.*", "--sample-type", "CrudeWebdataset",
        ],
        check=True,
    )  # fmt: skip


def open_batches(folder: Path, num_samples: int | None, *, decoder: str) -> Iterator[torch.Tensor]:
    """Yield batches without end."""
    dataset = get_train_dataset(
        folder,
        worker_config=WorkerConfig(rank=0, world_size=1, num_workers=0),
        batch_size=BATCH_SIZE,
        batch_drop_last=True,
        shuffle_buffer_size=BATCH_SIZE,
        max_samples_per_sequence=None,
        task_encoder=_Encoder(num_samples, decoder),
    )
    yield from get_savable_loader(dataset)

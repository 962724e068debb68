"""Hugging Face datasets, streamed from Parquet with the encoded clips in a column."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from datasets import load_dataset

from benchmarks.loader_peers import BATCH_SIZE
from benchmarks.loader_peers.decoding import decode_batch, decoder_tunings

TUNINGS = decoder_tunings("soundfile", "miniaudio")
_CLIPS_PER_FILE = 64


def prepare(clips: Path, folder: Path) -> None:
    """Files of 64 clips, in row groups of a batch, uncompressed: FLAC is already."""
    folder.mkdir()
    paths = sorted((clips / "flac").glob("*.flac"))
    for first in range(0, len(paths), _CLIPS_PER_FILE):
        data = [path.read_bytes() for path in paths[first : first + _CLIPS_PER_FILE]]
        table = pa.table({"flac": pa.array(data, pa.binary())})
        pq.write_table(table, folder / f"{first:06d}.parquet", compression="none")


def open_batches(folder: Path, num_samples: int | None, *, decoder: str) -> Iterator[torch.Tensor]:
    """Yield batches in this process; the clips are shuffled while they are encoded."""
    files = sorted(str(path) for path in folder.glob("*.parquet"))
    dataset = load_dataset("parquet", data_files=files, split="train", streaming=True)
    epoch = 0
    while True:
        shuffled = dataset.shuffle(seed=epoch, buffer_size=BATCH_SIZE)
        for batch in shuffled.batch(BATCH_SIZE, drop_last_batch=True):
            yield decode_batch(batch["flac"], num_samples, decoder=decoder)
        epoch += 1

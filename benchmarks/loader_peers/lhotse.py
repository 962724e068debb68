"""Lhotse Shar: cuts and FLAC in tars, sampled in this process."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from lhotse import CutSet, Recording
from lhotse.shar import SharWriter

from benchmarks.loader_peers import BATCH_SIZE, CLIP_SAMPLES, SAMPLE_RATE_HZ
from benchmarks.loader_peers.decoding import random_start

TUNINGS: dict[str, dict[str, str]] = {"1 process": {}}


def prepare(clips: Path, folder: Path) -> None:
    """Shards of 64 clips; Lhotse encodes the FLAC itself, losslessly."""
    folder.mkdir()
    with SharWriter(str(folder), fields={"recording": "flac"}, shard_size=64) as writer:
        for path in sorted((clips / "flac").glob("*.flac")):
            writer.write(Recording.from_file(path).to_cut())


def open_batches(folder: Path, num_samples: int | None) -> Iterator[torch.Tensor]:
    """Yield float batches; a crop is a truncated cut, which Lhotse decodes alone."""
    cuts = CutSet.from_shar(in_dir=str(folder), shuffle_shards=True).repeat()
    wave_BT, place = torch.empty((BATCH_SIZE, num_samples or CLIP_SAMPLES)), 0
    for cut in cuts:
        if num_samples is not None:
            offset = random_start(num_samples) / SAMPLE_RATE_HZ
            cut = cut.truncate(offset=offset, duration=num_samples / SAMPLE_RATE_HZ)
        wave_BT[place] = torch.from_numpy(np.asarray(cut.load_audio())[0])
        place += 1
        if place == BATCH_SIZE:
            yield wave_BT
            wave_BT, place = torch.empty_like(wave_BT), 0

"""torchcodec's AudioDecoder, behind webdataset."""

import functools
from typing import Any

import torch
from torchcodec.decoders import AudioDecoder

from benchmarks.loader_peers import CLIP_SAMPLES, SAMPLE_RATE_HZ, webdatasets
from benchmarks.loader_peers.decoding import random_start, worker_tunings
from benchmarks.loader_peers.webdatasets import prepare

__all__ = ["TUNINGS", "open_batches", "prepare"]

TUNINGS = worker_tunings("torchcodec")


def _decode_batch(clips: list[bytes], num_samples: int | None, **_: Any) -> torch.Tensor:
    wave_BT = torch.empty((len(clips), num_samples or CLIP_SAMPLES))
    for row_T, clip in zip(wave_BT, clips, strict=True):
        decoder = AudioDecoder(clip)
        if num_samples is None:
            row_T.copy_(decoder.get_all_samples().data[0])
        else:
            start = random_start(num_samples)
            window = decoder.get_samples_played_in_range(
                start / SAMPLE_RATE_HZ, (start + num_samples) / SAMPLE_RATE_HZ
            )
            row_T.copy_(window.data[0, :num_samples])
    return wave_BT


open_batches = functools.partial(webdatasets.open_batches, decode=_decode_batch)

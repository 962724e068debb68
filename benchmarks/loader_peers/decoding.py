"""Encoded clips → rows of an int16 batch, as a user of each library would do it at best.

`num_samples` is the length of a random crop; None takes the whole clip.
"""

import io
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.loader_peers import CLIP_SAMPLES

Clip = bytes | memoryview | str
Decode = Callable[[Clip, Any], None]


def random_start(num_samples: int) -> int:
    """Return where a random crop begins."""
    return random.randint(0, CLIP_SAMPLES - num_samples)


def decode_by_soundfile(clip: Clip, row_T: Any) -> None:
    """Libsndfile straight into the row; it seeks to the crop."""
    import soundfile

    with soundfile.SoundFile(clip if isinstance(clip, str) else io.BytesIO(clip)) as sound:
        if len(row_T) < CLIP_SAMPLES:
            sound.seek(random_start(len(row_T)))
        sound.read(dtype="int16", out=row_T)


def decode_whole_by_soundfile(clip: Clip, row_T: Any) -> None:
    """Libsndfile; the crop is cut from the whole clip, as most code does."""
    import soundfile

    start = random_start(len(row_T))
    wave_T, _ = soundfile.read(clip if isinstance(clip, str) else io.BytesIO(clip), dtype="int16")
    row_T[:] = wave_T[start : start + len(row_T)]


def decode_by_miniaudio(clip: Clip, row_T: Any) -> None:
    """dr_flac without a detour; it seeks in files only, so bytes get a file in memory."""
    import miniaudio

    if len(row_T) == CLIP_SAMPLES:
        data = Path(clip).read_bytes() if isinstance(clip, str) else bytes(clip)
        row_T[:] = np.frombuffer(miniaudio.flac_read_s16(data).samples, np.int16)
        return
    start = random_start(len(row_T))
    if isinstance(clip, str):
        row_T[:] = _crop_of_file(miniaudio, clip, start, len(row_T))
        return
    descriptor = os.memfd_create("clip")
    try:
        os.write(descriptor, clip)
        row_T[:] = _crop_of_file(miniaudio, f"/proc/self/fd/{descriptor}", start, len(row_T))
    finally:
        os.close(descriptor)


def _crop_of_file(miniaudio: Any, path: str, start: int, num_samples: int) -> Any:
    stream = miniaudio.flac_stream_file(path, frames_to_read=num_samples, seek_frame=start)
    samples = next(stream)
    stream.close()
    return np.frombuffer(samples, np.int16)


DECODERS: dict[str, Decode] = {
    "soundfile": decode_by_soundfile,
    "soundfile, whole": decode_whole_by_soundfile,
    "miniaudio": decode_by_miniaudio,
}


def decoder_tunings(*decoders: str) -> dict[str, dict[str, Any]]:
    """Settings to try: each decoder, in the process itself."""
    return {decoder: {"decoder": decoder} for decoder in decoders}


def worker_tunings(*decoders: str) -> dict[str, dict[str, Any]]:
    """Settings to try: each decoder, in the process itself or in a worker."""
    return {
        f"{decoder}, {num_workers} workers": {"decoder": decoder, "num_workers": num_workers}
        for decoder in decoders
        for num_workers in (0, 1)
    }


def decode_batch(clips: Sequence[Clip], num_samples: int | None, *, decoder: str) -> torch.Tensor:
    """Decode clips into one tensor."""
    wave_BT = torch.empty((len(clips), num_samples or CLIP_SAMPLES), dtype=torch.int16)
    decode = DECODERS[decoder]
    for row_T, clip in zip(wave_BT.numpy(), clips, strict=True):
        decode(clip, row_T)
    return wave_BT

"""Encoded audio → a window of int16 samples, straight into a row of a batch.

Axes: T samples.
"""

import io

import numpy as np
import soundfile
from numpy.typing import NDArray

from shardwriter.errors import ShardFormatError


def decode_window(
    data: bytes,
    row_T: NDArray[np.int16],
    *,
    start: int,
    num_samples: int,
    clip_num_samples: int,
    sample_rate_hz: int,
    where: str,
) -> None:
    """Decode the samples `start` to `start + num_samples` of a clip into the front of a row.

    The rest of the row is set to zero.

    Args:
        data: A whole encoded mono file.
        row_T: The row to fill, contiguous, at least `num_samples` long.
        start: First sample of the window.
        num_samples: Length of the window; it lies inside the clip.
        clip_num_samples: Length of the clip, as the index has it.
        sample_rate_hz: Rate of the clip, as the index has it.
        where: Dataset, shard, key and offset, for messages.

    Raises:
        ShardFormatError: the bytes are no such clip, or end before the window does.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as sound:
            expected = (sample_rate_hz, 1, clip_num_samples)
            got = (sound.samplerate, sound.channels, sound.frames)
            if got != expected:
                raise ShardFormatError(
                    f"{where}: expected {_describe(*expected)}, got {_describe(*got)}: "
                    "index and shard are not of the same ingest; copy or ingest them again"
                )
            sound.seek(start)
            num_read = len(sound.read(dtype="int16", out=row_T[:num_samples]))
    except soundfile.SoundFileError as err:
        raise ShardFormatError(
            f"{where}: libsndfile can't decode the {len(data)} bytes: {err}; "
            "copy or ingest the shard again"
        ) from err
    if num_read != num_samples:
        raise ShardFormatError(
            f"{where}: expected {num_samples} samples from {start}, got {num_read}: the audio is "
            "damaged; copy or ingest the shard again"
        )
    row_T[num_samples:] = 0


def _describe(sample_rate_hz: int, num_channels: int, num_samples: int) -> str:
    return f"{num_samples} samples at {sample_rate_hz} Hz in {num_channels} channel(s)"

"""Encoded audio → windows of int16 samples, straight into the rows of a batch.

16-bit FLAC goes through a decoder of our own that takes many clips at once, as soon as that one
is compiled; all else goes through libsndfile, clip by clip.

Axes: B rows of a batch, T samples.
"""

import io
from collections.abc import Sequence

import numpy as np
import soundfile
from numpy.typing import NDArray

from loader.flac_decoder import (
    ClipWindow,
    decode_flac_windows,
    describe_other_clip,
    is_flac_16,
    is_ready,
)
from shardwriter.errors import ShardFormatError


def decode_windows(
    clips: Sequence[ClipWindow],
    wave_BT: NDArray[np.int16],
    *,
    sample_rate_hz: int,
    verify_checksums: bool,
) -> None:
    """Decode a window of each clip into the front of its row; the row's rest is set to zero.

    Args:
        clips: Encoded mono clips, each for a row of its own.
        wave_BT: The batch; contiguous.
        sample_rate_hz: Rate of the clips, as the index has it.
        verify_checksums: Whether the checksums inside of the FLAC are checked.

    Raises:
        ShardFormatError: the bytes are no such clip, or end before the window does.
    """
    flac = [clip for clip in clips if is_flac_16(clip.data)]
    if flac and is_ready():
        decode_flac_windows(
            flac, wave_BT, sample_rate_hz=sample_rate_hz, verify_checksums=verify_checksums
        )
        clips = [clip for clip in clips if not is_flac_16(clip.data)]
    for clip in clips:
        _decode_by_libsndfile(clip, wave_BT[clip.row], sample_rate_hz=sample_rate_hz)


def _decode_by_libsndfile(
    clip: ClipWindow, row_T: NDArray[np.int16], *, sample_rate_hz: int
) -> None:
    try:
        with soundfile.SoundFile(io.BytesIO(clip.data)) as sound:
            expected = (sample_rate_hz, 1, clip.clip_num_samples)
            got = (sound.samplerate, sound.channels, sound.frames)
            if got != expected:
                raise ShardFormatError(
                    f"{clip.where}: {describe_other_clip(expected=expected, got=got)}"
                )
            sound.seek(clip.start)
            num_read = len(sound.read(dtype="int16", out=row_T[: clip.num_samples]))
    except soundfile.SoundFileError as err:
        raise ShardFormatError(
            f"{clip.where}: libsndfile can't decode the {len(clip.data)} bytes: {err}; "
            "copy or ingest the shard again"
        ) from err
    if num_read != clip.num_samples:
        raise ShardFormatError(
            f"{clip.where}: expected {clip.num_samples} samples from {clip.start}, got "
            f"{num_read}: the audio is damaged; copy or ingest the shard again"
        )
    row_T[clip.num_samples :] = 0

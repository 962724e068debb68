"""WAV out: 16 bit mono, with the plain 44-byte header that every reader knows."""

import struct

from shardwriter.mixdown import Pcm

_MAX_DATA_BYTES = 0xFFFFFFFF - 36
_PCM = 1


def encode_wav(pcm_T: Pcm, *, sample_rate_hz: int) -> bytes:
    """Return mono 16-bit samples as a WAV file.

    Raises:
        ValueError: over 4 GiB, which the format can't hold.
    """
    data = pcm_T.astype("<i2", copy=False).tobytes()
    if len(data) > _MAX_DATA_BYTES:
        raise ValueError(f"a WAV file holds up to {_MAX_DATA_BYTES} bytes, got {len(data)}")
    return b"".join(
        (
            struct.pack("<4sI4s", b"RIFF", 36 + len(data), b"WAVE"),
            struct.pack(
                "<4sIHHIIHH", b"fmt ", 16, _PCM, 1, sample_rate_hz, 2 * sample_rate_hz, 2, 16
            ),
            struct.pack("<4sI", b"data", len(data)),
            data,
        )
    )

"""Opus out: Ogg Opus by libopus, through PyAV.

libopus delays the signal by some milliseconds; the header names that delay (pre-skip) and the
last page where the clip ends, so that a decoder gives as many samples as went in: at 48 kHz
by FFmpeg, at the rate that went in by libsndfile.
"""

import io

import av
import av.error

from shardwriter.errors import MelstreamError
from shardwriter.mixdown import Pcm


class OpusEncodeError(MelstreamError):
    """libopus refused to encode; with a rate it takes this is a defect of ours."""


def provenance() -> dict[str, str]:
    """Return the encoder and its settings."""
    major, minor, micro = av.library_versions["libavcodec"]
    return {
        "encoder": f"libopus through FFmpeg libavcodec {major}.{minor}.{micro}, "
        "variable bit rate, frames of 20 ms, application audio"
    }


def encode_opus(pcm_T: Pcm, *, sample_rate_hz: int, bit_rate: int) -> bytes:
    """Return mono 16-bit samples as an Ogg Opus file; the same samples give the same bytes.

    Args:
        pcm_T: int16, at least one sample.
        sample_rate_hz: One of `schema.OPUS_RATES_HZ`.
        bit_rate: Bits a second.

    Raises:
        OpusEncodeError: libopus refused.
    """
    sink = io.BytesIO()
    frame = av.AudioFrame.from_ndarray(pcm_T[None], format="s16", layout="mono")
    frame.sample_rate = sample_rate_hz
    frame.pts = 0
    try:
        # bitexact: no random stream number, no version in the comments.
        with av.open(sink, "w", format="ogg", options={"fflags": "+bitexact"}) as out:
            stream = out.add_stream(
                "libopus", rate=sample_rate_hz, layout="mono", bit_rate=bit_rate
            )
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    except av.error.FFmpegError as err:
        raise OpusEncodeError(
            f"libopus refused {len(pcm_T)} samples at {sample_rate_hz} Hz: {err.strerror}"
        ) from err
    return sink.getvalue()

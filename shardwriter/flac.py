"""FLAC out: libFLAC through pyFLAC, which lets us choose the block size and see every frame.

soundfile can't set the block size and doesn't tell where frames begin; both are what makes
crops cheap for the loader.
"""

from dataclasses import dataclass

import pyflac
from pyflac.encoder import EncoderInitException, EncoderProcessException

from shardwriter.errors import MelstreamError
from shardwriter.mixdown import Pcm

COMPRESSION_LEVEL = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class FlacStream:
    """An encoded clip and the byte offset of each of its frames."""

    data: bytes
    frame_offsets: tuple[int, ...]


class FlacEncodeError(MelstreamError):
    """libFLAC refused to encode; with 16-bit mono input this is a defect of ours."""


def provenance() -> dict[str, str]:
    """Return the encoder and its settings."""
    return {"encoder": f"libFLAC through pyFLAC {pyflac.__version__}, level {COMPRESSION_LEVEL}"}


def encode_flac(pcm_T: Pcm, *, sample_rate_hz: int, frame_num_samples: int) -> FlacStream:
    """Encode mono 16-bit samples.

    Args:
        pcm_T: int16, at least one sample.
        sample_rate_hz: Rate of the samples.
        frame_num_samples: Samples in each frame but the last; fixed block size.

    Raises:
        ValueError: no samples, or not int16 mono.
        FlacEncodeError: libFLAC refused.
    """
    if pcm_T.ndim != 1 or pcm_T.dtype.name != "int16" or not len(pcm_T):
        raise ValueError(
            f"expected mono int16 samples, at least one, got {pcm_T.dtype} {pcm_T.shape}"
        )
    sink = _Sink()
    # seek and tell let libFLAC go back and fill STREAMINFO (total samples, MD5): readers that
    # find no total there treat the clip as empty.
    encoder = pyflac.StreamEncoder(
        sample_rate=sample_rate_hz,
        write_callback=sink.write,
        seek_callback=sink.seek,
        tell_callback=sink.tell,
        compression_level=COMPRESSION_LEVEL,
        blocksize=frame_num_samples,
        streamable_subset=False,  # the subset forbids rates that a frame header can't name
    )
    try:
        encoder.process(pcm_T)
    except (EncoderInitException, EncoderProcessException) as err:
        raise FlacEncodeError(f"libFLAC refused {len(pcm_T)} samples: {err}") from err
    if not encoder.finish():
        raise FlacEncodeError(f"libFLAC could not finish {len(pcm_T)} samples: {encoder.state}")
    return FlacStream(data=bytes(sink.buffer), frame_offsets=tuple(sink.frame_offsets))


class _Sink:
    """A growing file in memory that notes where frames begin."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.frame_offsets: list[int] = []
        self._position = 0

    def write(self, data: bytes, num_bytes: int, num_samples: int, _frame: int) -> None:
        if num_samples:
            self.frame_offsets.append(self._position)
        self.buffer[self._position : self._position + num_bytes] = data
        self._position += num_bytes

    def seek(self, offset: int) -> None:
        self._position = offset

    def tell(self) -> int:
        return self._position

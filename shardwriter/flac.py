"""FLAC out: 16-bit mono samples as fixed blocks of a chosen size, and where each frame begins.

The encoder is our own, in `flac_encoder_kernel`. Of the libraries, only pyFLAC lets one choose the
block size and see the frames; it has no wheels for Linux, and takes 2.4 ms for 5 s at 32 kHz where
this takes 1.1, 0.4 of it for the MD5 by which other tools, and our own reader, find damage.
FFmpeg's encoder takes 4.4, libFLAC by way of soundfile 1.9.

numba takes 0.6 s to import, and the kernel some seconds to compile, once on a machine; it is
loaded by the first clip.
"""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shardwriter.md5 import pcm_md5
from shardwriter.mixdown import Pcm

ENCODER_VERSION = 1
"""Goes up when the same samples would give other bytes."""
MIN_FRAME_SAMPLES = 16
MAX_FRAME_SAMPLES = 65_535
MAX_RATE_HZ = 1_048_575

_BLOCK_CODES = {192: 1, 576: 2, 1152: 3, 2304: 4, 4608: 5} | {
    256 << power: 8 + power for power in range(8)
}
_CODED_RATES_HZ = (
    *(88_200, 176_400, 192_000, 8_000, 16_000, 22_050),
    *(24_000, 32_000, 44_100, 48_000, 96_000),
)
_RATE_CODES = {rate: code for code, rate in enumerate(_CODED_RATES_HZ, 1)}
_SIXTEEN_BITS_MONO = 0b0000_100_0


@dataclass(frozen=True, slots=True, kw_only=True)
class FlacStream:
    """An encoded clip and the byte offset of each of its frames."""

    data: bytes
    frame_offsets: tuple[int, ...]


def provenance() -> dict[str, str]:
    """Return the encoder and its settings."""
    return {
        "encoder": f"melstream FLAC encoder {ENCODER_VERSION}: fixed and linear prediction to "
        "order 8, Rice partitions to order 6"
    }


def encode_flac(
    pcm_T: Pcm, *, sample_rate_hz: int, frame_num_samples: int, md5: bytes | None = None
) -> FlacStream:
    """Encode mono 16-bit samples.

    Args:
        pcm_T: int16, at least one sample.
        sample_rate_hz: Rate of the samples, 1 to 1,048,575.
        frame_num_samples: Samples in each frame but the last, 16 to 65,535; fixed block size.
        md5: That of the samples, if it is known already: of several clips at once
            `shardwriter.md5` computes it in a third of the time.

    Raises:
        ValueError: no samples, or not int16 mono, or a rate or size that FLAC doesn't have.
    """
    if pcm_T.ndim != 1 or pcm_T.dtype.name != "int16" or not len(pcm_T):
        raise ValueError(
            f"expected mono int16 samples, at least one, got {pcm_T.dtype} {pcm_T.shape}"
        )
    if not MIN_FRAME_SAMPLES <= frame_num_samples <= MAX_FRAME_SAMPLES:
        raise ValueError(
            f"frame_num_samples must be in {MIN_FRAME_SAMPLES}..{MAX_FRAME_SAMPLES}, "
            f"got {frame_num_samples}"
        )
    if not 1 <= sample_rate_hz <= MAX_RATE_HZ:
        raise ValueError(f"sample_rate_hz must be in 1..{MAX_RATE_HZ}, got {sample_rate_hz}")
    kernel = _load_kernel()
    pcm_T = np.require(pcm_T, np.int16, ["C", "W"])  # else it is compiled anew for views
    num_frames = -(-len(pcm_T) // frame_num_samples)
    last_num_samples = len(pcm_T) - (num_frames - 1) * frame_num_samples
    offsets = np.empty(num_frames, np.int64)
    frames = np.empty(2 * len(pcm_T) + num_frames * kernel.MAX_FRAME_OVERHEAD_BYTES, dtype=np.uint8)
    num_bytes = kernel.encode_frames(
        pcm_T,
        frame_num_samples,
        _header(frame_num_samples, sample_rate_hz),
        _header(last_num_samples, sample_rate_hz),
        _window(frame_num_samples),
        _window(last_num_samples),
        frames,
        offsets,
    )
    sizes = np.diff(offsets, append=num_bytes)
    head = b"fLaC" + _stream_info(
        pcm_T,
        sample_rate_hz=sample_rate_hz,
        frame_num_samples=frame_num_samples,
        frame_num_bytes=(int(sizes.min()), int(sizes.max())),
        md5=md5 or pcm_md5(pcm_T),
    )
    return FlacStream(
        data=b"".join((head, frames[:num_bytes].data)),
        frame_offsets=tuple((offsets + len(head)).tolist()),
    )


@functools.cache
def _load_kernel() -> Any:
    from shardwriter import flac_encoder_kernel as kernel  # heavy, see above

    return kernel


@functools.lru_cache(maxsize=256)
def _header(num_samples: int, sample_rate_hz: int) -> NDArray[np.uint8]:
    """Return bytes 2 and 3 of a frame's header, and those behind its number."""
    block_code, block_tail = _BLOCK_CODES.get(num_samples), b""
    if block_code is None:
        num_bytes = 1 if num_samples <= 256 else 2
        block_code, block_tail = 5 + num_bytes, (num_samples - 1).to_bytes(num_bytes, "big")
    rate_code, rate_tail = _RATE_CODES.get(sample_rate_hz), b""
    if rate_code is None:
        rate_code, rate_tail = _other_rate(sample_rate_hz)
    data = bytes([block_code << 4 | rate_code, _SIXTEEN_BITS_MONO]) + block_tail + rate_tail
    return np.frombuffer(bytearray(data), np.uint8)


def _other_rate(sample_rate_hz: int) -> tuple[int, bytes]:
    """Return code and bytes of a rate that has no code of its own; 0 points to STREAMINFO."""
    if sample_rate_hz % 1000 == 0 and sample_rate_hz <= 255_000:
        return 12, bytes([sample_rate_hz // 1000])
    if sample_rate_hz <= 65_535:
        return 13, sample_rate_hz.to_bytes(2, "big")
    if sample_rate_hz % 10 == 0 and sample_rate_hz <= 655_350:
        return 14, (sample_rate_hz // 10).to_bytes(2, "big")
    return 0, b""


@functools.lru_cache(maxsize=64)
def _window(num_samples: int) -> NDArray[np.float64]:
    """Return the weights of a frame's samples: flat, with smooth flanks of a quarter each.

    A cosine, as in the usual Tukey window, is not the same to the last bit on every machine.
    """
    flank = max(num_samples // 4, 1)
    rise = (np.arange(flank, dtype=np.float64) + 0.5) / flank
    weights = np.ones(num_samples)
    smooth = rise * rise * (3.0 - 2.0 * rise)
    weights[:flank] = smooth
    weights[num_samples - flank :] = smooth[::-1]
    return weights


def _stream_info(
    pcm_T: Pcm,
    *,
    sample_rate_hz: int,
    frame_num_samples: int,
    frame_num_bytes: tuple[int, int],
    md5: bytes,
) -> bytes:
    """Return the metadata block that every FLAC file begins with, here the only one."""
    num_bytes = 34
    packed = sample_rate_hz << 44 | (16 - 1) << 36 | len(pcm_T)  # one channel: 0
    return b"".join(
        (
            bytes([0x80]),  # the last metadata block, of type 0
            num_bytes.to_bytes(3, "big"),
            frame_num_samples.to_bytes(2, "big") * 2,
            frame_num_bytes[0].to_bytes(3, "big"),
            frame_num_bytes[1].to_bytes(3, "big"),
            packed.to_bytes(8, "big"),
            md5,
        )
    )

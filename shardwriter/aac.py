"""AAC-LC packets → mono samples, without FFmpeg.

What is not plain AAC-LC of one or two channels is left to FFmpeg, as is what is damaged: it then
says what is wrong, or gets more out of it.
"""

import functools
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATES_HZ: Final = (
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000,
    24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
)  # fmt: skip
"""By sampling frequency index, as the kernel's tables of bands are."""

_PACKETS_AT_ONCE = 4096
"""Decoded in one call, some 30 ms, in which Python hears no signal."""
_LOW_COMPLEXITY = 2
_SYNC_EXTENSION = 0x2B7
_SPECTRAL_BAND_REPLICATION = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class AacConfig:
    """What a container says of its AAC-LC packets."""

    sample_rate_hz: int
    num_channels: int
    """1 or 2."""


def read_aac_config(audio_specific_config: bytes) -> AacConfig | None:
    """Read an AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1).

    Returns:
        None unless it says: AAC-LC, one of the 13 listed rates, frames of 1024 samples, one or two
        channels, no core coder, no extension, and no spectral band replication or parametric
        stereo (HE-AAC).
    """
    config = audio_specific_config
    if len(config) < 2:
        return None
    head = int.from_bytes(config[:2], "big")
    object_type, rate, layout, flags = head >> 11, head >> 7 & 15, head >> 3 & 15, head & 7
    if object_type != _LOW_COMPLEXITY or rate >= len(SAMPLE_RATES_HZ):
        return None
    if layout not in (1, 2) or flags or not _says_nothing(config[2:]):
        return None
    return AacConfig(sample_rate_hz=SAMPLE_RATES_HZ[rate], num_channels=layout)


def _says_nothing(rest: bytes) -> bool:
    """Return whether what follows is empty, or says that there is no HE-AAC."""
    if len(rest) >= 3:
        tail = int.from_bytes(rest[:3], "big")
        if tail >> 13 == _SYNC_EXTENSION and tail >> 8 & 31 == _SPECTRAL_BAND_REPLICATION:
            return not tail & 0x80 and not any(rest[3:])
    return not any(rest)


def decode_aac(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    sizes: NDArray[np.int64],
    config: AacConfig,
    *,
    channel: int | None,
    first_frame: int = 0,
) -> NDArray[np.float32] | None:
    """Decode packets to a mono wave.

    Bytes of any kind are safe to pass: nothing is read outside of `data`.

    Args:
        data: The file, or the part of it that holds the packets.
        offsets: First byte of each packet.
        sizes: Number of bytes of each packet.
        config: What the container says of them.
        channel: Which channel; None for the mean of all.
        first_frame: Packets that come before this one are read, for what the others take over from
            them, and give no samples.

    Returns:
        Full scale 1.0, 1024 samples a packet, encoder delay included. None if the packets aren't
        plain AAC-LC or are damaged.

    Raises:
        ValueError: There is no such channel or frame, or no size for each offset.
    """
    if channel is not None and not 0 <= channel < config.num_channels:
        raise ValueError(f"channel {channel} of {config.num_channels}")
    if len(offsets) != len(sizes) or not 0 <= first_frame <= len(sizes):
        raise ValueError(f"{len(offsets)} offsets, {len(sizes)} sizes, first frame {first_frame}")
    kernel = _load_kernel()
    state = np.full(kernel.STATE_FIELDS, -1, np.int64)
    state[kernel.RANDOM] = kernel.SEED
    tail_T = np.zeros(kernel.FRAME, np.float32)
    wave_T = np.empty((len(sizes) - first_frame) * kernel.FRAME, np.float32)
    # The kernel would be compiled anew for other arrays. A file's bytes can't be written as a rule.
    data = np.require(data, np.uint8, ["C"]).view()
    data.flags.writeable = False
    offsets = np.require(offsets, np.int64, ["C", "W"])
    sizes = np.require(sizes, np.int64, ["C", "W"])
    for start in range(0, len(sizes), _PACKETS_AT_ONCE):
        stop = min(start + _PACKETS_AT_ONCE, len(sizes))
        first, last = max(start, first_frame), max(stop, first_frame)
        if not kernel.decode_packets(
            data,
            offsets[start:stop],
            sizes[start:stop],
            SAMPLE_RATES_HZ.index(config.sample_rate_hz),
            config.num_channels,
            -1 if channel is None else channel,
            max(first_frame - start, 0),
            state,
            tail_T,
            wave_T[(first - first_frame) * kernel.FRAME : (last - first_frame) * kernel.FRAME],
        ):
            return None
    return wave_T


@functools.cache
def _load_kernel() -> Any:
    from shardwriter import aac_kernel as kernel  # takes 0.6 s, as numba does

    return kernel

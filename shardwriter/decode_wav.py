"""Plain WAV, 16-bit integers under a header without surprises: most of what there is.

Its samples lie in the file as they are wanted. libsndfile takes 0.2 ms to hand out 5 s of them,
through callbacks; every other kind of WAV, and all that is odd, is left to it.
"""

import struct
from dataclasses import dataclass

import numpy as np

from shardwriter.decoded import Decoded
from shardwriter.mixdown import DecodeRules, Mixdown

DECODER = "melstream plain WAV 1"

_FORMAT_START = 20
_PCM, _EXTENSIBLE = 1, 0xFFFE
_PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")
_SAMPLE_BYTES = 2
_NOTES = frozenset(
    (
        b"LIST",
        b"fact",
        b"bext",
        b"JUNK",
        b"junk",
        b"PAD ",
        b"cue ",
        b"id3 ",
        b"ID3 ",
        b"iXML",
        b"PEAK",
    )
)
"""Chunks that may stand before the samples and say nothing about them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plain:
    sample_rate_hz: int
    num_channels: int
    start: int
    """Of the samples, in bytes."""
    num_samples: int


def decode_plain_wav(data: bytes, *, file: str, rules: DecodeRules) -> Decoded | None:
    """Decode a file; None if it is another kind of WAV, or none.

    A wave of int16 is a view of `data`, not to be written into.

    Raises:
        AudioError: the file is not in bounds.
    """
    plain = _parse(data)
    if plain is None:
        return None
    mixdown = Mixdown(
        rules,
        file=file,
        sample_rate_hz=plain.sample_rate_hz,
        num_channels=plain.num_channels,
    )
    values = np.frombuffer(data, "<i2", plain.num_samples * plain.num_channels, plain.start)
    wave_TC = values.astype(np.int16, copy=False).reshape(-1, plain.num_channels)
    if 0 < mixdown.start < plain.num_samples:
        wave_TC = wave_TC[mixdown.start :]
        mixdown.skip_to_start()
    mixdown.add(list(wave_TC.T))
    return Decoded(
        wave_T=mixdown.finish(full_scale=32768.0),
        sample_rate_hz=plain.sample_rate_hz,
        num_channels=plain.num_channels,
        start_sample=mixdown.start,
        codec="PCM_16",
        decoder=DECODER,
        num_priming_samples=0,
    )


def _parse(data: bytes) -> _Plain | None:
    """Find format and samples; the format stands first, the samples behind known notes."""
    if data[:4] != b"RIFF" or data[8:16] != b"WAVEfmt " or len(data) < _FORMAT_START:
        return None
    position = _FORMAT_START + int.from_bytes(data[_FORMAT_START - 4 : _FORMAT_START], "little")
    form = _format(data[_FORMAT_START:position])
    while form is not None and position + 8 <= len(data):
        name, num_bytes = struct.unpack_from("<4sI", data, position)
        position += 8
        if position + num_bytes > len(data):
            return None
        if name == b"data":
            return _samples(*form, start=position, num_bytes=num_bytes)
        if name not in _NOTES or num_bytes % 2:  # about odd lengths programs disagree
            return None
        position += num_bytes
    return None


def _format(chunk: bytes) -> tuple[int, int] | None:
    """Return rate and channels of 16-bit integers; None for anything else."""
    if len(chunk) not in (16, 18, 40):
        return None
    tag, num_channels, rate, byte_rate, align, bits = struct.unpack_from("<HHIIHH", chunk)
    is_extensible = tag == _EXTENSIBLE and chunk[16:20] == b"\x16\0\x10\0" and len(chunk) == 40
    if tag != _PCM and not (is_extensible and chunk[24:] == _PCM_GUID):
        return None
    if bits != 8 * _SAMPLE_BYTES or align != _SAMPLE_BYTES * num_channels:
        return None
    return (rate, num_channels) if num_channels and byte_rate == rate * align else None


def _samples(rate: int, num_channels: int, *, start: int, num_bytes: int) -> _Plain | None:
    num_samples, rest = divmod(num_bytes, _SAMPLE_BYTES * num_channels)
    if rest or start % _SAMPLE_BYTES or not num_samples:
        return None
    return _Plain(
        sample_rate_hz=rate, num_channels=num_channels, start=start, num_samples=num_samples
    )

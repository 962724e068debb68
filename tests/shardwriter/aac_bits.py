"""AAC packets written bit by bit: what no encoder at hand writes, and what is not allowed."""

from collections.abc import Sequence
from dataclasses import dataclass

import av
import numpy as np

from shardwriter import aac_kernel
from shardwriter.aac_kernel import SCALEFACTOR_CODEBOOK, SPECTRAL_CODEBOOKS

RATE_44100 = 4
MONO_CONFIG = bytes([0x12, 0x08])
STEREO_CONFIG = bytes([0x12, 0x10])
SINGLE, PAIR, COUPLING, LFE, DATA, PROGRAM, FILL, END = range(8)

_SPECTRAL = [
    {symbol: (code, length) for symbol, code, length in aac_kernel._codewords(book)}
    for book in SPECTRAL_CODEBOOKS
]
_SCALEFACTOR = {
    symbol: (code, length) for symbol, code, length in aac_kernel._codewords(SCALEFACTOR_CODEBOOK)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Packets:
    packets: list[bytes]
    config: bytes
    """AudioSpecificConfig."""


@dataclass(slots=True)
class Bits:
    """Bits from the highest one of the first byte on."""

    text: str = ""

    def put(self, value: int, num_bits: int) -> "Bits":
        if num_bits:
            self.text += f"{value:0{num_bits}b}"
        return self

    def packed(self) -> bytes:
        padded = self.text + "0" * (-len(self.text) % 8)
        return bytes(int(padded[at : at + 8], 2) for at in range(0, len(padded), 8))


@dataclass(slots=True, kw_only=True)
class Channel:
    """A long window of a few bands of 4 values each, all of one codebook, as 44.1 kHz has them."""

    values: Sequence[int] = (3, -1, 0, 2, -7, 0, 0, 12)
    book: int = 10
    gain: int = 150
    sequence: int = 0
    num_bands: int | None = None
    reserved: int = 0
    prediction: int = 0
    pulses: Sequence[tuple[int, int]] = ()
    """Distance to the one before, and height."""
    pulse_band: int = 0
    filters: Sequence[tuple[int, int, Sequence[int]]] = ()
    """Bands, direction, and coefficients of 4 bits."""
    gain_control: int = 0
    section_lengths: Sequence[int] | None = None
    escape_ones: int | None = None
    """If given: how many ones each escape begins with."""
    first_difference: int = 0

    def write(self, bits: Bits) -> None:
        num_bands = len(self.values) // 4
        bits.put(self.gain, 8)
        bits.put(self.reserved, 1).put(self.sequence, 2).put(0, 1)
        bits.put(num_bands if self.num_bands is None else self.num_bands, 6)
        bits.put(self.prediction, 1)
        for length in self.section_lengths or [num_bands]:
            bits.put(self.book, 4).put(length, 5)
        for band in range(num_bands if self.book else 0):
            bits.put(*_SCALEFACTOR[60 + (self.first_difference if band == 0 else 0)])
        self._write_pulses(bits)
        self._write_filters(bits)
        bits.put(self.gain_control, 1)
        if 0 < self.book <= 11:
            self._write_values(bits)

    def _write_pulses(self, bits: Bits) -> None:
        bits.put(int(bool(self.pulses)), 1)
        if self.pulses:
            bits.put(len(self.pulses) - 1, 2).put(self.pulse_band, 6)
            for distance, height in self.pulses:
                bits.put(distance, 5).put(height, 4)

    def _write_filters(self, bits: Bits) -> None:
        bits.put(int(bool(self.filters)), 1)
        if self.filters:
            bits.put(len(self.filters), 2).put(1, 1)
            for length, direction, coefficients in self.filters:
                bits.put(length, 6).put(len(coefficients), 5)
                if coefficients:
                    bits.put(direction, 1).put(0, 1)
                for coefficient in coefficients:
                    bits.put(coefficient & 15, 4)

    def _write_values(self, bits: Bits) -> None:
        base, num = {1: (3, 4), 3: (3, 4), 5: (9, 2), 8: (8, 2), 10: (13, 2), 11: (17, 2)}[
            self.book
        ]
        is_signed = self.book in (1, 5)
        for at in range(0, len(self.values), num):
            group = self.values[at : at + num]
            digits = [value + base // 2 if is_signed else min(abs(value), 16) for value in group]
            symbol = 0
            for digit in digits:
                symbol = symbol * base + digit
            bits.put(*_SPECTRAL[self.book - 1][symbol])
            if not is_signed:
                for value in group:
                    bits.put(int(value < 0), int(value != 0))
            for value in group:
                if self.book == 11 and abs(value) >= 16:
                    self._write_escape(bits, abs(value))

    def _write_escape(self, bits: Bits, value: int) -> None:
        num_bits = value.bit_length() - 1
        ones = num_bits - 4 if self.escape_ones is None else self.escape_ones
        bits.put((1 << ones) - 1 << 1, ones + 1)
        bits.put(value & ((1 << num_bits) - 1), num_bits)


def single(channel: Channel | None = None, *, tag: int = 0, element: int = SINGLE) -> Bits:
    """Return a packet of one channel, without its end."""
    bits = Bits().put(element, 3).put(tag, 4)
    (channel or Channel()).write(bits)
    return bits


def ended(bits: Bits) -> bytes:
    return bits.put(END, 3).packed()


def fill(bits: Bits, payload: bytes) -> Bits:
    bits.put(FILL, 3)
    if len(payload) < 15:
        bits.put(len(payload), 4)
    else:
        bits.put(15, 4).put(len(payload) - 14, 8)
    for byte in payload:
        bits.put(byte, 8)
    return bits


def in_one_array(packets: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return data, offsets and sizes, as `decode_aac` takes them."""
    sizes = np.array([len(packet) for packet in packets], np.int64)
    offsets = np.cumsum(np.concatenate([[0], sizes[:-1]])) if len(sizes) else sizes
    return np.frombuffer(bytearray(b"".join(packets)), np.uint8), offsets.astype(np.int64), sizes


def by_ffmpeg(packets: Sequence[bytes], config: bytes) -> np.ndarray:
    """Decode packets with FFmpeg; shape (channels, samples)."""
    decoder = av.CodecContext.create("aac", "r")
    decoder.extradata = config
    frames = [frame for packet in packets for frame in decoder.decode(av.Packet(packet))]
    frames += decoder.decode(None)
    return np.concatenate([frame.to_ndarray() for frame in frames], axis=1)

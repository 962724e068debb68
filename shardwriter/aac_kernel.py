"""AAC-LC packets → mono samples: compiled, without Python's lock, safe on any bytes.

The format is ISO/IEC 14496-3, subpart 4. All that is compiled stands in this one file although it
is long, and so do the standard's tables: `shardwriter.compiled` says why. For each packet:
1. `_load_packet` copies it and puts zeros behind it.
2. `_read_packet` reads its codewords: each channel's windows, bands, scales, and values.
3. `_render` multiplies by the scales, undoes stereo coding and temporal noise shaping, and mixes.
   The transform is linear: where both channels have the same windows, their mean goes through it
   once.
   `_add_to_wave` transforms, windows, and adds to what the packet before has left.

No function raises; a negative position is a packet that isn't plain AAC-LC. What keeps reads and
writes in bounds:
- a packet has at most `_MAX_PACKET_BYTES`, and zeros behind it as many as are read at most before
  the position is looked at again (1024 values, each pair of 56 bits);
- bands, windows and groups are those of the tables: their number is checked when it is read;
- filters and pulses are clipped to the bands, or refused.

All arithmetic is in float32, in a fixed order, without fused products: the same on any machine.
"""
# Status and position in one number, and long argument lists, where Python would have exceptions
# and objects: both would cost an allocation for each packet.

import itertools
import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shardwriter.compiled import entry, jit

FRAME = 1024
"""Samples of a packet."""
_SHORT = 128
_NUM_SHORT = 8

RANDOM, PREVIOUS = 0, 1
STATE_FIELDS = 5
"""Of the state between packets: the noise generator's; then, of each channel, the sequence and the
shape of its last window, -1 before the first packet."""
SEED = 0x1F2E3D4C
"""FFmpeg's, so that bands of noise are those that it makes."""

_MAX_PACKET_BYTES = 8191
_PADDING_BYTES = 4096
_BAD = -1

# Elements of a packet.
_DATA, _FILL, _END = 4, 6, 7  # and one channel is 0, a pair 1
# Window sequences.
_ONLY_LONG, _START, _EIGHT_SHORT, _STOP = 0, 1, 2, 3
# Codebooks that aren't tables.
_ZERO_BOOK, _ESCAPE_BOOK, _RESERVED_BOOK, _NOISE_BOOK = 0, 11, 12, 13
_ANTIPHASE_BOOK = 14

# What is known of a channel of the packet: an int64 array, fields from here on.
_SEQUENCE = 0
_SHAPE = 1
_NUM_BANDS = 2  # that are coded
_NUM_GROUPS = 3
_GROUPS = 4  # windows of each
_IS_COMMON = 12  # whether both channels have the same windows, bands and groups
_NUM_FILTERS = 13  # of temporal noise shaping, of all windows
_FILTERS = 14  # of each: first coefficient, end, step, order
_FILTER_FIELDS = 4
_MAX_FILTERS = 24
_FIELDS = _FILTERS + _FILTER_FIELDS * _MAX_FILTERS
_MAX_ORDER = 12
_MAX_BANDS = 128
_MAX_QUANTISED = 8191
_MAX_PULSE = 60

# Tables of ISO/IEC 14496-3, subpart 4: Huffman codebooks, band edges, limits of TNS.
_Codebook = tuple[str, str]
"""How many codewords have 1, 2, ... bits, and the symbols in the order of their codewords.

The codewords are canonical: of each length they follow one another, after the shorter ones.
"""
SPECTRAL_CODEBOOKS: Final[tuple[_Codebook, ...]] = (
    # Codebooks 1 to 11. A symbol holds 4 values (1 to 4) or 2, as digits of base 3, 9, 8, 13 or 17.
    (
        "1 0 0 0 8 0 24 0 24 8 16",
        "40 67 13 39 49 41 37 43 31 58 22 38 46 34 42 76 36 4 28 64 48 16 44 70 32 52 50 10 "
        "68 12 66 14 30 73 19 61 51 47 35 33 55 65 45 25 15 7 29 59 57 21 1 27 53 69 77 23 79 "
        "5 9 75 63 11 3 17 71 60 20 24 56 80 8 72 6 0 74 62 26 18 2 54 78",
    ),
    (
        "0 0 1 1 7 24 15 19 14",
        "40 67 13 41 37 39 31 43 49 34 22 46 42 48 38 12 58 64 4 36 70 68 32 16 50 28 14 30 "
        "10 76 52 44 66 47 65 19 33 61 75 71 25 29 79 15 1 11 55 73 59 21 7 17 5 3 27 69 63 "
        "45 53 23 9 51 57 35 77 60 20 56 0 24 26 80 6 62 18 8 72 54 2 74 78",
    ),
    (
        "1 0 0 4 2 6 3 5 15 15 8 9 3 3 5 2",
        "0 27 1 9 3 36 4 12 10 30 13 28 39 40 31 37 54 2 5 63 48 7 16 45 14 66 6 21 15 18 11 "
        "57 49 22 42 43 46 33 34 19 67 41 64 32 8 17 75 51 29 55 25 72 52 38 58 44 76 24 23 "
        "35 73 69 78 26 79 70 50 53 20 60 47 61 68 65 80 77 71 59 56 74 62",
    ),
    (
        "0 0 0 10 6 0 9 21 8 14 11 2",
        "40 13 37 39 31 27 36 0 4 30 28 12 1 10 3 9 67 43 49 41 66 64 48 58 16 14 42 22 32 46 "
        "38 34 63 57 45 55 11 21 5 15 19 29 7 33 54 2 18 6 52 76 70 44 50 68 51 75 69 25 17 "
        "73 23 61 35 79 47 59 65 53 71 77 24 72 8 60 20 56 80 26 78 74 62",
    ),
    (
        "1 0 0 4 4 0 4 12 12 12 18 10 4",
        "40 31 49 41 39 48 32 30 50 22 42 58 38 21 59 29 51 23 57 33 47 13 67 37 43 12 52 68 "
        "28 14 66 46 34 24 60 20 56 11 65 25 55 69 61 15 19 36 4 77 76 3 44 75 27 53 35 5 45 "
        "64 10 16 26 2 78 54 62 70 6 18 74 63 1 7 71 17 79 73 9 72 8 80 0",
    ),
    (
        "0 0 0 9 0 16 13 8 23 8 4",
        "40 49 39 41 31 50 32 48 30 57 59 23 21 22 33 58 47 51 38 29 42 56 24 20 60 14 68 66 "
        "34 12 52 46 28 67 13 37 43 69 11 25 61 65 55 19 15 70 64 10 16 45 27 77 5 3 53 75 35 "
        "36 6 2 62 18 4 78 74 26 76 54 44 9 17 63 73 71 79 7 1 80 8 0 72",
    ),
    (
        "1 0 2 1 0 4 5 10 14 15 8 4",
        "0 8 1 9 17 10 16 2 25 11 18 24 3 19 26 12 33 13 41 27 20 4 32 34 21 42 5 49 40 14 35 "
        "29 28 43 22 50 15 30 6 48 36 57 37 58 44 51 23 59 52 45 38 31 56 7 53 46 60 39 47 61 "
        "62 54 55 63",
    ),
    (
        "0 0 1 5 7 10 14 15 8 4",
        "9 17 8 10 1 18 0 16 2 25 11 26 19 27 33 12 34 20 24 3 35 28 42 41 21 13 43 29 36 44 "
        "4 37 32 22 50 49 14 30 51 45 40 52 5 38 57 58 23 53 59 15 46 31 54 60 48 39 6 61 62 "
        "55 47 56 7 63",
    ),
    (
        "1 0 2 1 0 4 3 8 11 20 31 38 32 14 4",
        "0 13 1 14 27 15 26 2 40 28 16 39 3 29 41 17 53 30 18 54 42 4 52 66 31 19 43 67 79 55 "
        "5 32 65 20 44 21 105 56 68 80 92 6 106 34 45 33 57 118 22 93 78 69 81 107 7 119 47 "
        "58 46 8 131 82 35 70 104 91 94 132 120 108 23 95 83 71 60 59 48 144 73 117 109 133 "
        "36 9 145 121 84 157 61 110 24 122 134 72 96 37 25 158 146 49 74 85 111 147 10 97 159 "
        "130 135 62 86 38 123 124 63 143 87 50 75 112 99 161 51 148 98 160 149 136 64 100 76 "
        "11 162 88 156 137 77 101 125 12 150 113 126 138 102 163 89 115 151 103 90 114 139 "
        "116 127 128 129 141 165 140 152 164 153 166 167 142 154 155 168",
    ),
    (
        "0 0 0 3 8 14 17 25 31 41 22 8",
        "14 15 27 28 13 1 16 41 40 29 42 26 2 30 54 17 53 0 55 43 39 3 56 31 67 18 66 68 44 "
        "69 57 80 32 81 52 79 4 19 45 70 82 58 83 93 46 33 71 106 94 65 92 5 105 20 107 95 59 "
        "34 84 96 21 47 108 60 72 109 73 97 85 119 78 86 120 48 118 35 6 110 121 61 132 22 98 "
        "111 122 99 133 74 134 36 131 49 123 87 104 62 91 145 100 146 136 23 144 124 7 112 "
        "135 50 75 113 148 8 147 37 101 88 137 63 24 158 125 159 149 76 160 150 161 51 89 117 "
        "138 130 157 9 64 126 162 38 114 127 25 151 163 102 77 90 139 115 164 10 103 143 140 "
        "152 153 11 154 128 141 156 116 165 142 129 155 167 12 166 168",
    ),
    (
        "0 0 0 2 6 7 16 59 55 95 43 6",
        "0 18 288 17 1 35 19 36 20 52 53 34 37 2 54 69 21 70 38 71 55 51 3 86 87 39 72 22 88 "
        "56 89 73 104 40 103 105 57 23 84 67 277 275 276 106 278 68 74 4 50 90 101 279 274 "
        "280 41 121 58 107 91 118 282 122 120 281 135 33 24 75 283 123 284 152 273 108 169 42 "
        "92 186 285 139 138 59 85 286 203 124 76 109 125 5 140 287 220 25 137 254 93 237 60 "
        "141 126 43 142 155 156 271 77 110 102 157 94 143 127 26 173 6 172 154 158 78 44 159 "
        "61 111 174 144 175 160 190 27 119 176 128 62 95 171 79 189 223 112 224 45 272 96 192 "
        "191 161 129 145 16 81 7 64 193 222 225 207 47 226 146 113 178 177 240 208 28 80 188 "
        "63 30 206 130 65 97 98 242 82 194 241 209 227 210 136 195 46 162 243 115 180 257 147 "
        "163 244 179 99 196 239 48 114 29 229 8 228 131 211 132 258 205 116 49 260 259 31 164 "
        "83 245 149 230 148 100 66 181 197 212 261 262 150 256 133 153 9 166 165 213 246 183 "
        "247 214 117 134 167 263 198 201 32 182 184 232 231 200 199 151 249 233 217 264 248 "
        "170 215 168 10 216 187 218 185 234 13 250 265 266 202 251 221 11 235 267 268 219 238 "
        "252 236 204 253 14 12 269 255 15 270",
    ),
)
SCALEFACTOR_CODEBOOK: Final[_Codebook] = (
    "1 0 1 3 2 4 3 5 4 6 6 6 5 8 4 7 3 7 46",
    "60 59 61 58 62 57 63 56 64 55 65 66 54 67 53 68 52 69 51 70 50 49 71 72 48 73 47 74 "
    "46 76 75 77 78 45 43 44 79 42 41 80 40 81 39 82 38 83 37 35 85 33 36 34 84 32 87 89 "
    "30 31 86 29 26 27 28 24 88 25 22 23 90 21 19 3 1 2 0 98 99 100 101 102 117 97 91 92 "
    "93 94 95 96 104 111 112 113 114 115 116 110 105 106 107 108 109 118 6 8 9 10 5 103 "
    "120 119 4 7 15 16 18 20 17 11 12 14 13",
)

# Edges of the bands that share a scalefactor, by rate in kHz; then by sampling frequency index.
_LONG_96 = (
    "0 4 8 12 16 20 24 28 32 36 40 44 48 52 56 64 72 80 88 96 108 120 132 144 156 172 188 212 240 "
    "276 320 384 448 512 576 640 704 768 832 896 960 1024"
)
_LONG_64 = (
    "0 4 8 12 16 20 24 28 32 36 40 44 48 52 56 64 72 80 88 100 112 124 140 156 172 192 216 240 "
    "268 304 344 384 424 464 504 544 584 624 664 704 744 784 824 864 904 944 984 1024"
)
_LONG_48 = (
    "0 4 8 12 16 20 24 28 32 36 40 48 56 64 72 80 88 96 108 120 132 144 160 176 196 216 240 264 "
    "292 320 352 384 416 448 480 512 544 576 608 640 672 704 736 768 800 832 864 896 928 1024"
)
_LONG_32 = (
    "0 4 8 12 16 20 24 28 32 36 40 48 56 64 72 80 88 96 108 120 132 144 160 176 196 216 240 264 "
    "292 320 352 384 416 448 480 512 544 576 608 640 672 704 736 768 800 832 864 896 928 960 992 "
    "1024"
)
_LONG_24 = (
    "0 4 8 12 16 20 24 28 32 36 40 44 52 60 68 76 84 92 100 108 116 124 136 148 160 172 188 204 "
    "220 240 260 284 308 336 364 396 432 468 508 552 600 652 704 768 832 896 960 1024"
)
_LONG_16 = (
    "0 8 16 24 32 40 48 56 64 72 80 88 100 112 124 136 148 160 172 184 196 212 228 244 260 280 "
    "300 320 344 368 396 424 456 492 532 572 616 664 716 772 832 896 960 1024"
)
_LONG_8 = (
    "0 12 24 36 48 60 72 84 96 108 120 132 144 156 172 188 204 220 236 252 268 288 308 328 348 "
    "372 396 420 448 476 508 544 580 620 664 712 764 820 880 944 1024"
)
_SHORT_96 = "0 4 8 12 16 20 24 32 40 48 64 92 128"
_SHORT_48 = "0 4 8 12 16 20 28 36 44 56 68 80 96 112 128"
_SHORT_24 = "0 4 8 12 16 20 24 28 36 44 52 64 76 92 108 128"
_SHORT_16 = "0 4 8 12 16 20 24 28 32 40 48 60 72 88 108 128"
_SHORT_8 = "0 4 8 12 16 20 24 28 36 44 52 60 72 88 108 128"

_LONG_BAND_EDGES: Final = (
    _LONG_96, _LONG_96, _LONG_64, _LONG_48, _LONG_48, _LONG_32,
    _LONG_24, _LONG_24, _LONG_16, _LONG_16, _LONG_16, _LONG_8, _LONG_8,
)  # fmt: skip
_SHORT_BAND_EDGES: Final = (
    _SHORT_96, _SHORT_96, _SHORT_96, _SHORT_48, _SHORT_48, _SHORT_48,
    _SHORT_24, _SHORT_24, _SHORT_16, _SHORT_16, _SHORT_16, _SHORT_8, _SHORT_8,
)  # fmt: skip
_TNS_MAX_LONG_BANDS: Final = (31, 31, 34, 40, 42, 51, 46, 46, 42, 42, 42, 39, 39)
_TNS_MAX_SHORT_BANDS: Final = (9, 9, 10, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14)


def _joined_edges(edges: tuple[str, ...]) -> NDArray[np.int64]:
    rows = np.zeros((len(edges), 64), np.int64)
    for row, text in zip(rows, edges, strict=True):
        numbers = [int(number) for number in text.split()]
        row[: len(numbers)] = numbers
    return rows


_LONG_EDGES = _joined_edges(_LONG_BAND_EDGES)
_SHORT_EDGES = _joined_edges(_SHORT_BAND_EDGES)
_NUM_LONG = np.array([len(text.split()) - 1 for text in _LONG_BAND_EDGES])
_NUM_SHORT_BANDS = np.array([len(text.split()) - 1 for text in _SHORT_BAND_EDGES])
_TNS_LONG = np.array(_TNS_MAX_LONG_BANDS)
_TNS_SHORT = np.array(_TNS_MAX_SHORT_BANDS)

# Codewords are found by their first bits. An entry of these tables, from the low bits on: bits of
# codeword and signs; bits of the codeword; whether signs follow; whether each value is nonzero;
# then the values, as places in `_POWERS`. Where a codeword is longer, the entry is negative
# and tells the part of the table for the bits that follow, and their number.
_PEEK = 9
_TOTAL_BITS, _CODE_SHIFT, _SIGNED_SHIFT, _PRESENT_SHIFT = 31, 5, 10, 11
_VALUE_SHIFT, _QUAD_BITS, _PAIR_BITS = 15, 3, 6
_REST_SHIFT = 5


def _codewords(codebook: tuple[str, str]) -> list[tuple[int, int, int]]:
    """Return symbol, codeword, and bits of the codeword."""
    counts, symbols = ([int(number) for number in text.split()] for text in codebook)
    lengths = [length for length, count in enumerate(counts, 1) for _ in range(count)]
    codewords, code = [], 0
    for symbol, length, following in zip(
        symbols, lengths, [*lengths[1:], lengths[-1]], strict=True
    ):
        codewords.append((symbol, code, length))
        code = (code + 1) << (following - length)
    return codewords


def _lookup(codewords: list[tuple[int, int, int]], entries: dict[int, int]) -> NDArray[np.int32]:
    """Return a table of the entries by the first `_PEEK` bits, with the parts for the others."""
    rests: dict[int, list[tuple[int, int, int]]] = {}
    table = [0] * (1 << _PEEK)
    for symbol, code, length in codewords:
        if length <= _PEEK:
            low = code << (_PEEK - length)
            table[low : low + (1 << (_PEEK - length))] = [entries[symbol]] * (1 << (_PEEK - length))
        else:
            rest = length - _PEEK
            rests.setdefault(code >> rest, []).append((symbol, code & ((1 << rest) - 1), rest))
    for prefix, words in rests.items():
        num_bits = max(rest for _, _, rest in words)
        table[prefix] = -(len(table) << _REST_SHIFT | num_bits)
        part = [0] * (1 << num_bits)
        for symbol, code, rest in words:
            low, num = code << (num_bits - rest), 1 << (num_bits - rest)
            part[low : low + num] = [entries[symbol]] * num
        table += part
    return np.array(table, np.int32)


def _entry(values: list[int], length: int, *, is_signed: bool) -> int:
    """Return a table's entry; values of a codebook without sign bits have their sign."""
    num_signs = 0 if is_signed else sum(value != 0 for value in values)
    entry = length + num_signs | length << _CODE_SHIFT | (not is_signed) << _SIGNED_SHIFT
    num_bits = _QUAD_BITS if len(values) == 4 else _PAIR_BITS
    for place, value in enumerate(values):
        if not is_signed:
            entry |= (value != 0) << (_PRESENT_SHIFT + place)
        index = abs(value) | (value < 0) << (num_bits - 1)
        entry |= index << (_VALUE_SHIFT + place * num_bits)
    return entry


def _spectral_lookup(book: int) -> NDArray[np.int32]:
    num_values = 4 if book <= 4 else 2
    is_signed = book in (1, 2, 5, 6)
    base = {1: 3, 2: 3, 3: 3, 4: 3, 5: 9, 6: 9, 7: 8, 8: 8, 9: 13, 10: 13, 11: 17}[book]
    codewords = _codewords(SPECTRAL_CODEBOOKS[book - 1])
    entries = {}
    for symbol, _, length in codewords:
        digits = [symbol // base**place % base for place in reversed(range(num_values))]
        values = [digit - base // 2 for digit in digits] if is_signed else digits
        entries[symbol] = _entry(values, length, is_signed=is_signed)
    return _lookup(codewords, entries)


_SPECTRAL_PARTS = [_spectral_lookup(book) for book in range(1, 12)]
_SPECTRAL = np.concatenate(_SPECTRAL_PARTS)
_SPECTRAL_START = np.cumsum([0, 0, *(len(part) for part in _SPECTRAL_PARTS[:-1])])
_SCALEFACTOR_SHIFT = 8
_SCALEFACTOR_WORDS = _codewords(SCALEFACTOR_CODEBOOK)
_SCALEFACTORS = _lookup(
    _SCALEFACTOR_WORDS,
    {symbol: length | symbol << _SCALEFACTOR_SHIFT for symbol, _, length in _SCALEFACTOR_WORDS},
)

# |q|^(4/3), then its negative: by 3 bits for the values of quads, by 6 for those of pairs.
_ALL_POWERS = [float(q) ** (4 / 3) for q in range(_MAX_QUANTISED + _MAX_PULSE + 1)]
_POWERS = np.array(_ALL_POWERS, np.float32)
_QUAD_POWERS = np.array(_ALL_POWERS[:4] + [-power for power in _ALL_POWERS[:4]], np.float32)
_PAIR_POWERS = np.array(_ALL_POWERS[:32] + [-power for power in _ALL_POWERS[:32]], np.float32)

# The noise generator's next 4 numbers, each a multiple of the last one and a constant.
_LEAP = np.array([pow(1664525, n, 1 << 32) for n in range(1, 5)], np.uint32)
_STRIDE = np.array(
    [1013904223 * sum(pow(1664525, k, 1 << 32) for k in range(n)) % (1 << 32) for n in range(1, 5)],
    np.uint32,
)

_SCALE_ZERO = 200
_SCALES = np.array([2.0 ** ((i - _SCALE_ZERO) / 4) for i in range(_SCALE_ZERO + 256)], np.float32)
"""2^(i / 4), from i = -200 on."""


def _reflection(value: int, num_bits: int) -> float:
    half = (1 << (num_bits - 1)) + (-0.5 if value >= 0 else 0.5)
    return math.sin(value * math.pi / (2 * half))


_REFLECTIONS = np.array(
    [[_reflection(value, num_bits) for value in range(-8, 8)] for num_bits in (3, 4)], np.float32
)


def _half_windows(length: int, alpha: float) -> list[list[float]]:
    """Return the rising halves of the sine window and of Kaiser and Bessel's."""

    def bessel(x: float) -> float:
        terms = [1.0]
        while terms[-1] > terms[0] * 1e-18:
            terms.append(terms[-1] * (x / 2 / len(terms)) ** 2)
        return math.fsum(terms)

    sine = [math.sin(math.pi / (2 * length) * (n + 0.5)) for n in range(length)]
    kaiser = [
        bessel(math.pi * alpha * math.sqrt(1 - (2 * n / length - 1) ** 2))
        for n in range(length + 1)
    ]
    sums = list(itertools.accumulate(kaiser))
    return [sine, [math.sqrt(part / sums[-1]) for part in sums[:-1]]]


_SHORT_RISE = np.array(_half_windows(_SHORT, 6.0), np.float32)
_LONG_RISE = np.array(_half_windows(FRAME, 4.0), np.float32)


def _full_rises() -> NDArray[np.float32]:
    """Return rising halves: of long windows by shape, then those with a short rise by shape."""
    flat = (FRAME - _SHORT) // 2
    short = [[0.0] * flat + list(rise) + [1.0] * flat for rise in _SHORT_RISE]
    return np.concatenate([_LONG_RISE, np.array(short, np.float32)])


_RISES = _full_rises()
_FALLS = np.ascontiguousarray(_RISES[:, ::-1])

# The transform of M values is a DCT-IV, that by a complex FFT of M / 2 points.
_SCALE = 1 / 32768


def _twiddles(length: int, scale: float) -> NDArray[np.float32]:
    angles = [-math.pi * (8 * n + 1) / (8 * length) for n in range(length // 2)]
    parts = [[math.cos(a) * scale for a in angles], [math.sin(a) * scale for a in angles]]
    return np.array(parts, np.float32)


_LONG_BEFORE = _twiddles(FRAME, _SCALE / FRAME)
_LONG_AFTER = _twiddles(FRAME, 1.0)
_SHORT_BEFORE = _twiddles(_SHORT, _SCALE / _SHORT)
_SHORT_AFTER = _twiddles(_SHORT, 1.0)


def _turns(size: int, places: list[int]) -> NDArray[np.float32]:
    """Return exp(-2 pi i k p / size), rows of k = 0 to 7: the real parts, then the imaginary."""
    rows = [[-2 * math.pi * k * place / size for place in places] for k in range(8)]
    parts = [[[f(angle) for angle in row] for row in rows] for f in (math.cos, math.sin)]
    return np.array(parts, np.float32).reshape(-1)


# Of the 64 columns of a pass over rows of 8.
_TURNS_512 = _turns(512, list(range(64)))
_TURNS_64_LAST = _turns(64, [column % 8 for column in range(64)])
_TURNS_64_FIRST = _turns(64, [column // 8 for column in range(64)])
_TURNS_NONE = _turns(1, [0] * 64)
_ROOT = np.float32(math.sqrt(0.5))
_HALF = np.float32(0.5)
_ONE = np.float32(1.0)
_NOTHING = np.float32(0.0)


def _inner(function):
    """Compile what makes no array: without numba's runtime, arguments aren't counted."""
    return jit(function, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)


@_inner
def _window(bits, position):
    """Return the next 57 bits or more, from the highest bit of 64 on."""
    at = np.uint64(position >> 3)
    value = np.uint64(0)
    for place in range(8):
        value = value << np.uint64(8) | np.uint64(bits[at + np.uint64(place)])
    return value << np.uint64(position & 7)


@_inner
def _bits(bits, position, num_bits):
    """Return 1 to 32 bits."""
    return np.int64(_window(bits, position) >> np.uint64(32)) >> (32 - num_bits)


@_inner
def _read_windows(bits, position, rate, info):
    """Read `ics_info`: window sequence, shape, bands, groups."""
    reserved = _bits(bits, position, 1)
    sequence = _bits(bits, position + 1, 2)
    info[_SEQUENCE] = sequence
    info[_SHAPE] = _bits(bits, position + 3, 1)
    position += 4
    info[_NUM_GROUPS] = 1
    info[_GROUPS] = 1
    if sequence == _EIGHT_SHORT:
        num_bands = _bits(bits, position, 4)
        joins = _bits(bits, position + 4, 7)
        position += 11
        is_bad = num_bands > _NUM_SHORT_BANDS[rate]
        for window in range(1, _NUM_SHORT):
            if joins >> (7 - window) & 1 == 0:
                info[_NUM_GROUPS] += 1
                info[_GROUPS + info[_NUM_GROUPS] - 1] = 0
            info[_GROUPS + info[_NUM_GROUPS] - 1] += 1
    else:
        num_bands = _bits(bits, position, 6)
        is_bad = (num_bands > _NUM_LONG[rate]) | (_bits(bits, position + 6, 1) == 1)  # prediction
        position += 7
    info[_NUM_BANDS] = num_bands
    return _BAD if is_bad or reserved else position


@_inner
def _read_books(bits, position, end, info, books):
    """Read `section_data`: the codebook of each band of each group."""
    width = 3 if info[_SEQUENCE] == _EIGHT_SHORT else 5
    longest = (1 << width) - 1
    num_bands = info[_NUM_BANDS]
    for group in range(info[_NUM_GROUPS]):
        band = 0
        while band < num_bands:
            book = _bits(bits, position, 4)
            position += 4
            length = 0
            part = longest
            while part == longest and position <= end:
                part = _bits(bits, position, width)
                position += width
                length += part
            if position > end or book == _RESERVED_BOOK or band + length > num_bands:
                return _BAD
            for i in range(group * num_bands + band, group * num_bands + band + length):
                books[i] = book
            band += length
    return position


@_inner
def _look_up_scalefactor(window):
    entry = np.int64(_SCALEFACTORS[window >> np.uint64(64 - _PEEK)])
    if entry < 0:
        rest = (window << np.uint64(_PEEK)) >> np.uint64(64 - (-entry & 31))
        entry = np.int64(_SCALEFACTORS[np.uint64(-entry >> _REST_SHIFT) + rest])
    return entry


@_inner
def _read_scalefactors(bits, position, end, gain, info, books, scales):
    """Read `scale_factor_data`: what the values of each band are multiplied by."""
    noise = gain - 90
    intensity = 0
    is_first_noise = True
    for i in range(info[_NUM_GROUPS] * info[_NUM_BANDS]):
        book = books[i]
        if book == _ZERO_BOOK:
            scales[i] = _NOTHING
            continue
        if book == _NOISE_BOOK and is_first_noise:
            is_first_noise = False
            noise += _bits(bits, position, 9) - 256
            position += 9
            value = noise
        else:
            entry = _look_up_scalefactor(_window(bits, position))
            position += entry & 31
            difference = (entry >> _SCALEFACTOR_SHIFT) - 60
            if book == _NOISE_BOOK:
                noise += difference
                value = noise
            elif book >= _ANTIPHASE_BOOK:
                intensity += difference
                value = -intensity
            else:
                gain += difference
                if gain < 0 or gain > 255:
                    return _BAD
                value = gain - 100
        if value < -155 or value > 155 or position > end:
            return _BAD
        scales[i] = _SCALES[value + _SCALE_ZERO]
    return position


@_inner
def _read_filters(bits, position, rate, info, coefficients):
    """Read `tns_data`, and make of each filter what `_filter` needs."""
    is_short = info[_SEQUENCE] == _EIGHT_SHORT
    edges = _SHORT_EDGES[rate] if is_short else _LONG_EDGES[rate]
    most_bands = _TNS_SHORT[rate] if is_short else _TNS_LONG[rate]
    most_bands = min(most_bands, info[_NUM_BANDS])
    num_bands = _NUM_SHORT_BANDS[rate] if is_short else _NUM_LONG[rate]
    for window in range(_NUM_SHORT if is_short else 1):
        num_filters = _bits(bits, position, 1 if is_short else 2)
        position += 1 if is_short else 2
        if num_filters == 0:
            continue
        resolution = _bits(bits, position, 1)
        position += 1
        top = num_bands
        for _ in range(num_filters):
            length = _bits(bits, position, 4 if is_short else 6)
            position += 4 if is_short else 6
            order = _bits(bits, position, 3 if is_short else 5)
            position += 3 if is_short else 5
            bottom = max(top - length, 0)
            if order > (7 if is_short else _MAX_ORDER):
                return _BAD
            if order == 0:
                top = bottom
                continue
            is_backward = _bits(bits, position, 1)
            is_compressed = _bits(bits, position + 1, 1)
            position += 2
            filter_ = info[_NUM_FILTERS]
            lpc = coefficients[filter_]
            width = 3 + resolution - is_compressed
            for i in range(order):
                value = _bits(bits, position, width)
                position += width
                value -= (value >> (width - 1)) << width
                _extend_filter(lpc, i, _REFLECTIONS[resolution, value + 8])
            start, stop = edges[min(bottom, most_bands)], edges[min(top, most_bands)]
            top = bottom
            if start >= stop:
                continue
            at = _FILTERS + _FILTER_FIELDS * filter_
            base = window * _SHORT
            info[at] = base + (stop - 1 if is_backward else start)
            info[at + 1] = stop - start
            info[at + 2] = -1 if is_backward else 1
            info[at + 3] = order
            info[_NUM_FILTERS] += 1
    return position


@_inner
def _extend_filter(lpc, order, reflection):
    """Add a reflection coefficient to a filter of some order (Levinson's recursion)."""
    for i in range((order + 1) // 2):
        low, high = lpc[i], lpc[order - 1 - i]
        lpc[i] = low + reflection * high
        lpc[order - 1 - i] = high + reflection * low
    lpc[order] = reflection


@_inner
def _look_up(table, window):
    """Return the entry of a codeword of a spectral codebook, whose table begins there."""
    entry = np.int64(_SPECTRAL[table + (window >> np.uint64(64 - _PEEK))])
    if entry < 0:
        rest = (window << np.uint64(_PEEK)) >> np.uint64(64 - (-entry & 31))
        entry = np.int64(_SPECTRAL[table + np.uint64(-entry >> _REST_SHIFT) + rest])
    return entry


@_inner
def _write_values(window, entry, num_values, num_bits, powers, spectrum, i):
    """Write the values of a codeword, whose signs stand behind it."""
    signs = window << np.uint64(entry >> _CODE_SHIFT & 31)
    has_signs = np.uint64(entry >> _SIGNED_SHIFT & 1) << np.uint64(num_bits - 1)
    for place in range(num_values):
        value = np.uint64(entry >> (_VALUE_SHIFT + place * num_bits) & ((1 << num_bits) - 1))
        value |= signs >> np.uint64(64 - num_bits) & has_signs
        signs <<= np.uint64(entry >> (_PRESENT_SHIFT + place) & 1)
        spectrum[i + place] = powers[value]


@_inner
def _read_values(bits, position, book, num_values, num_bits, powers, spectrum, start, stop):
    """Read the values of codebooks 1 to 10, two codewords at a time: 40 bits at most."""
    table = np.uint64(_SPECTRAL_START[book])
    for i in range(start, stop - num_values, 2 * num_values):
        window = _window(bits, position)
        entry = _look_up(table, window)
        _write_values(window, entry, num_values, num_bits, powers, spectrum, i)
        window <<= np.uint64(entry & _TOTAL_BITS)
        position += entry & _TOTAL_BITS
        entry = _look_up(table, window)
        _write_values(window, entry, num_values, num_bits, powers, spectrum, i + num_values)
        position += entry & _TOTAL_BITS
    if (stop - start) & num_values:
        window = _window(bits, position)
        entry = _look_up(table, window)
        _write_values(window, entry, num_values, num_bits, powers, spectrum, stop - num_values)
        position += entry & _TOTAL_BITS
    return position


@_inner
def _read_escape_pairs(bits, position, spectrum, start, stop):
    """Read values of codebook 11, where 16 announces a larger one."""
    table = np.uint64(_SPECTRAL_START[_ESCAPE_BOOK])
    for i in range(start, stop, 2):
        window = _window(bits, position)
        entry = _look_up(table, window)
        position += entry & _TOTAL_BITS
        _write_values(window, entry, 2, _PAIR_BITS, _PAIR_POWERS, spectrum, i)
        for place in range(2):
            if (entry >> (_VALUE_SHIFT + place * _PAIR_BITS) & 63) == 16:
                window = _window(bits, position)
                num_ones = 0
                while num_ones <= 8 and np.int64(window << np.uint64(num_ones)) < 0:
                    num_ones += 1
                if num_ones > 8:
                    return _BAD
                num_bits = num_ones + 4
                value = 1 << num_bits | _bits(bits, position + num_ones + 1, num_bits)
                position += num_ones + 1 + num_bits
                power = _POWERS[value]
                spectrum[i + place] = -power if spectrum[i + place] < _NOTHING else power
    return position


@_inner
def _make_noise(state, spectrum, start, stop):
    """Fill a band with noise of energy 1."""
    random = np.uint32(state[RANDOM])
    e0, e1, e2, e3 = _NOTHING, _NOTHING, _NOTHING, _NOTHING
    for i in range(start, stop, 4):
        v0 = np.float32(np.int32(np.uint32(random * _LEAP[0] + _STRIDE[0])))
        v1 = np.float32(np.int32(np.uint32(random * _LEAP[1] + _STRIDE[1])))
        v2 = np.float32(np.int32(np.uint32(random * _LEAP[2] + _STRIDE[2])))
        random = np.uint32(random * _LEAP[3] + _STRIDE[3])
        v3 = np.float32(np.int32(random))
        spectrum[i], spectrum[i + 1], spectrum[i + 2], spectrum[i + 3] = v0, v1, v2, v3
        e0, e1, e2, e3 = e0 + v0 * v0, e1 + v1 * v1, e2 + v2 * v2, e3 + v3 * v3
    state[RANDOM] = random
    factor = _ONE / np.sqrt((e0 + e1) + (e2 + e3))
    for i in range(start, stop):
        spectrum[i] *= factor


@_inner
def _read_run(bits, position, book, state, spectrum, start, stop):
    """Read values of one codebook, or make a band of noise."""
    if book == _NOISE_BOOK:
        _make_noise(state, spectrum, start, stop)
        return position
    if book == _ESCAPE_BOOK:
        return _read_escape_pairs(bits, position, spectrum, start, stop)
    if book > 4:
        return _read_values(
            bits, position, book, 2, _PAIR_BITS, _PAIR_POWERS, spectrum, start, stop
        )
    return _read_values(bits, position, book, 4, _QUAD_BITS, _QUAD_POWERS, spectrum, start, stop)


@_inner
def _read_spectrum(bits, position, end, rate, info, books, state, spectrum):
    """Read `spectral_data`, not scaled."""
    is_short = info[_SEQUENCE] == _EIGHT_SHORT
    edges = _SHORT_EDGES[rate] if is_short else _LONG_EDGES[rate]
    num_bands = info[_NUM_BANDS]
    spectrum[:] = _NOTHING
    first_window = 0
    for group in range(info[_NUM_GROUPS]):
        num_windows = info[_GROUPS + group]
        of_group = group * num_bands
        band = 0
        while band < num_bands:
            book = books[of_group + band]
            stop_band = band + 1
            if num_windows == 1 and book != _NOISE_BOOK:
                while stop_band < num_bands and books[of_group + stop_band] == book:
                    stop_band += 1
            if _ZERO_BOOK < book < _ANTIPHASE_BOOK:
                for window in range(first_window, first_window + num_windows):
                    position = _read_run(
                        bits, position, book, state, spectrum,
                        window * _SHORT + edges[band], window * _SHORT + edges[stop_band],
                    )  # fmt: skip
                    if position > end or position < 0:
                        return _BAD
            band = stop_band
        first_window += num_windows
    return position


@_inner
def _add_pulses(bits, position, rate, info, books, spectrum):
    """Add `pulse_data`, read from its position, to a spectrum."""
    edges = _LONG_EDGES[rate]
    num_pulses = _bits(bits, position, 2) + 1
    band = _bits(bits, position + 2, 6)
    position += 8
    num_bands = info[_NUM_BANDS]
    if band >= num_bands:
        return _BAD
    place = edges[band]
    for _ in range(num_pulses):
        place += _bits(bits, position, 5)
        height = _bits(bits, position + 5, 4)
        position += 9
        while band < num_bands and edges[band + 1] <= place:
            band += 1
        if band >= num_bands or books[band] == _ZERO_BOOK or books[band] > _ESCAPE_BOOK:
            return _BAD
        power = np.abs(spectrum[place])
        power = _POWERS[np.int64(np.rint(np.sqrt(power * np.sqrt(power)))) + height]
        spectrum[place] = power if spectrum[place] > _NOTHING else -power
    return position


@_inner
def _read_bands(bits, position, end, rate, has_windows, info, books, scales):
    """Read how a channel is cut into bands, and each band's codebook and scale."""
    gain = _bits(bits, position, 8)
    position += 8
    if not has_windows:
        position = _read_windows(bits, position, rate, info)
        if position < 0:
            return _BAD
    position = _read_books(bits, position, end, info, books)
    if position < 0:
        return _BAD
    return _read_scalefactors(bits, position, end, gain, info, books, scales)


@_inner
def _read_channel(
    bits, position, end, rate, has_windows, info, books, scales, coefficients, state, spectrum
):
    """Read `individual_channel_stream`."""
    position = _read_bands(bits, position, end, rate, has_windows, info, books, scales)
    if position < 0:
        return _BAD
    has_pulses = _bits(bits, position, 1)
    position += 1
    pulses = position
    if has_pulses:
        if info[_SEQUENCE] == _EIGHT_SHORT:
            return _BAD
        position += 8 + 9 * (_bits(bits, position, 2) + 1)
    has_filters = _bits(bits, position, 1)
    position += 1
    info[_NUM_FILTERS] = 0
    if has_filters:
        position = _read_filters(bits, position, rate, info, coefficients)
        if position < 0:
            return _BAD
    has_gain_control = _bits(bits, position, 1)
    position += 1
    if has_gain_control or position > end:
        return _BAD
    position = _read_spectrum(bits, position, end, rate, info, books, state, spectrum)
    if position >= 0 and has_pulses and _add_pulses(bits, pulses, rate, info, books, spectrum) < 0:
        return _BAD
    return position


@_inner
def _read_common(bits, position, rate, info, sides):
    """Read what the channels of a pair share: windows, and which bands are mid and side."""
    info[0, _IS_COMMON] = _bits(bits, position, 1)
    position += 1
    for i in range(_MAX_BANDS):
        sides[i] = 0
    if not info[0, _IS_COMMON]:
        return position
    position = _read_windows(bits, position, rate, info[0])
    if position < 0:
        return _BAD
    for field in range(_NUM_FILTERS):
        info[1, field] = info[0, field]
    mask = _bits(bits, position, 2)
    position += 2
    if mask == 3:
        return _BAD
    for i in range(info[0, _NUM_GROUPS] * info[0, _NUM_BANDS]):
        sides[i] = mask >> 1
        if mask == 1:
            sides[i] = _bits(bits, position, 1)
            position += 1
    return position


@_inner
def _read_channels(
    bits, position, end, rate, num_channels, info, books, scales, coefficients, state, spectra,
    sides,
):  # fmt: skip
    """Read `single_channel_element` or `channel_pair_element` behind its tag."""
    info[0, _IS_COMMON] = 0
    if num_channels == 2:
        position = _read_common(bits, position, rate, info, sides)
    for channel in range(num_channels):
        if position < 0 or position > end:
            return _BAD
        is_common = info[0, _IS_COMMON]
        position = _read_channel(
            bits, position, end, rate, is_common, info[channel], books[channel], scales[channel],
            coefficients[channel], state, spectra[channel],
        )  # fmt: skip
        if channel == 0 or not is_common:  # which is what intensity stereo is made of
            for i in range(info[channel, _NUM_GROUPS] * info[channel, _NUM_BANDS]):
                if books[channel, i] >= _ANTIPHASE_BOOK:
                    return _BAD
    return position


@_inner
def _skip_data(bits, position):
    """Skip `data_stream_element` behind its tag."""
    is_aligned = _bits(bits, position, 1)
    num_bytes = _bits(bits, position + 1, 8)
    position += 9
    if num_bytes == 255:
        num_bytes += _bits(bits, position, 8)
        position += 8
    if is_aligned:
        position = (position + 7) & ~7
    return position + 8 * num_bytes


@_inner
def _skip_fill(bits, position):
    """Skip `fill_element`, if it is no more than that."""
    num_bytes = _bits(bits, position, 4)
    position += 4
    if num_bytes == 15:
        num_bytes += _bits(bits, position, 8) - 1
        position += 8
    # Other extensions are spectral band replication, or as rare. What faac writes of itself has
    # FFmpeg leave out samples.
    if num_bytes and (
        _bits(bits, position, 4) > 2 or _bits(bits, position + 17, 32) == 0x6C696266  # "libf"
    ):
        return _BAD
    return position + 8 * num_bytes


@_inner
def _is_over(bits, position, end):
    """Return whether there is nothing but zeros up to the packet's end."""
    if position > end:
        return False
    rest = 0
    for at in range((position + 7) >> 3, end >> 3):
        rest |= bits[at]
    return rest == 0


@_inner
def _read_packet(
    bits, end, rate, num_channels, info, books, scales, coefficients, state, spectra, sides
):
    """Read `raw_data_block`; return a negative number if it isn't plain."""
    position = 0
    is_read = False
    while position + 3 <= end:
        element = _bits(bits, position, 3)
        position += 3
        if element == _END:
            return 0 if is_read and _is_over(bits, position, end) else _BAD
        if element == _FILL:
            position = _skip_fill(bits, position)
        elif element == _DATA:
            position = _skip_data(bits, position + 4)
        elif element == num_channels - 1 and not is_read and _bits(bits, position, 4) == 0:
            is_read = True
            position = _read_channels(
                bits, position + 4, end, rate, num_channels, info, books, scales, coefficients,
                state, spectra, sides,
            )  # fmt: skip
        else:
            return _BAD
        if position < 0 or position > end:
            return _BAD
    return _BAD


@_inner
def _weigh(rate, info, books, scales, weight, weights):
    """Write what each four values are multiplied by: their band's scale and a weight."""
    is_short = info[_SEQUENCE] == _EIGHT_SHORT
    edges = _SHORT_EDGES[rate] if is_short else _LONG_EDGES[rate]
    weights[:] = _NOTHING
    i = 0
    first_window = 0
    for group in range(info[_NUM_GROUPS]):
        last_window = first_window + info[_GROUPS + group] - 1
        for band in range(info[_NUM_BANDS]):
            factor = scales[i] * weight if books[i] <= _NOISE_BOOK else _NOTHING
            for window in range(first_window, last_window + 1):
                base = window * _SHORT
                for k in range((base + edges[band]) >> 2, (base + edges[band + 1]) >> 2):
                    weights[k] = factor
            i += 1
        first_window = last_window + 1


@_inner
def _weigh_pair(rate, info, books, scales, sides, left, right, weights):
    """As `_weigh`, for both channels of the same windows: undo stereo coding, and weigh the two.

    Bands are left and right; or mid and side, their sum and difference; or, by intensity, right is
    a multiple of left.
    """
    is_short = info[0, _SEQUENCE] == _EIGHT_SHORT
    edges = _SHORT_EDGES[rate] if is_short else _LONG_EDGES[rate]
    weights[:] = _NOTHING
    i = 0
    first_window = 0
    for group in range(info[0, _NUM_GROUPS]):
        last_window = first_window + info[0, _GROUPS + group] - 1
        for band in range(info[0, _NUM_BANDS]):
            first, second = left, right
            if books[1, i] >= _ANTIPHASE_BOOK:
                of_left = scales[1, i]
                if (books[1, i] == _ANTIPHASE_BOOK) != (sides[i] == 1):
                    of_left = -of_left
                first, second = left + right * of_left, _NOTHING
            elif sides[i] and books[0, i] < _NOISE_BOOK and books[1, i] < _NOISE_BOOK:
                first, second = left + right, left - right
            first, second = first * scales[0, i], second * scales[1, i]
            for window in range(first_window, last_window + 1):
                base = window * _SHORT
                for k in range((base + edges[band]) >> 2, (base + edges[band + 1]) >> 2):
                    weights[0, k] = first
                    weights[1, k] = second
            i += 1
        first_window = last_window + 1


@_inner
def _mix(spectra, weights, mixed):
    """Write the weighed sum of two spectra."""
    for k in range(FRAME // 4):
        first, second = weights[0, k], weights[1, k]
        at = 4 * k
        a0, a1, a2, a3 = spectra[0, at], spectra[0, at + 1], spectra[0, at + 2], spectra[0, at + 3]
        b0, b1, b2, b3 = spectra[1, at], spectra[1, at + 1], spectra[1, at + 2], spectra[1, at + 3]
        mixed[at] = first * a0 + second * b0
        mixed[at + 1] = first * a1 + second * b1
        mixed[at + 2] = first * a2 + second * b2
        mixed[at + 3] = first * a3 + second * b3


@_inner
def _filter(info, coefficients, spectrum):
    """Undo temporal noise shaping: a recursive filter along the frequencies."""
    for filter_ in range(info[_NUM_FILTERS]):
        at = _FILTERS + _FILTER_FIELDS * filter_
        place, size, step, order = info[at], info[at + 1], info[at + 2], info[at + 3]
        lpc = coefficients[filter_]
        for n in range(size):
            value = spectrum[place]
            for i in range(min(n, order)):
                value -= lpc[i] * spectrum[place - (i + 1) * step]
            spectrum[place] = value
            place += step


@_inner
def _pass(source, target, turns):
    """Take discrete Fourier transforms of 8 points down the 64 columns, and turn the results.

    Rows of 64 columns: those of the real parts, from 512 on those of the imaginary ones.
    """
    for j in range(64):
        r0, i0 = source[j], source[512 + j]
        r1, i1 = source[64 + j], source[576 + j]
        r2, i2 = source[128 + j], source[640 + j]
        r3, i3 = source[192 + j], source[704 + j]
        r4, i4 = source[256 + j], source[768 + j]
        r5, i5 = source[320 + j], source[832 + j]
        r6, i6 = source[384 + j], source[896 + j]
        r7, i7 = source[448 + j], source[960 + j]
        # Sums and differences of those that are four apart.
        ar, ai, br, bi = r0 + r4, i0 + i4, r0 - r4, i0 - i4
        cr, ci, dr, di = r2 + r6, i2 + i6, r2 - r6, i2 - i6
        er, ei, fr, fi = r1 + r5, i1 + i5, r1 - r5, i1 - i5
        gr, gi, hr, hi = r3 + r7, i3 + i7, r3 - r7, i3 - i7
        # Of 4 points: the even ones.
        e0r, e0i, e2r, e2i = ar + cr, ai + ci, ar - cr, ai - ci
        e1r, e1i, e3r, e3i = br + di, bi - dr, br - di, bi + dr
        # The odd ones, turned by 0, 1, 2 and 3 eighths.
        o0r, o0i, o2r, o2i = er + gr, ei + gi, ei - gi, gr - er
        pr, pi, qr, qi = fr + hi, fi - hr, fr - hi, fi + hr
        o1r, o1i = _ROOT * (pr + pi), _ROOT * (pi - pr)
        o3r, o3i = _ROOT * (qi - qr), -_ROOT * (qr + qi)
        target[j], target[512 + j] = e0r + o0r, e0i + o0i
        x, y, c, s = e1r + o1r, e1i + o1i, turns[64 + j], turns[576 + j]
        target[64 + j], target[576 + j] = x * c - y * s, x * s + y * c
        x, y, c, s = e2r + o2r, e2i + o2i, turns[128 + j], turns[640 + j]
        target[128 + j], target[640 + j] = x * c - y * s, x * s + y * c
        x, y, c, s = e3r + o3r, e3i + o3i, turns[192 + j], turns[704 + j]
        target[192 + j], target[704 + j] = x * c - y * s, x * s + y * c
        x, y, c, s = e0r - o0r, e0i - o0i, turns[256 + j], turns[768 + j]
        target[256 + j], target[768 + j] = x * c - y * s, x * s + y * c
        x, y, c, s = e1r - o1r, e1i - o1i, turns[320 + j], turns[832 + j]
        target[320 + j], target[832 + j] = x * c - y * s, x * s + y * c
        x, y, c, s = e2r - o2r, e2i - o2i, turns[384 + j], turns[896 + j]
        target[384 + j], target[896 + j] = x * c - y * s, x * s + y * c
        x, y, c, s = e3r - o3r, e3i - o3i, turns[448 + j], turns[960 + j]
        target[448 + j], target[960 + j] = x * c - y * s, x * s + y * c


@_inner
def _swap_blocks(source, target):
    """Exchange the first two of three axes of 8, of real and imaginary parts."""
    for part in range(0, 1024, 512):
        for a in range(8):
            for b in range(8):
                _copy_8(source, part + a * 64 + b * 8, target, part + b * 64 + a * 8, 1)


@_inner
def _transpose(source, target):
    """Make the last of axes of 64 and 8 the first, of both parts."""
    for part in range(0, 1024, 512):
        for b in range(64):
            _copy_8(source, part + b * 8, target, part + b, 64)


@_inner
def _copy_8(source, start, target, place, step):
    s0, s1, s2, s3 = source[start], source[start + 1], source[start + 2], source[start + 3]
    s4, s5, s6, s7 = source[start + 4], source[start + 5], source[start + 6], source[start + 7]
    target[place], target[place + step] = s0, s1
    target[place + 2 * step], target[place + 3 * step] = s2, s3
    target[place + 4 * step], target[place + 5 * step] = s4, s5
    target[place + 6 * step], target[place + 7 * step] = s6, s7


@_inner
def _transform_long(spectrum, work, other):
    """Write the DCT-IV of 1024 values into `other`, scaled."""
    for n in range(512):
        other[n] = spectrum[2 * n]
        other[512 + n] = spectrum[2 * n + 1]
    for n in range(512):
        x, y = other[n], other[1023 - n]
        c, s = _LONG_BEFORE[0, n], _LONG_BEFORE[1, n]
        work[n] = x * c - y * s
        work[512 + n] = x * s + y * c
    # n = 64 a + 8 b + c, k = i + 8 j + 64 l; the axes are here those of the points.
    _pass(work, other, _TURNS_512)  # a b c -> i b c
    _swap_blocks(other, work)  # b i c
    _pass(work, other, _TURNS_64_LAST)  # j i c
    _transpose(other, work)  # c j i
    _pass(work, other, _TURNS_NONE)  # l j i
    for k in range(512):
        x, y = other[k], other[512 + k]
        c, s = _LONG_AFTER[0, k], _LONG_AFTER[1, k]
        work[k] = x * c - y * s
        work[512 + k] = -(x * s + y * c)
    for k in range(512):
        other[2 * k] = work[k]
        other[2 * k + 1] = work[1023 - k]


@_inner
def _transform_short(spectrum, work, other):
    """Write the DCT-IV of 8 times 128 values into `other`, scaled."""
    for window in range(8):
        for n in range(64):
            x, y = spectrum[window * 128 + 2 * n], spectrum[window * 128 + 127 - 2 * n]
            c, s = _SHORT_BEFORE[0, n], _SHORT_BEFORE[1, n]
            work[n * 8 + window] = x * c - y * s
            work[512 + n * 8 + window] = x * s + y * c
    # n = 8 a + b, k = i + 8 j, w: the window.
    _pass(work, other, _TURNS_64_FIRST)  # a b w -> i b w
    _swap_blocks(other, work)  # b i w
    _pass(work, other, _TURNS_NONE)  # j i w
    for k in range(FRAME):
        work[k] = other[k]
    for window in range(8):
        for k in range(64):
            x, y = work[k * 8 + window], work[512 + k * 8 + window]
            c, s = _SHORT_AFTER[0, k], _SHORT_AFTER[1, k]
            other[window * 128 + 2 * k] = x * c - y * s
            other[window * 128 + 127 - 2 * k] = -(x * s + y * c)


@_inner
def _add_long(sequence, shape, last_shape, work, wave, tail):
    """Window a long transform; add its first half to the wave, its second to the tail."""
    rise = _RISES[2 * (sequence == _STOP) + last_shape]
    fall = _FALLS[2 * (sequence == _START) + shape]
    for n in range(512):
        wave[n] += rise[n] * work[512 + n]
        wave[512 + n] -= rise[512 + n] * work[1023 - n]
        tail[n] -= fall[n] * work[511 - n]
        tail[512 + n] -= fall[512 + n] * work[n]


@_inner
def _add_short(shape, last_shape, work, wave, tail):
    """As `_add_long`, for eight short transforms."""
    for window in range(8):
        rise = _SHORT_RISE[last_shape if window == 0 else shape]
        fall = _SHORT_RISE[shape]
        for n in range(256):
            at = 448 + 128 * window + n
            if n < 64:
                value = rise[n] * work[128 * window + 64 + n]
            elif n < 128:
                value = -rise[n] * work[128 * window + 191 - n]
            elif n < 192:
                value = -fall[255 - n] * work[128 * window + 191 - n]
            else:
                value = -fall[255 - n] * work[128 * window + n - 192]
            if at < 1024:
                wave[at] += value
            else:
                tail[at - 1024] += value


@_inner
def _add_to_wave(info, last_shape, spectrum, work, other, wave, tail):
    if info[_SEQUENCE] == _EIGHT_SHORT:
        _transform_short(spectrum, work, other)
        _add_short(info[_SHAPE], last_shape, other, wave, tail)
    else:
        _transform_long(spectrum, work, other)
        _add_long(info[_SEQUENCE], info[_SHAPE], last_shape, other, wave, tail)


@_inner
def _follows(last, sequence):
    """Return whether a window sequence may stand behind another one; before the first: -1."""
    if (last == _START) | (last == _EIGHT_SHORT):
        return (sequence == _EIGHT_SHORT) | (sequence == _STOP)
    return (last < 0) | (sequence == _ONLY_LONG) | (sequence == _START)


@_inner
def _all_follow(num_channels, info, state):
    """Return whether each channel's window may stand behind its last one."""
    follow = True
    for c in range(num_channels):
        follow &= _follows(state[PREVIOUS + 2 * c], info[c, _SEQUENCE])
    return follow


@_inner
def _note_windows(num_channels, info, state):
    for c in range(num_channels):
        state[PREVIOUS + 2 * c] = info[c, _SEQUENCE]
        state[PREVIOUS + 2 * c + 1] = info[c, _SHAPE]


@_inner
def _load_packet(data, offset, size, bits):
    """Copy a packet, with zeros behind it; return whether it lies in the data."""
    if size < 1 or size > _MAX_PACKET_BYTES or offset < 0 or offset > len(data) - size:
        return False
    for i in range(size):
        bits[i] = data[offset + i]
    bits[size : size + _PADDING_BYTES] = 0
    return True


@entry("the AAC decoder", seconds=20)
def decode_packets(data, offsets, sizes, rate, num_channels, channel, num_silent, state, tail, out):
    """Decode packets; return whether all of them are plain AAC-LC.

    Args:
        data: uint8; the packets lie in it.
        offsets: int64, of each packet, in bytes.
        sizes: int64, likewise.
        rate: Sampling frequency index.
        num_channels: 1 or 2.
        channel: Which of them is wanted, or -1 for their mean.
        num_silent: Packets at the beginning that only prepare what follows.
        state: int64, `STATE_FIELDS`.
        tail: float32, `FRAME`; what the last packet adds to the next one.
        out: float32, `FRAME` for each packet but the silent ones.
    """
    bits = np.empty(_MAX_PACKET_BYTES + 1 + _PADDING_BYTES, np.uint8)
    info = np.zeros((2, _FIELDS), np.int64)
    books = np.zeros((2, _MAX_BANDS), np.int64)
    scales = np.zeros((2, _MAX_BANDS), np.float32)
    sides = np.zeros(_MAX_BANDS, np.int64)
    coefficients = np.zeros((2, _MAX_FILTERS + 1, _MAX_ORDER), np.float32)
    spectra = np.zeros((2, FRAME), np.float32)
    mixed = np.empty(FRAME, np.float32)
    weights = np.zeros((2, FRAME // 4), np.float32)
    work = np.empty(FRAME, np.float32)
    other = np.empty(FRAME, np.float32)
    unheard = np.empty(FRAME, np.float32)
    for packet in range(len(offsets)):
        if not _load_packet(data, offsets[packet], sizes[packet], bits):
            return False
        end = 8 * sizes[packet]
        if (
            _read_packet(
                bits,
                end,
                rate,
                num_channels,
                info,
                books,
                scales,
                coefficients,
                state,
                spectra,
                sides,
            )
            < 0
        ):
            return False
        if not _all_follow(num_channels, info, state):
            return False
        if packet >= num_silent - 1:
            if packet < num_silent:
                wave = unheard
            else:
                wave = out[(packet - num_silent) * FRAME : (packet - num_silent + 1) * FRAME]
            for n in range(FRAME):  # a slice that is given an array takes seconds to compile
                wave[n] = tail[n]
                tail[n] = _NOTHING
            _render(
                rate, num_channels, channel, info, books, scales, coefficients, sides, spectra,
                state, mixed, weights, work, other, wave, tail,
            )  # fmt: skip
        _note_windows(num_channels, info, state)
    return True


@_inner
def _last_shape(state, channel):
    return max(state[PREVIOUS + 2 * channel + 1], 0)


@_inner
def _multiply(values, factor):
    for k in range(len(values)):
        values[k] *= factor


@_inner
def _render(
    rate, num_channels, channel, info, books, scales, coefficients, sides, spectra,
    state, mixed, weights, work, other, wave, tail,
):  # fmt: skip
    """Make samples of the spectra of a packet."""
    left = _HALF if channel < 0 else np.float32(channel == 0)
    right = _ONE - left
    num_filters = 0
    if num_channels == 1:
        left, right = _ONE, _NOTHING
    if left > _NOTHING:
        num_filters += info[0, _NUM_FILTERS]
    if right > _NOTHING:
        num_filters += info[1, _NUM_FILTERS]
    shapes = _last_shape(state, 0), _last_shape(state, 1)
    is_mixed = num_filters == 0 and (
        left == _NOTHING
        or right == _NOTHING
        or (
            info[0, _SEQUENCE] == info[1, _SEQUENCE]
            and info[0, _SHAPE] == info[1, _SHAPE]
            and shapes[0] == shapes[1]
        )
    )
    for part in range(1 if is_mixed else num_channels):
        if is_mixed:
            c, first, second, gain = np.int64(left == _NOTHING), left, right, _ONE
        else:
            c, second = part, np.float32(part)
            first = _ONE - second
            gain = first * left + second * right
        if gain > _NOTHING:
            _weigh_all(rate, num_channels, info, books, scales, sides, first, second, weights)
            _mix(spectra, weights, mixed)
            if not is_mixed:
                _filter(info[c], coefficients[c], mixed)
                _multiply(mixed, gain)
            _add_to_wave(info[c], shapes[c], mixed, work, other, wave, tail)


@_inner
def _weigh_all(rate, num_channels, info, books, scales, sides, left, right, weights):
    if num_channels == 2 and info[0, _IS_COMMON]:
        _weigh_pair(rate, info, books, scales, sides, left, right, weights)
        return
    _weigh(rate, info[0], books[0], scales[0], left, weights[0])
    if num_channels == 2:
        _weigh(rate, info[1], books[1], scales[1], right, weights[1])

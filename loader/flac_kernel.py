"""FLAC frames → 16-bit samples: compiled, without Python's lock, safe on any bytes (RFC 9639).

Everything that is compiled stands in this one file although it is long: `shardwriter.compiled`
says why.

Reading Rice codes is one long chain of dependent instructions, and so is undoing a prediction.
Frames don't depend on each other, but where one begins is known only when that before it has been
read. So `LANES` windows are decoded side by side, a frame of each at a time: sample t of lane l
lies at `x[t * LANES + l]`, and a step of all lanes is a few vector instructions. A lane that finds
no more windows takes half of what another has left. What a lane does rarely is done alone, one
number after the other.

No function raises; a negative position is a status. What keeps reads and writes in bounds:
- a read begins at most 24 bytes behind its clip, and the padding is longer than that and a word;
- codes are read in lanes only as many as end there even if each is of `_LONGEST` bits;
- a lane without a code to read is given those ones of the padding, one bit for each code;
- a frame's header bounds its samples by `x`, and partitions add up to exactly the frame;
- a frame is copied only where it and the window overlap, and the window lies in its row.
"""
# Tuples of status and values and long argument lists, where Python would have exceptions and
# objects: both would cost an allocation for each frame.

from collections.abc import Callable
from typing import Any

import numba
import numba.extending
import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils
from numba.cpython.unsafe.numbers import leading_zeros
from numpy.typing import NDArray

from shardwriter.compiled import entry, jit

LANES = 8
_CHUNK = 1024
"""Most samples that the lanes go before each looks where it is."""
_NUM_ZEROS, _NUM_ONES = 32, _CHUNK // 8 + 32
PADDING = bytes(_NUM_ZEROS) + b"\xff" * _NUM_ONES

BEGIN, END, START, NUM, CLIP, OUT, FRAME, STOP_FRAME = range(8)
WINDOW_FIELDS = 8
"""Of each window: the clip's bytes from, to; first sample and samples of the window; samples that
the clip has by the index; where in the output the window begins. And if the bytes are only some
frames of the clip, all of one length: the number of the first, and of the one behind the last;
`FRAME` is `WHOLE` where they are the whole file."""
WHOLE = -1
REPORT_FIELDS = 5
"""Of each window: status, byte offset in the clip, then rate, channels and samples it states."""

OK, CUT, NO_FLAC, OTHER_CLIP, BAD_HEADER = 0, 1, 2, 3, 4
BAD_SUBFRAME, BAD_RESIDUAL, BAD_CRC, BAD_ORDER, BAD_RANGE = 5, 6, 7, 8, 9

# What each lane is at: an int64 array, a row for each of these, a column for each lane. One array,
# because each that goes to a function costs some time.
_WINDOW = 0  # which of the windows; -1: none
_BEGIN = 1  # bytes of the clip: from, to
_END = 2
_FIRST = 3  # byte of the first frame that there is
_START = 4  # samples that are wanted of it: from, to
_STOP = 5
_CLIP = 6  # sample behind the last frame that there is
_ORIGIN = 7  # where in the output its first sample would be
_NOMINAL = 8  # samples of its first frame, and of all others unless `_VARIES`
_VARIES = 9
_IS_FOUND = 10  # whether decoding began at a frame that was searched for, and might be none
_FIRST_SAMPLE = 11  # of the first frame that there is
_AT = 12  # byte of the frame
_NEXT_AT = 13  # byte behind it
_SAMPLE = 14  # its first sample
_SIZE = 15  # its samples; 0: there is none in the lane
_LANE_STOP = 16  # sample up to which its codes are left to the lanes
_WASTED = 17  # bits
_ORDER = 18  # of the prediction
_SHIFT = 19
_IS_EXACT = 20  # whether the prediction's products add up to 32 bits at most
_POSITION = 21  # bit that is read next
_WIDTH = 22  # bits of a Rice parameter
_BITS = 23  # the partition's Rice parameter; if negative, -1 - the bits of each plain number
_PARTS = 24  # partitions of the frame
_PART = 25  # how many of them were begun
_PART_SAMPLES = 26
_PART_STOP = 27  # sample behind the partition
_READING = 28  # for what is read in lanes, as `_POSITION` and `_BITS`; else the ones of the padding
_PARAMETER = 29
_READ_END = 30  # bit up to which that may go, in a way; `_NEVER`: the ones, or what is read alone
_PART_BEGIN = 31  # sample from which on the partition is left to the lanes
_PART_NEXT = 32  # sample before which nothing changes for the lane
_FROM = 33  # samples of the frame that are copied as vectors: from, to
_TO = 34
_PLACE = 35  # where in the output the frame's first sample belongs
_ONES = 36  # bit at which the ones of the padding begin
_ALONE = 37  # coefficients of the prediction, `_MAX_ORDER` rows
_LANE_FIELDS = 37 + 32
# Likewise, but int32, as the vectors of the prediction and of the copying are.
_SHIFTS = 12  # behind the coefficients, the last sample's first
_SHIFTED = 13  # wasted bits
_BOUND = 14  # of samples in 16 bits without the wasted ones
_BEYOND = 15  # the bits that are set beyond it
_OUTSIDE = 16  # those of them that were
_LANE_VECTORS = 17

_MAX_BLOCK = 65536
_MAX_ORDER = 32
_WARM = 12
"""Samples of a frame that are read and restored alone: the longest prediction in lanes."""
_STEPS = 8
"""Samples of each lane that are restored in one go, without leaving the registers."""
_GROUP = 3
"""Codes that the lanes read from one load of the bits."""
_NEVER = 1 << 62
_LONGEST = 51
"""Bits that the lanes look at for a code, or for a few together."""
_MOST_BITS = 25
"""Largest Rice parameter in lanes: of `_LONGEST` bits, no code then has a value over 32 bits."""
_SAMPLE_BITS = 16
_PROBES = 16
"""Guesses in the search for a frame; what is left is walked through."""
_LEAST_FRAMES, _LEAST_SAMPLES = 4, 4096
"""Less than either is not split between lanes; which also bounds how often a clip is."""


def _crc_table(polynomial: int, num_bits: int, depth: int) -> NDArray[np.int64]:
    """Return, for each byte, the remainder of it followed by 0 .. depth - 1 zero bytes."""
    top, mask = 1 << (num_bits - 1), (1 << num_bits) - 1
    table = np.zeros((depth, 256), dtype=np.int64)
    for byte in range(256):
        value = byte << (num_bits - 8)
        for place in range(depth):
            for _ in range(8):
                value = (value << 1 ^ (polynomial if value & top else 0)) & mask
            table[place, byte] = value
    return table.reshape(-1)


_RATES = np.array(
    [0, 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000], np.int64
)
"""Sample rates by the code in a frame's header, RFC 9639, section 9.1.2."""
_MONO_16 = 0x08
"""The byte in a frame's header that says one channel of 16 bits."""


def _has(feature: str) -> bool:
    """Return whether the processor that is compiled for, this one or what numba is told, has it."""
    told = numba.config.CPU_FEATURES  # type: ignore[attr-defined]  # set when it is imported
    if told is None:
        return bool(binding.get_host_cpu_features().get(feature, False))
    return f"+{feature}" in told.split(",")


_COUNTS_ZEROS = _has("avx512cd")
_MULTIPLIES = _has("pclmul")  # without carrying, as polynomials

_CRC8 = _crc_table(0x07, 8, 1)
_CRC16 = _crc_table(0x8005, 16, 16).astype(np.uint16)  # small, to stay in the first cache
_FIXED = np.array(
    [[0, 0, 0, 0], [1, 0, 0, 0], [2, -1, 0, 0], [3, -3, 1, 0], [4, -6, 4, -1]], dtype=np.int32
)


def _jit_inner(function: Callable[..., Any]) -> Any:
    """Compile what makes no array.

    Without numba's runtime, holders of the arguments aren't counted at each call: a tenth of all.
    """
    return jit(function, _nrt=False)


@_jit_inner
def _load(data, byte):
    """Return 8 bytes as a big-endian number; LLVM makes one load of it."""
    at = np.uint64(byte)
    value = np.uint64(0)
    for place in range(8):
        value = value << np.uint64(8) | np.uint64(data[at + np.uint64(place)])
    return value


@_jit_inner
def _bits(data, position, num_bits):
    """Return up to 32 bits; the caller checks that they lie in the clip."""
    window = _load(data, position >> 3) << np.uint64(position & 7)
    return np.int64(window >> np.uint64(32)) >> (32 - num_bits)


@_jit_inner
def _signed(data, position, num_bits):
    value = _bits(data, position, num_bits)
    return value - ((value >> (num_bits - 1)) << num_bits) if num_bits else 0


@_jit_inner
def _remainder(high, low):
    """Return the CRC-16 of 16 bytes in two numbers."""
    crc = np.uint64(0)
    for place in range(8):
        crc ^= np.uint64(_CRC16[np.uint64(256 * place) + (low & np.uint64(255))])
        low >>= np.uint64(8)
    for place in range(8, 16):
        crc ^= np.uint64(_CRC16[np.uint64(256 * place) + (high & np.uint64(255))])
        high >>= np.uint64(8)
    return crc


@_jit_inner
def _crc16_by_tables(data, start, stop):
    crc, at = np.uint64(0), start
    while at + 16 <= stop:
        crc = _remainder(_load(data, at) ^ (crc << np.uint64(48)), _load(data, at + 8))
        at += 16
    while at < stop:
        byte = crc >> np.uint64(8) ^ np.uint64(data[at])
        crc = (crc << np.uint64(8) ^ np.uint64(_CRC16[byte])) & np.uint64(0xFFFF)
        at += 1
    return np.int64(crc)


@_jit_inner
def _crc16_by_products(data, start, stop):
    """Return the same, 3 x faster, on a machine that multiplies without carrying."""
    # That the first part is shorter doesn't matter: zeros ahead of it don't change the CRC.
    high, low = _folded(data, start, (stop - start - 1) & 15, (stop - start - 1) >> 4)
    return np.int64(_remainder(high, low))


@numba.extending.intrinsic
def _folded(_context, data, _start, _head, _num_blocks):
    """Return two numbers that have the CRC of head + 1 bytes and as many blocks of 16 bytes.

    As polynomials over GF(2): 128 bits ahead of n others are high * x ** (n + 64) + low * x ** n,
    and the powers of x are replaced by what remains of them, 16 bits, in the CRC's division.
    """
    pair = ir.VectorType(ir.IntType(64), 2)
    pair_of_reversed = ir.Constant(ir.VectorType(ir.IntType(32), 16), list(reversed(range(16))))

    def build(context, builder, signature, arguments):
        start, head, num_blocks = arguments[1:]
        first = context.make_array(data)(context, builder, arguments[0]).data
        kind = ir.FunctionType(pair, [pair, pair, ir.IntType(8)])
        multiply = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.pclmulqdq")

        def load(at, kind):
            pointer = builder.bitcast(builder.gep(first, [at]), kind.as_pointer())
            return builder.load(pointer, align=1)

        def block(at):
            loaded = load(at, ir.VectorType(ir.IntType(8), 16))
            loaded = builder.shuffle_vector(loaded, loaded, pair_of_reversed)
            return builder.bitcast(loaded, pair)

        def fold(value, num_bits, onto):
            powers = ir.Constant(pair, [_crc16_of_power(num_bits), _crc16_of_power(num_bits + 64)])
            low, high = (
                builder.call(multiply, [value, powers, ir.Constant(ir.IntType(8), which)])
                for which in (0x00, 0x11)
            )
            return builder.xor(builder.xor(low, high), onto)

        whole = load(start, ir.IntType(128))
        whole = builder.bswap(whole)
        shift = builder.zext(builder.mul(builder.sub(_number(15), head), _number(8)), whole.type)
        begin = builder.bitcast(builder.lshr(whole, shift), pair)
        at = builder.add(start, builder.add(head, _number(1)))
        # Four sums, because each waits for its last product.
        sums = [cgutils.alloca_once_value(builder, ir.Constant(pair, None)) for _ in range(4)]
        builder.store(begin, sums[3])
        singles, fours = builder.and_(num_blocks, _number(3)), builder.lshr(num_blocks, _number(2))
        with cgutils.for_range(builder, singles) as loop:
            now = block(builder.add(at, builder.shl(loop.index, _number(4))))
            builder.store(fold(builder.load(sums[3]), 128, now), sums[3])
        at = builder.add(at, builder.shl(singles, _number(4)))
        with cgutils.for_range(builder, fours) as loop:
            for place, total in enumerate(sums):
                now = builder.add(builder.shl(loop.index, _number(6)), _number(16 * place))
                now = block(builder.add(at, now))
                builder.store(fold(builder.load(total), 512, now), total)
        total = builder.load(sums[0])
        for other in sums[1:]:
            total = fold(total, 128, builder.load(other))
        parts = [builder.extract_element(total, _number(place)) for place in (1, 0)]
        return context.make_tuple(builder, signature.return_type, parts)

    number = numba.types.intp
    two = numba.types.UniTuple(numba.types.uint64, 2)
    return two(data, number, number, number), build


def _crc16_of_power(exponent: int) -> int:
    """Return what remains of x ** exponent."""
    value = 1
    for _ in range(exponent):
        value = value << 1 ^ (0x18005 if value & 0x8000 else 0)
    return value


_crc16 = _crc16_by_products if _MULTIPLIES else _crc16_by_tables


@_jit_inner
def _coded_number(data, at):
    """Return the number in UTF-8's manner at a byte (-1: none), and the byte behind it."""
    first = np.int64(data[at])
    if first < 0x80:
        return first, at + 1
    width = 1
    while width < 8 and first & (0x80 >> width):
        width += 1
    if width < 2 or width > 7:
        return np.int64(-1), at
    number = first & (0x7F >> width)
    for place in range(1, width):
        tail = np.int64(data[at + place])
        if tail >> 6 != 2:
            return np.int64(-1), at
        number = number << 6 | tail & 0x3F
    return number, at + width


@_jit_inner
def _block_size(data, at, code):
    """Return the samples of a block-size code, and the byte behind its optional field."""
    if code == 6:
        return np.int64(data[at]) + 1, at + 1
    if code == 7:
        return (np.int64(data[at]) << 8 | np.int64(data[at + 1])) + 1, at + 2
    if code == 1:
        return np.int64(192), at
    if code < 6:
        return np.int64(144) << code, at
    return np.int64(1) << code, at


@_jit_inner
def _header(data, start, stop):
    """Return (block size or 0 for no header, number, whether blocks vary, byte behind it)."""
    none = np.int64(0), np.int64(0), np.int64(0), start
    if start + 6 > stop or data[start] != 0xFF or data[start + 1] & 0xFE != 0xF8:
        return none
    block_code, rate_code = np.int64(data[start + 2]) >> 4, np.int64(data[start + 2]) & 15
    # One channel, 16 bits or as STREAMINFO says, reserved bit 0.
    if block_code == 0 or rate_code == 15 or data[start + 3] & 0xF7 != 0:
        return none
    number, at = _coded_number(data, start + 4)
    size, at = _block_size(data, at, block_code)
    if rate_code >= 12:
        at += 1 if rate_code == 12 else 2
    crc = np.int64(0)
    for place in range(start, at):
        crc = _CRC8[crc ^ data[place]]
    if number < 0 or at >= stop or crc != data[at] or size > _MAX_BLOCK - 1:
        return none
    return size, number, np.int64(data[start + 1] & 1), at + 1


@_jit_inner
def _long_code(data, position, end, bits):
    """Read one Rice code of any length; return it and the position behind it, or (0, -1)."""
    quotient = np.int64(0)
    while position < end:
        window = _load(data, position >> 3) << np.uint64(position & 7)
        zeros = min(np.int64(leading_zeros(window)), np.int64(56))
        quotient += zeros
        position += zeros
        if zeros < 56:
            break
    value = quotient << bits | _bits(data, position + 1, bits)
    position += 1 + bits
    if position > end or value >> 32:
        return np.int64(0), np.int64(-1)
    return value, position


@_jit_inner
def _plain(data, position, end, width, x, at, stop):
    """Read numbers of `width` bits into `x[at:stop:LANES]`; return what `_rice` does."""
    if position + (stop - at + LANES - 1) // LANES * width > end:
        return np.int64(-1)
    while at < stop:
        x[at] = _signed(data, position, width)
        position += width
        at += LANES
    return position


@_jit_inner
def _read_alone(data, end, lane, t, stop, v, x):
    """Read samples t to `stop` of a lane's partition; return the position behind them, or -1."""
    position, bits = v[_POSITION, lane], v[_BITS, lane]
    if bits < 0:
        return _plain(data, position, end, -1 - bits, x, t * LANES + lane, stop * LANES + lane)
    while t < stop:
        value, position = _long_code(data, position, end, bits)
        if position < 0:
            return position
        x[t * LANES + lane] = (value >> 1) ^ -(value & 1)
        t += 1
    return position


@_jit_inner
def _open_parts(data, end, lane, t, v):
    """Read the head of the partition that begins at sample t, if one does; return False if cut."""
    # The first partition may be empty, and the second one begins there too.
    while v[_PART_STOP, lane] == t and v[_PART, lane] < v[_PARTS, lane]:
        position, width = v[_POSITION, lane], v[_WIDTH, lane]
        bits = _bits(data, position, width)
        position += width
        if bits == (1 << width) - 1:
            bits = -1 - _bits(data, position, 5)
            position += 5
        if position > end:
            return False
        v[_POSITION, lane], v[_BITS, lane] = position, bits
        v[_PART, lane] += 1
        v[_PART_STOP, lane] = v[_PART, lane] * v[_PART_SAMPLES, lane]
    return True


@_jit_inner
def _begin_residual(data, end, lane, order, size, v, x):
    """Read what follows the warm-up samples, alone, up to where lanes go on; return a status."""
    position = v[_POSITION, lane]
    method, splits = _bits(data, position, 2), _bits(data, position + 2, 4)
    per_part = size >> splits
    if method > 1 or per_part << splits != size or per_part < order:
        return np.int64(BAD_RESIDUAL)
    v[_POSITION, lane], v[_WIDTH, lane] = position + 6, 4 + method
    v[_PARTS, lane], v[_PART, lane] = 1 << splits, 0
    v[_PART_SAMPLES, lane], v[_PART_STOP, lane] = per_part, order
    v[_LANE_STOP, lane] = size
    t, until = order, min(size, _WARM) if order <= _WARM else size
    if not _open_parts(data, end, lane, t, v):
        return np.int64(CUT)
    while t < until:
        stop = min(until, v[_PART_STOP, lane])
        v[_POSITION, lane] = _read_alone(data, end, lane, t, stop, v, x)
        t = stop
        if v[_POSITION, lane] < 0 or (t < until and not _open_parts(data, end, lane, t, v)):
            return np.int64(CUT)
    return np.int64(OK)


@_jit_inner
def _begin_predicted(data, end, lane, order, depth, is_linear, size, v, x):
    """Read a FIXED or LPC subframe up to where lanes go on; return a status."""
    shift, precision, position = np.int64(0), np.int64(0), v[_POSITION, lane]
    if order > size or position + order * depth + 6 > end:
        return np.int64(CUT)
    position = _plain(data, position, end, depth, x, lane, order * LANES + lane)
    if is_linear:
        precision, shift = _bits(data, position, 4) + 1, _signed(data, position + 4, 5)
        position += 9
        if precision == 16 or shift < 0 or position + order * precision + 6 > end:
            return np.int64(BAD_SUBFRAME)
    total = np.int64(0)
    for place in range(order):
        coefficient = (
            _signed(data, position + place * precision, precision)
            if is_linear
            else np.int64(_FIXED[order, place])
        )
        v[_ALONE + place, lane] = coefficient
        total += abs(coefficient)
    v[_SHIFT, lane], v[_IS_EXACT, lane] = shift, total << (depth - 1) < 1 << 31
    v[_POSITION, lane] = position + order * precision
    return _begin_residual(data, end, lane, order, size, v, x)


@_jit_inner
def _subframe_head(data, body, lane, v):
    """Read kind and wasted bits of a subframe; return the kind, -1 for too many wasted bits."""
    position = 8 * body
    kind, has_wasted = _bits(data, position, 7), _bits(data, position + 7, 1)
    position += 8
    v[_WASTED, lane] = 0
    if has_wasted:
        count = np.int64(leading_zeros(_load(data, position >> 3))) + 1
        if count >= _SAMPLE_BITS:
            return np.int64(-1)
        v[_WASTED, lane] = count
        position += count
    v[_POSITION, lane] = position
    return kind


@_jit_inner
def _write_plain(data, lane, is_constant, size, v, out):
    """Write a CONSTANT or VERBATIM subframe to where it belongs; return a status."""
    position, wasted = v[_POSITION, lane], v[_WASTED, lane]
    depth = _SAMPLE_BITS - wasted
    v[_POSITION, lane] = position + (1 if is_constant else size) * depth
    if v[_POSITION, lane] > 8 * v[_END, lane]:
        return np.int64(CUT)
    place = v[_ORIGIN, lane] + v[_SAMPLE, lane]
    first = max(v[_START, lane] - v[_SAMPLE, lane], 0)
    last = min(size, v[_STOP, lane] - v[_SAMPLE, lane])
    if is_constant and first < last:
        out[place + first : place + last] = _signed(data, position, depth) << wasted
    elif not is_constant:
        for t in range(first, last):
            out[place + t] = _signed(data, position + t * depth, depth) << wasted
    return np.int64(OK)


@_jit_inner
def _end_frame(data, lane, check, v):
    """Check a frame that was read to its end; return a status."""
    stop = (v[_POSITION, lane] + 7) >> 3
    if stop + 2 > v[_END, lane]:
        return np.int64(CUT)
    if check or v[_IS_FOUND, lane]:
        expected = np.int64(data[stop]) << 8 | np.int64(data[stop + 1])
        if _crc16(data, v[_AT, lane], stop) != expected:
            return np.int64(BAD_CRC)
    v[_NEXT_AT, lane] = stop + 2
    return np.int64(OK)


@_jit_inner
def _begin_frame(data, lane, check, v, x, out):
    """Begin to read a lane's next frame; return a status. Leaves `size` 0 if it is done whole."""
    end = v[_END, lane]
    size, number, varies, body = _header(data, v[_AT, lane], end)
    if size == 0:
        return np.int64(BAD_HEADER)
    sample = number * (1 if varies else v[_NOMINAL, lane])
    if varies != v[_VARIES, lane] or sample != v[_SAMPLE, lane]:
        return np.int64(BAD_ORDER)
    kind = _subframe_head(data, body, lane, v)
    if 8 <= kind <= 12 or 32 <= kind < 64:
        order, depth = kind - 31 if kind >= 32 else kind - 8, _SAMPLE_BITS - v[_WASTED, lane]
        v[_SIZE, lane], v[_ORDER, lane] = size, order
        if order > _WARM:
            return np.int64(OK)  # it is read last, or the lanes would write over it
        return _begin_predicted(data, 8 * end, lane, order, depth, kind >= 32, size, v, x)
    if kind != 0 and kind != 1:
        return np.int64(BAD_SUBFRAME)
    status = _write_plain(data, lane, kind == 0, size, v, out)
    if status == OK:
        status = _end_frame(data, lane, check, v)
    if status == OK:
        v[_AT, lane] = v[_NEXT_AT, lane]
        v[_SAMPLE, lane] += size
    return status


@_jit_inner
def _fail(lane, status, v, reports):
    """End a lane's window with a status; or begin it anew, where it began at a frame searched for.

    Perhaps no frame began there; frame by frame from the first on there is no doubt.
    """
    number = v[_WINDOW, lane]
    v[_SIZE, lane] = v[_LANE_STOP, lane] = 0
    if v[_IS_FOUND, lane]:
        v[_IS_FOUND, lane], v[_AT, lane] = 0, v[_FIRST, lane]
        v[_SAMPLE, lane] = v[_FIRST_SAMPLE, lane]
    else:
        reports[number, 0], reports[number, 1] = status, v[_AT, lane] - v[_BEGIN, lane]
        v[_WINDOW, lane] = -1


@_jit_inner
def _next_header(data, start, stop, end):
    """Return where the next bytes that pass for a header begin, before `stop`, or -1."""
    at = start
    while at + 1 < stop:
        if data[np.uint64(at)] == 0xFF and _header(data, at, end)[0]:
            return at
        at += 1
    return np.int64(-1)


@_jit_inner
def _seek(data, lane, v):
    """Take a lane to a frame at or before its first wanted sample: by bytes alone, not proven.

    A header has no length of its frame. Guessing by the share of the samples, and reading the
    sample number of the next header, gets near; bytes inside a frame can imitate one, so the
    caller checks its CRC-16.
    """
    start, end, size = v[_START, lane], v[_END, lane], v[_NOMINAL, lane]
    scale = 1 if v[_VARIES, lane] else size
    low, sample = v[_AT, lane], v[_SAMPLE, lane]
    high, high_sample = end, max(v[_CLIP, lane], start + 1)
    for probe in range(_PROBES):
        if sample + size > start or high - low < 64:
            break
        # Half a frame early, as the next header is looked for. If that leads nowhere, halving does.
        share = 0.5 if probe % 4 == 3 else (start - sample - size / 2) / (high_sample - sample)
        middle = max(low + np.int64(share * (high - low)), low + 1)
        at = _next_header(data, middle, high, end)
        number = _header(data, at, end)[1] * scale if at >= 0 else high_sample
        if at >= 0 and number <= start:
            low, sample = at, number
            v[_IS_FOUND, lane] = 1
        else:
            high, high_sample = middle, max(number, start + 1)
    v[_AT, lane], v[_SAMPLE, lane] = low, sample


@_jit_inner
def _first_frame(data, begin, end, report):
    """Read STREAMINFO into `report[2:]`; return the byte behind the metadata, or -1."""
    if end - begin < 42 or _bits(data, begin * 8, 32) != 0x664C6143:
        return np.int64(-1)
    if data[begin + 4] & 0x7F != 0:
        return np.int64(-1)
    report[2] = _bits(data, (begin + 18) * 8, 20)
    report[3] = _bits(data, (begin + 18) * 8 + 20, 3) + 1
    report[4] = _bits(data, (begin + 18) * 8 + 28, 4) << 32 | _bits(data, (begin + 22) * 8, 32)
    at, is_last = begin + 4, False
    while not is_last:
        if at + 4 > end:
            return np.int64(-1)
        is_last = data[at] & 0x80 != 0
        at += 4 + (_bits(data, at * 8, 32) & 0xFFFFFF)
    return at if at <= end else np.int64(-1)


@_jit_inner
def _stated_rate(data, start, body):
    """Return the sample rate that a frame's header states; 0 if it leaves that to STREAMINFO."""
    code = np.int64(data[start + 2]) & 15
    if code < 12:
        return _RATES[code]
    if code == 12:
        return 1000 * np.int64(data[body - 2])
    return (np.int64(data[body - 3]) << 8 | np.int64(data[body - 2])) * (1 if code == 13 else 10)


@_jit_inner
def _first_of_part(data, window, rate, report):
    """Return the bytes of some frames from the first one on; -1, and why, if it isn't expected.

    There is no STREAMINFO, so that the header has to say by itself that samples have 16 bits.
    """
    first = window[BEGIN]
    size, number, varies, body = _header(data, first, window[END])
    if size == 0 or data[first + 3] != _MONO_16 or varies:
        report[0] = BAD_HEADER
        return np.int64(-1)
    if number != window[FRAME] or number * size > window[START]:
        report[0] = BAD_ORDER
        return np.int64(-1)
    report[2], report[3] = _stated_rate(data, first, body), 1
    if report[2] != 0 and report[2] != rate:
        report[0] = OTHER_CLIP
        return np.int64(-1)
    return first


@_jit_inner
def _first_of_clip(data, window, rate, report):
    """Return the first frame's byte; -1, and why, if the clip is another than expected."""
    first = _first_frame(data, window[BEGIN], window[END], report)
    if first < 0:
        report[0] = NO_FLAC
    elif report[2] != rate or report[3] != 1 or report[4] != window[CLIP]:
        report[0] = OTHER_CLIP
        return np.int64(-1)
    return first


@_jit_inner
def _begin_window(data, windows, number, rate, lane, v, reports):
    """Give a lane a window, unless the clip is another than expected: that goes in the report."""
    window, report = windows[number], reports[number]
    report[:] = 0
    is_part = window[FRAME] >= 0
    first = (
        _first_of_part(data, window, rate, report)
        if is_part
        else _first_of_clip(data, window, rate, report)
    )
    if first < 0:
        return
    size, _, varies, _ = _header(data, first, window[END])
    v[_WINDOW, lane], v[_FIRST, lane] = number, first
    v[_BEGIN, lane], v[_END, lane] = window[BEGIN], window[END]
    v[_START, lane], v[_STOP, lane] = window[START], window[START] + window[NUM]
    v[_CLIP, lane], v[_ORIGIN, lane] = window[CLIP], window[OUT] - window[START]
    v[_NOMINAL, lane], v[_VARIES, lane] = size, varies
    v[_IS_FOUND, lane], v[_AT, lane] = 0, first
    v[_SAMPLE, lane] = v[_FIRST_SAMPLE, lane] = window[FRAME] * size if is_part else 0
    if is_part:
        v[_CLIP, lane] = min(window[STOP_FRAME] * size, window[CLIP])
    elif size:
        _seek(data, lane, v)


@_jit_inner
def _take_half(data, lane, v):
    """Give an idle lane half of what the one with most samples left has; return whether it did.

    Clips differ in what they cost, and in number seldom fit the lanes.
    """
    busy, most = lane, np.int64(0)
    for other in range(LANES):
        begin = max(v[_SAMPLE, other] + v[_SIZE, other], v[_START, other])
        left = v[_STOP, other] - begin if v[_WINDOW, other] >= 0 else 0
        if left > most:
            busy, most = other, left
    size = v[_NOMINAL, busy]
    if most < max(_LEAST_FRAMES * size, _LEAST_SAMPLES):
        return False
    for field in range(_SAMPLE + 1):
        v[field, lane] = v[field, busy]
    middle = v[_STOP, busy] - most // (2 * size) * size
    v[_STOP, busy] = v[_START, lane] = middle
    _seek(data, lane, v)
    return True


@_jit_inner
def _fill_lane(data, windows, next_window, rate, lane, check, v, x, out, reports):
    """Bring the next predicted frame into a lane; return the next window that no lane had yet."""
    v[_SIZE, lane] = v[_LANE_STOP, lane] = 0
    while True:
        if v[_WINDOW, lane] < 0:
            if next_window < len(windows):
                _begin_window(data, windows, next_window, rate, lane, v, reports)
                next_window += 1
            elif not _take_half(data, lane, v):
                return next_window
        elif v[_SAMPLE, lane] >= v[_STOP, lane]:
            v[_WINDOW, lane] = -1
        else:
            status = _begin_frame(data, lane, check, v, x, out)
            if status != OK:
                _fail(lane, status, v, reports)
            elif v[_SIZE, lane]:
                return next_window


def _lanes_of(context, builder, signature, arguments):
    """Return functions that load and store the lanes at an index of an argument's array."""
    kind = ir.VectorType(ir.IntType(32), LANES)

    def pointer(place, index):
        array = context.make_array(signature.args[place])
        base = array(context, builder, arguments[place]).data
        return builder.bitcast(builder.gep(base, [index]), kind.as_pointer())

    def load(place, index):
        return builder.load(pointer(place, index), align=4)

    def store(value, place, index):
        builder.store(value, pointer(place, index), align=4)

    return load, store


def _number(value: int) -> Any:
    return ir.Constant(ir.IntType(64), value)


def _lane_steps(order: int) -> Any:
    """Return a function that adds its prediction to `_STEPS` samples of all lanes.

    It is put together from LLVM's vector instructions: numba's compiler can't know that the
    coefficients don't change as samples are stored, and then works lane by lane, 5 x slower.
    """

    @numba.extending.intrinsic
    def steps(_context, x, _at, c):
        def build(context, builder, signature, arguments):
            load, store = _lanes_of(context, builder, signature, arguments)
            at = arguments[1]
            shift = load(2, _number(_SHIFTS * LANES))
            factors = [load(2, _number(place * LANES)) for place in range(order)]
            past = [  # the last one first
                load(0, builder.sub(at, _number((place + 1) * LANES))) for place in range(order)
            ]
            for step in range(_STEPS):
                total = builder.mul(past[-1], factors[-1])
                for place in reversed(range(order - 1)):  # what is made last is needed last
                    total = builder.add(total, builder.mul(past[place], factors[place]))
                now = builder.add(at, _number(step * LANES))
                value = builder.add(load(0, now), builder.ashr(total, shift))
                store(value, 0, now)
                past = [value, *past[:-1]]
            return context.get_dummy_value()

        return numba.types.void(x, numba.types.intp, c), build

    return steps


_steps_8 = _lane_steps(8)
_steps_12 = _lane_steps(_WARM)


def _repeat(value: int, bits: int = 64) -> Any:
    return ir.Constant(ir.VectorType(ir.IntType(bits), LANES), [value] * LANES)


def _vector_call(builder: Any, name: str, *arguments: Any) -> Any:
    kind = arguments[0].type
    function = ir.FunctionType(kind, [argument.type for argument in arguments])
    function = cgutils.get_or_insert_function(builder.module, function, f"llvm.{name}.v8i64")
    return builder.call(function, arguments)


def _zeros_of(builder: Any, window: Any) -> Any:
    """Return the leading zeros of each lane; 51 if it has more."""
    if _COUNTS_ZEROS:
        window = builder.or_(window, _repeat(1 << 12))
        return _vector_call(builder, "ctlz", window, ir.Constant(ir.IntType(1), 1))
    # By the exponent of a double, which any machine has in vectors: 2 ** 52 + n, - 2 ** 52.
    double = ir.VectorType(ir.DoubleType(), LANES)
    biased = builder.or_(builder.lshr(window, _repeat(12)), _repeat(0x433 << 52 | 1))
    exact = builder.fsub(builder.bitcast(biased, double), ir.Constant(double, [2.0**52] * LANES))
    exponent = builder.lshr(builder.bitcast(exact, biased.type), _repeat(52))
    return builder.sub(_repeat(1023 + 51), exponent)


def _codes_of(builder: Any, window: Any, bits: Any, num_codes: int) -> tuple[list[Any], ...]:
    """Return the values of the Rice codes that come first in each lane's window.

    With each the bits up to its end, and what is left of the window behind it.
    """
    skip, tail = builder.add(bits, _repeat(1)), builder.sub(_repeat(63), bits)
    used, values, ends, windows = _repeat(0), [], [], []
    for _ in range(num_codes):
        zeros = _zeros_of(builder, window)
        used = builder.add(used, builder.add(zeros, skip))
        window = builder.shl(window, zeros)
        quotient = builder.shl(builder.sub(zeros, _repeat(1)), bits)
        value = builder.add(builder.lshr(window, tail), quotient)
        value = builder.trunc(value, _repeat(0, 32).type)
        sign = builder.sub(_repeat(0, 32), builder.and_(value, _repeat(1, 32)))
        values.append(builder.xor(builder.lshr(value, _repeat(1, 32)), sign))
        window = builder.shl(window, skip)
        ends.append(used)
        windows.append(window)
    return values, ends, windows


def _fetch(builder: Any, byte: Any) -> Any:
    """Return the 64 bits at an address in each lane; faster than a machine's own gathering."""
    bits = ir.Constant(byte.type, ir.Undefined)
    for lane in range(LANES):
        address = builder.extract_element(byte, _number(lane))
        address = builder.inttoptr(address, ir.IntType(64).as_pointer())
        word = builder.load(address, align=1)
        bits = builder.insert_element(bits, word, _number(lane))
    return _vector_call(builder, "bswap", bits)


def _store_codes(builder: Any, values: Any, x: Any, t: Any) -> None:
    for step, value in enumerate(values):
        place = builder.mul(builder.add(t, _number(step)), _number(LANES))
        target = builder.bitcast(builder.gep(x, [place]), value.type.as_pointer())
        builder.store(value, target, align=4)


def _fit(builder: Any, used: Any) -> Any:
    """Return whether all lanes used at most the bits that were looked at."""
    too_long = builder.icmp_unsigned(">", used, _repeat(_LONGEST))
    too_long = builder.bitcast(too_long, ir.IntType(LANES))
    return builder.icmp_unsigned("==", too_long, ir.Constant(too_long.type, 0))


@numba.extending.intrinsic
def _read_codes(_context, data, v, x, _t, _stop):
    """Read samples t to `stop` of all lanes into `x`; return the sample behind the last one read.

    It ends early, where a code in some lane has more than `_LONGEST` bits. Reads of the lanes are
    moved, but for those that have no end.
    """

    def build(context, builder, signature, arguments):
        arrays = [
            context.make_array(signature.args[n])(context, builder, arguments[n]).data
            for n in range(3)
        ]
        t, stop = arguments[3:]

        def row(field):
            start = builder.gep(arrays[1], [_number(field * LANES)])
            return builder.bitcast(start, _repeat(0).type.as_pointer())

        base = builder.ptrtoint(arrays[0], ir.IntType(64))
        base = builder.insert_element(_repeat(0), base, _number(0))
        base = builder.shuffle_vector(base, base, _repeat(0, 32))
        begin = builder.load(row(_READING), align=8)
        bits = builder.load(row(_PARAMETER), align=8)
        # The top bits of `ahead` are those that come next, `known` of them; then come zeros, or
        # the bits that do belong there. The bits from `known` on are those at address `byte`.
        byte = builder.add(base, builder.lshr(begin, _repeat(3)))
        odd = builder.and_(begin, _repeat(7))
        ahead = builder.lshr(_fetch(builder, byte), _repeat(8))
        ahead = builder.shl(ahead, builder.add(odd, _repeat(8)))
        known, byte = builder.sub(_repeat(56), odd), builder.add(byte, _repeat(7))

        entry = builder.block
        head, read, keep, tail, done = (builder.append_basic_block() for _ in range(5))
        builder.branch(head)
        builder.position_at_end(head)
        state = t, ahead, known, byte
        phis = [builder.phi(value.type) for value in state]
        for phi, value in zip(phis, state, strict=True):
            phi.add_incoming(value, entry)
        t, ahead, known, byte = phis
        t_next = builder.add(t, _number(_GROUP))
        builder.cbranch(builder.icmp_signed("<=", t_next, stop), read, tail)

        builder.position_at_end(read)
        window = builder.or_(ahead, builder.lshr(_fetch(builder, byte), known))
        # So the address of the next load is known before these codes are.
        byte_next = builder.lshr(builder.xor(known, _repeat(63)), _repeat(3))
        byte_next = builder.add(byte, byte_next)
        known_next = builder.or_(known, _repeat(56))
        values, ends, windows = _codes_of(builder, window, bits, _GROUP)
        builder.cbranch(_fit(builder, ends[-1]), keep, tail)

        builder.position_at_end(keep)
        _store_codes(builder, values, arrays[2], t)
        state = t_next, windows[-1], builder.sub(known_next, ends[-1]), byte_next
        for phi, value in zip(phis, state, strict=True):
            phi.add_incoming(value, keep)
        builder.branch(head)

        # Fewer than a group are left, or they are too long for it: two codes, or one, or none.
        builder.position_at_end(tail)
        window = builder.or_(ahead, builder.lshr(_fetch(builder, byte), known))
        values, ends, _ = _codes_of(builder, window, bits, 2)
        left = builder.sub(stop, t)
        has_one, has_two = (
            builder.and_(_fit(builder, end), builder.icmp_signed(">", left, _number(place)))
            for place, end in enumerate(ends)
        )
        used = builder.select(has_one, ends[0], _repeat(0))
        used = builder.select(has_two, ends[1], used)
        num = builder.zext(has_one, t.type)
        num = builder.select(has_two, _number(2), num)
        _store_codes(
            builder, values, arrays[2], t
        )  # what is not to be kept, later codes write over
        behind = builder.sub(builder.shl(builder.sub(byte, base), _repeat(3)), known)
        behind = builder.add(behind, used)
        has_end = builder.icmp_signed("<", builder.load(row(_READ_END), align=8), _repeat(_NEVER))
        builder.store(builder.select(has_end, behind, begin), row(_READING), align=8)
        builder.branch(done)
        builder.position_at_end(done)
        return builder.add(t, num)

    t = numba.types.intp
    return t(data, v, x, t, t), build


@_jit_inner
def _go_on(data, t, lane, v, reports):
    """Have a lane read in lanes from sample t on, if its frame goes on and so its codes can be."""
    v[_READING, lane], v[_PARAMETER, lane] = v[_ONES, lane], 0
    v[_READ_END, lane] = v[_PART_NEXT, lane] = _NEVER
    if t >= v[_LANE_STOP, lane]:
        return
    end = 8 * v[_END, lane]
    if not _open_parts(data, end, lane, t, v):
        _fail(lane, CUT, v, reports)
        return
    v[_PART_BEGIN, lane], v[_PART_NEXT, lane] = t, v[_PART_STOP, lane]
    if 0 <= v[_BITS, lane] <= _MOST_BITS:
        v[_READING, lane], v[_PARAMETER, lane] = v[_POSITION, lane], v[_BITS, lane]
        v[_READ_END, lane] = end + 2 * _LONGEST


@_jit_inner
def _end_part(data, t, lane, v, x, reports):
    """End the partition of a lane before sample t; read it, if it could not be read in lanes."""
    end = 8 * v[_END, lane]
    v[_POSITION, lane] = (
        _read_alone(data, end, lane, v[_PART_BEGIN, lane], t, v, x)
        if v[_READ_END, lane] == _NEVER
        else v[_READING, lane]
    )
    if v[_POSITION, lane] < 0 or v[_POSITION, lane] > end:
        _fail(lane, CUT, v, reports)


@_jit_inner
def _read_long(data, t, v, x, reports):
    """Read sample t alone in the lanes where such are read: in one it has a long code, or none."""
    for lane in range(LANES):
        if v[_READ_END, lane] != _NEVER:
            end = 8 * v[_END, lane]
            v[_POSITION, lane] = v[_READING, lane]
            v[_READING, lane] = _read_alone(data, end, lane, t, t + 1, v, x)
            if v[_READING, lane] < 0:
                _fail(lane, CUT, v, reports)
                _go_on(data, t, lane, v, reports)


@_jit_inner
def _read_lanes(data, longest, v, x, reports):
    """Read the codes of all lanes to the ends of their frames."""
    t = np.int64(_WARM)
    for lane in range(LANES):
        _go_on(data, t, lane, v, reports)
    while t < longest:
        stop, room = min(longest, t + _CHUNK), np.int64(_NEVER)
        for lane in range(LANES):
            stop = min(stop, v[_PART_NEXT, lane])
            room = min(room, v[_READ_END, lane] - v[_READING, lane])
        done = _read_codes(data, v, x, t, min(stop, t + room // _LONGEST))
        if done == t:
            _read_long(data, t, v, x, reports)
            done += 1
        t = done
        for lane in range(LANES):
            if v[_PART_NEXT, lane] == t:
                _end_part(data, t, lane, v, x, reports)
                _go_on(data, t, lane, v, reports)


@_jit_inner
def _restore_alone(lane, size, v, x):
    """Undo the prediction of a frame in 64 bits, for what the lanes can't do."""
    order, shift = v[_ORDER, lane], v[_SHIFT, lane]
    for t in range(order, size):
        total = np.int64(0)
        for place in range(order):
            total += np.int64(v[_ALONE + place, lane]) * x[(t - 1 - place) * LANES + lane]
        x[t * LANES + lane] += total >> shift


@_jit_inner
def _plan_restoring(v, c, x):
    """Restore what lanes can't, set their coefficients; return the most that a lane has."""
    c[:_WARM] = 0
    most = np.int64(0)
    for lane in range(LANES):
        size, order = v[_SIZE, lane], v[_ORDER, lane]
        if size == 0:
            continue
        if order > _WARM or not v[_IS_EXACT, lane]:
            _restore_alone(lane, size, v, x)
            continue
        _restore_alone(lane, min(size, _WARM), v, x)
        most = max(most, order)
        for place in range(order):
            c[place, lane] = v[_ALONE + place, lane]
        c[_SHIFTS, lane] = v[_SHIFT, lane]
    return most


@numba.extending.intrinsic
def _copy_block(_context, x, _t, v, c, out):
    """Copy samples t to t + LANES of the lanes that want them, a place and t in the output."""

    def build(context, builder, signature, arguments):
        load, store = _lanes_of(context, builder, signature, arguments)

        def array(n):
            return context.make_array(signature.args[n])(context, builder, arguments[n]).data

        def row(field):
            start = builder.gep(array(2), [_number(field * LANES)])
            return builder.load(builder.bitcast(start, _repeat(0).type.as_pointer()), align=8)

        t = arguments[1]
        one = builder.insert_element(_repeat(0), t, _number(0))
        t_lanes = builder.shuffle_vector(one, one, _repeat(0, 32))
        is_wanted = builder.and_(
            builder.icmp_signed("<=", row(_FROM), t_lanes),
            builder.icmp_signed("<", t_lanes, row(_TO)),
        )
        wasted, bound, beyond, outside = (
            load(3, _number(n * LANES)) for n in (_SHIFTED, _BOUND, _BEYOND, _OUTSIDE)
        )
        narrow = ir.VectorType(ir.IntType(16), LANES)
        here, vectors = _repeat(0, 32), []
        for step in range(LANES):
            index = builder.mul(builder.add(t, _number(step)), _number(LANES))
            value = load(0, index)
            here = builder.or_(here, builder.and_(builder.add(value, bound), beyond))
            vectors.append(builder.trunc(builder.shl(value, wasted), narrow))
        here = builder.and_(here, builder.sext(is_wanted, here.type))
        store(builder.or_(outside, here), 3, _number(_OUTSIDE * LANES))
        width = 1
        while len(vectors) > 1:
            vectors = [
                builder.shuffle_vector(one, two, _zipped(width))
                for one, two in zip(vectors[::2], vectors[1::2], strict=True)
            ]
            width *= 2
        start, places = array(4), builder.add(row(_PLACE), t_lanes)
        for lane in range(LANES):
            part = ir.Constant(
                ir.VectorType(ir.IntType(32), LANES), [lane * LANES + n for n in range(LANES)]
            )
            samples = builder.shuffle_vector(vectors[0], ir.Constant(vectors[0].type, None), part)
            place = builder.extract_element(places, _number(lane))
            target = builder.bitcast(builder.gep(start, [place]), narrow.as_pointer())
            with builder.if_then(builder.extract_element(is_wanted, _number(lane))):
                builder.store(samples, target, align=2)
        return context.get_dummy_value()

    return numba.types.void(x, numba.types.intp, v, c, out), build


def _zipped(width: int) -> Any:
    """Return the order that puts `width` of one vector beside `width` of another, by lane."""
    other = width * LANES
    order = [
        part * other + lane * width + place
        for lane in range(LANES)
        for part in range(2)
        for place in range(width)
    ]
    return ir.Constant(ir.VectorType(ir.IntType(32), 2 * other), order)


@_jit_inner
def _copy_alone(lane, first, last, v, c, x, out):
    """Copy samples `first` to `last` of a lane; note in `c` if any is beyond 16 bits."""
    wasted, bound = c[_SHIFTED, lane], c[_BOUND, lane]
    for t in range(first, last):
        value = x[t * LANES + lane]
        c[_OUTSIDE, lane] |= np.int32(value + bound) & c[_BEYOND, lane]
        out[v[_PLACE, lane] + t] = np.int16(value << wasted)


@_jit_inner
def _wanted(lane, v):
    """Return which samples of a lane's frame are in its window: from, to; or 0, 0."""
    first = max(v[_START, lane] - v[_SAMPLE, lane], 0)
    last = min(v[_STOP, lane] - v[_SAMPLE, lane], v[_SIZE, lane])
    return (first, last) if first < last else (np.int64(0), np.int64(0))


@_jit_inner
def _plan_copying(v, c):
    """Set what is copied of each lane's frame as vectors; return from which sample on to which."""
    low, high = np.int64(_MAX_BLOCK), np.int64(0)
    for lane in range(LANES):
        first, last = _wanted(lane, v)
        # A frame ahead of the window has nothing to copy.
        if first < last:
            low, high = min(low, first), max(high, last)
    for lane in range(LANES):
        first, last = _wanted(lane, v)
        v[_FROM, lane] = min(first + (low - first) % LANES, last)
        v[_TO, lane] = max(last - (last - low) % LANES, v[_FROM, lane])
        v[_PLACE, lane] = v[_ORIGIN, lane] + v[_SAMPLE, lane]
        bound = 1 << (_SAMPLE_BITS - 1 - v[_WASTED, lane])
        c[_SHIFTED, lane], c[_BOUND, lane] = v[_WASTED, lane], bound
        c[_BEYOND, lane], c[_OUTSIDE, lane] = ~(2 * bound - 1), 0
    return low, high


@_jit_inner
def _restore_lanes(longest, v, c, x, out):
    """Undo the prediction of all lanes, and copy of each lane's frame what lies in its window.

    Behind a frame's samples up to a step more is changed. What is restored is copied at once:
    restoring waits for one result after the other, and meanwhile there is time to copy.
    """
    most = _plan_restoring(v, c, x)
    low, high = _plan_copying(v, c)
    at = low
    for t in range(_WARM, longest, _STEPS):
        if most > 8:
            _steps_12(x, t * LANES, c)
        else:
            _steps_8(x, t * LANES, c)
        if at <= t and at < high:
            _copy_block(x, at, v, c, out)
            at += LANES
    for t in range(at, high, LANES):
        _copy_block(x, t, v, c, out)
    for lane in range(LANES):
        first, last = _wanted(lane, v)
        _copy_alone(lane, first, v[_FROM, lane], v, c, x, out)
        _copy_alone(lane, v[_TO, lane], last, v, c, x, out)


@_jit_inner
def _end_frames(data, check, v, x, reports):
    """Read the frames that had to wait, and check all."""
    for lane in range(LANES):
        size, order = v[_SIZE, lane], v[_ORDER, lane]
        if size:
            end, status = v[_END, lane], np.int64(OK)
            if order > _WARM:
                depth = _SAMPLE_BITS - v[_WASTED, lane]
                status = _begin_predicted(data, 8 * end, lane, order, depth, True, size, v, x)
            if status == OK:
                status = _end_frame(data, lane, check, v)
            if status != OK:
                _fail(lane, status, v, reports)


@_jit_inner
def _next_frames(v, c, reports):
    """Have each lane go behind its frame, unless that held samples beyond 16 bits."""
    for lane in range(LANES):
        if v[_SIZE, lane]:
            if c[_OUTSIDE, lane]:
                _fail(lane, BAD_RANGE, v, reports)
            else:
                v[_AT, lane] = v[_NEXT_AT, lane]
                v[_SAMPLE, lane] += v[_SIZE, lane]


@entry("the FLAC decoder", seconds=15)
def decode_windows(data, windows, rate, out, check, reports):
    """Decode windows of clips.

    Args:
        data: uint8, the memory that the clips lie in; it ends with `PADDING`.
        windows: int64 (windows, `WINDOW_FIELDS`). A window has at least 1 sample, and the output
            has room for it; the bytes lie in `data`, all else of them may be wrong.
        rate: Of all clips.
        out: int16.
        check: Whether the CRC-16 of each frame is checked.
        reports: int64 (windows, `REPORT_FIELDS`), filled in.
    """
    x = np.empty((_MAX_BLOCK + _STEPS) * LANES, np.int32)
    v, c = np.zeros((_LANE_FIELDS, LANES), np.int64), np.zeros((_LANE_VECTORS, LANES), np.int32)
    v[_WINDOW], v[_ONES] = -1, 8 * (len(data) - _NUM_ONES)
    next_window = np.int64(0)
    while True:
        for lane in range(LANES):
            next_window = _fill_lane(
                data, windows, next_window, rate, lane, check, v, x, out, reports
            )
        longest = v[_SIZE].max()
        if longest == 0:
            return
        _read_lanes(data, longest, v, x, reports)
        _end_frames(data, check, v, x, reports)
        _restore_lanes(longest, v, c, x, out)
        _next_frames(v, c, reports)

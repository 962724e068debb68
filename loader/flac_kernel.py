"""FLAC frames → 16-bit samples: compiled, without Python's lock, safe on any bytes (RFC 9639).

Everything that is compiled stands in this one file although it is long: numba's cache notices
a change of the file that holds a function, not of the files that its callees come from.

Two steps, as two kinds of work. Reading a frame's Rice codes is one long chain of dependent
instructions. Undoing the prediction of a sample needs those just before it, but frames don't
depend on each other, so that `LANES` frames in a row are restored side by side: sample t of
frame l lies at `x[t * LANES + l]`, which the compiler turns into vector instructions.

No function raises; a negative position is a status. What keeps reads and writes in bounds:
- `data` is followed by `PAD_BYTES` zeros, and a read begins at most 16 bytes behind its clip;
- a frame's header bounds its samples by `x`, and partitions add up to exactly the frame;
- a frame is copied only where it and the window overlap, and the window lies in its row.
Numba lets a negative index wrap, so that a wrong one would still stay within its array.
"""
# Tuples of status and values and long argument lists, where Python would have exceptions and
# objects: both would cost an allocation for each frame.

from collections.abc import Callable
from typing import Any

import numba
import numba.extending
import numpy as np
from llvmlite import ir
from numba.cpython.unsafe.numbers import leading_zeros
from numpy.typing import NDArray

LANES = 8
PAD_BYTES = 32
REPORT_FIELDS = 5
"""Of each clip: status, byte offset in the clip, then rate, channels and samples it states."""

OK, CUT, NO_FLAC, OTHER_CLIP, BAD_HEADER = 0, 1, 2, 3, 4
BAD_SUBFRAME, BAD_RESIDUAL, BAD_CRC, BAD_ORDER, BAD_RANGE = 5, 6, 7, 8, 9

_MAX_BLOCK = 65536
_MAX_ORDER = 32
_MAX_LANE_ORDER = 12
_STEPS = 8
"""Samples of each lane that are restored in one go, without leaving the registers."""
_SAMPLE_BITS = 16
_PROBES = 12
"""Halvings of the bytes in the search for a frame; what is left is walked through."""


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


_CRC8 = _crc_table(0x07, 8, 1)
_CRC16 = _crc_table(0x8005, 16, 16).astype(np.uint16)  # small, to stay in the first cache
_FIXED = np.array(
    [[0, 0, 0, 0], [1, 0, 0, 0], [2, -1, 0, 0], [3, -3, 1, 0], [4, -6, 4, -1]], dtype=np.int32
)


def _jit(function: Callable[..., Any]) -> Any:
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # neither beside this file nor in the user's cache folder can be written
        return numba.njit(nogil=True)(function)


@_jit
def _load(data, byte):
    """Return 8 bytes as a big-endian number; LLVM makes one load of it."""
    at = np.uint64(byte)
    value = np.uint64(0)
    for place in range(8):
        value = value << np.uint64(8) | np.uint64(data[at + np.uint64(place)])
    return value


@_jit
def _bits(data, position, num_bits):
    """Return up to 32 bits; the caller checks that they lie in the clip."""
    window = _load(data, position >> 3) << np.uint64(position & 7)
    return np.int64(window >> np.uint64(32)) >> (32 - num_bits)


@_jit
def _signed(data, position, num_bits):
    value = _bits(data, position, num_bits)
    return value - ((value >> (num_bits - 1)) << num_bits) if num_bits else 0


@_jit
def _crc16(data, start, stop):
    crc, at = np.uint64(0), start
    while at + 16 <= stop:
        low, high = _load(data, at + 8), _load(data, at) ^ (crc << np.uint64(48))
        crc = np.uint64(0)
        for place in range(8):
            crc ^= np.uint64(_CRC16[np.uint64(256 * place) + (low & np.uint64(255))])
            low >>= np.uint64(8)
        for place in range(8, 16):
            crc ^= np.uint64(_CRC16[np.uint64(256 * place) + (high & np.uint64(255))])
            high >>= np.uint64(8)
        at += 16
    while at < stop:
        byte = crc >> np.uint64(8) ^ np.uint64(data[at])
        crc = (crc << np.uint64(8) ^ np.uint64(_CRC16[byte])) & np.uint64(0xFFFF)
        at += 1
    return np.int64(crc)


@_jit
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


@_jit
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


@_jit
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


@_jit
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


@_jit
def _code(window, bits):
    """Return the Rice code at the top of a window, unfolded to a sign, as it is, and its length.

    All three are of use only if the window holds the whole code.
    """
    zeros = np.int64(leading_zeros(window))
    used = zeros + 1 + bits
    # Shifts are taken modulo 64: beyond that LLVM's have no meaning.
    tail = np.int64(window >> np.uint64(-used & 63))
    value = ((zeros - 1) << bits) + tail
    return (value >> 1) ^ -(value & 1), value, used


@_jit
def _rice(data, position, end, bits, x, at, stop):
    """Read Rice codes into `x[at:stop:LANES]`; return the position behind them, or -1."""
    large = np.int64(0)
    while at < stop and position <= end:
        # 57 bits at least. Several codes from one load, as its latency is most of the time.
        window = _load(data, position >> 3) << np.uint64(position & 7)
        value_0, raw_0, used_0 = _code(window, bits)
        window <<= np.uint64(used_0 & 63)
        if at + 3 * LANES < stop:
            value_1, raw_1, used_1 = _code(window, bits)
            window <<= np.uint64(used_1 & 63)
            value_2, raw_2, used_2 = _code(window, bits)
            window <<= np.uint64(used_2 & 63)
            value_3, raw_3, used_3 = _code(window, bits)
            used = used_0 + used_1 + used_2 + used_3
            if used <= 57:
                x[at] = value_0
                x[at + LANES] = value_1
                x[at + 2 * LANES] = value_2
                x[at + 3 * LANES] = value_3
                large |= raw_0 | raw_1 | raw_2 | raw_3
                position += used
                at += 4 * LANES
                continue
        if used_0 > 57:
            raw_0, position = _long_code(data, position, end, bits)
            if position < 0:
                return np.int64(-1)
            value_0, used_0 = (raw_0 >> 1) ^ -(raw_0 & 1), 0
        x[at] = value_0
        large |= raw_0
        position += used_0
        at += LANES
    return position if position <= end and large >> 32 == 0 else np.int64(-1)


@_jit
def _plain(data, position, end, width, x, at, stop):
    """Read numbers of `width` bits into `x[at:stop:LANES]`; return what `_rice` does."""
    if position + (stop - at + LANES - 1) // LANES * width > end:
        return np.int64(-1)
    while at < stop:
        x[at] = _signed(data, position, width)
        position += width
        at += LANES
    return position


@_jit
def _residual(data, position, end, order, size, x, lane):
    """Read what follows the warm-up samples; return the position behind it, or a status."""
    method, splits = _bits(data, position, 2), _bits(data, position + 2, 4)
    position += 6
    per_part = size >> splits
    if method > 1 or per_part << splits != size or per_part < order:
        return np.int64(-BAD_RESIDUAL)
    width = 4 + method
    escape = (1 << width) - 1
    at = order * LANES + lane
    for part in range(1, (1 << splits) + 1):
        stop = part * per_part * LANES + lane
        bits = _bits(data, position, width)
        position += width
        if bits == escape:
            bits = _bits(data, position, 5)
            position = _plain(data, position + 5, end, bits, x, at, stop)
        else:
            position = _rice(data, position, end, bits, x, at, stop)
        if position < 0 or position > end:
            return np.int64(-CUT)
        at = stop
    return position


@_jit
def _restore_alone(x, lane, size, order, coefficients, shift):
    """Undo the prediction of one frame in 64 bits, for what the lanes can't do."""
    for t in range(order, size):
        total = np.int64(0)
        for place in range(order):
            total += np.int64(coefficients[place]) * x[(t - 1 - place) * LANES + lane]
        x[t * LANES + lane] += total >> shift


@_jit
def _put_in_lane(order, size, bound, shift, x, lane, c, shifts, alone):
    """Leave a lane to be restored with the others; or restore it, where it would not fit them."""
    if order > _MAX_LANE_ORDER or bound >= 1 << 31:
        _restore_alone(x, lane, size, order, alone, shift)
        return
    _restore_alone(x, lane, min(size, _MAX_LANE_ORDER), order, alone, shift)
    shifts[lane] = shift
    for place in range(order):
        c[place * LANES + lane] = alone[place]


@_jit
def _predicted(data, position, end, order, size, depth, is_linear, x, lane, c, shifts, alone):
    """Read a FIXED or LPC subframe; put its coefficients in the lane, or undo them here."""
    shift, precision = np.int64(0), np.int64(0)
    if order > size or position + order * depth + 6 > end:
        return np.int64(-CUT)
    position = _plain(data, position, end, depth, x, lane, order * LANES + lane)
    if is_linear:
        precision, shift = _bits(data, position, 4) + 1, _signed(data, position + 4, 5)
        position += 9
        if precision == 16 or shift < 0 or position + order * precision + 6 > end:
            return np.int64(-BAD_SUBFRAME)
    total = np.int64(0)
    for place in range(order):
        alone[place] = (
            _signed(data, position + place * precision, precision)
            if is_linear
            else _FIXED[order, place]
        )
        total += abs(np.int64(alone[place]))
    position += order * precision
    position = _residual(data, position, end, order, size, x, lane)
    if position < 0:
        return position
    # The products' sum fits 32 bits if this bound does.
    _put_in_lane(order, size, total << (depth - 1), shift, x, lane, c, shifts, alone)
    return position


@_jit
def _subframe(data, position, end, size, x, lane, c, shifts, wasted, alone):
    """Read a subframe into a lane; return the position behind it, or a status."""
    for place in range(_MAX_LANE_ORDER):
        c[place * LANES + lane] = 0
    shifts[lane] = 0
    wasted[lane] = 0
    kind = _bits(data, position, 7)
    position += 8
    if _bits(data, position - 1, 1):
        count = np.int64(leading_zeros(_load(data, position >> 3) << np.uint64(position & 7))) + 1
        if count >= _SAMPLE_BITS:
            return np.int64(-BAD_SUBFRAME)
        wasted[lane] = count
        position += count
    depth = _SAMPLE_BITS - wasted[lane]
    if kind == 0:
        value = _signed(data, position, depth)
        for t in range(size):
            x[t * LANES + lane] = value
        return position + depth
    if kind == 1:
        position = _plain(data, position, end, depth, x, lane, size * LANES + lane)
        return position if position >= 0 else np.int64(-CUT)
    if 8 <= kind <= 12 or 32 <= kind < 64:
        order = kind - 31 if kind >= 32 else kind - 8
        return _predicted(
            data, position, end, order, size, depth, kind >= 32, x, lane, c, shifts, alone
        )
    return np.int64(-BAD_SUBFRAME)


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
    def steps(_context, x, _at, c, shifts):
        def build(context, builder, signature, arguments):
            load, store = _lanes_of(context, builder, signature, arguments)
            at = arguments[1]
            shift = load(3, _number(0))
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

        return numba.types.void(x, numba.types.intp, c, shifts), build

    return steps


_steps_8 = _lane_steps(8)
_steps_12 = _lane_steps(_MAX_LANE_ORDER)


@_jit
def _restore_lanes(x, size, c, shifts):
    """Undo the prediction of all lanes from sample `_MAX_LANE_ORDER` on; up to a step more."""
    is_long = False
    for place in range(8 * LANES, _MAX_LANE_ORDER * LANES):
        is_long |= c[place] != 0
    for t in range(_MAX_LANE_ORDER, size, _STEPS):
        if is_long:
            _steps_12(x, t * LANES, c, shifts)
        else:
            _steps_8(x, t * LANES, c, shifts)


@numba.extending.intrinsic
def _transpose_lanes(_context, x, _at, widths, row_T, places):
    """Copy `LANES` samples of every lane, lane l to `row_T[places[l]:]`, as vectors.

    `widths` holds, by lane, the wasted bits, the bound of samples in 16 bits without these, the
    bits that are set beyond it, and gets those that were.
    """

    def build(context, builder, signature, arguments):
        load, store = _lanes_of(context, builder, signature, arguments)
        wasted, bound, beyond, outside = (load(2, _number(n * LANES)) for n in range(4))
        narrow = ir.VectorType(ir.IntType(16), LANES)
        vectors = []
        for step in range(LANES):
            value = load(0, builder.add(arguments[1], _number(step * LANES)))
            outside = builder.or_(outside, builder.and_(builder.add(value, bound), beyond))
            vectors.append(builder.trunc(builder.shl(value, wasted), narrow))
        store(outside, 2, _number(3 * LANES))
        width = 1
        while len(vectors) > 1:
            vectors = [
                builder.shuffle_vector(one, two, _zipped(width))
                for one, two in zip(vectors[::2], vectors[1::2], strict=True)
            ]
            width *= 2
        row = context.make_array(signature.args[3])(context, builder, arguments[3]).data
        array = context.make_array(signature.args[4])(context, builder, arguments[4]).data
        for lane in range(LANES):
            part = ir.Constant(
                ir.VectorType(ir.IntType(32), LANES), [lane * LANES + n for n in range(LANES)]
            )
            samples = builder.shuffle_vector(vectors[0], ir.Constant(vectors[0].type, None), part)
            place = builder.load(builder.gep(array, [_number(lane)]))
            target = builder.bitcast(builder.gep(row, [place]), narrow.as_pointer())
            builder.store(samples, target, align=2)
        return context.get_dummy_value()

    return numba.types.void(x, numba.types.intp, widths, row_T, places), build


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


@_jit
def _copy_lane(x, lane, first, last, wasted, row_T, at):
    """Copy samples `first` to `last` of a lane to `row_T[at:]`; return whether all fit 16 bits."""
    outside = np.int32(0)
    bound = np.int32(1 << (_SAMPLE_BITS - 1 - wasted))
    source = np.uint64(first * LANES + lane)
    for place in range(last - first):
        value = x[source]
        source += np.uint64(LANES)
        outside |= np.int32(value + bound) & ~np.int32(2 * bound - 1)
        row_T[np.uint64(at + place)] = np.int16(value << wasted)
    return outside == 0


@_jit
def _copy_all_lanes(x, first, last, wasted, offsets, row_T, widths, places):
    """Copy samples `first` to `last` of all lanes, lane l to `row_T[offsets[l] + first:]`.

    Returns the sample up to which that is done, or -1 where some don't fit 16 bits.
    """
    for lane in range(LANES):
        bound = 1 << (_SAMPLE_BITS - 1 - wasted[lane])
        widths[lane] = wasted[lane]
        widths[LANES + lane] = bound
        widths[2 * LANES + lane] = ~(2 * bound - 1)
        widths[3 * LANES + lane] = 0
    while first + LANES <= last:
        for lane in range(LANES):
            places[lane] = offsets[lane] + first
        _transpose_lanes(x, first * LANES, widths, row_T, places)
        first += LANES
    outside = np.int32(0)
    for lane in range(LANES):
        outside |= widths[3 * LANES + lane]
    return first if outside == 0 else np.int64(-1)


@_jit
def _next_header(data, start, stop, end):
    """Return where the next bytes that pass for a header begin, before `stop`, or -1."""
    at = start
    while at + 1 < stop:
        if data[np.uint64(at)] == 0xFF and _header(data, at, end)[0]:
            return at
        at += 1
    return np.int64(-1)


@_jit
def _seek(data, first, end, start):
    """Return (byte, sample) of a frame at or before sample `start`: by bytes alone, not proven.

    A header has no length of its frame. Halving the bytes and reading the sample number of the
    next header gets near; bytes inside a frame can imitate one, so the caller checks its CRC-16.
    """
    size, _, varies, _ = _header(data, first, end)
    scale = 1 if varies else size
    low, high, sample = first, end, np.int64(0)
    for _ in range(_PROBES):
        middle = low + (high - low) // 2
        at = _next_header(data, middle, high, end)
        number = _header(data, at, end)[1] if at >= 0 else start + 1
        if at >= 0 and number * scale <= start:
            low, sample = at, number * scale
        else:
            high = middle
        if sample + size > start or high - low < 64:
            break
    return low, sample


@_jit
def _read_frame(data, at, end, sample, nominal, varies, lane, check, work):
    """Read the frame at a byte into a lane; return the byte behind it or a status, and its size."""
    x, c, shifts, wasted, alone = work
    size, number, frame_varies, body = _header(data, at, end)
    if size == 0:
        return np.int64(-BAD_HEADER), size
    if frame_varies != varies or number * (1 if varies else nominal) != sample:
        return np.int64(-BAD_ORDER), size
    position = _subframe(data, body * 8, end * 8, size, x, lane, c, shifts, wasted, alone)
    if position < 0:
        return position, size
    stop = (position + 7) >> 3
    if stop + 2 > end:
        return np.int64(-CUT), size
    if check and _crc16(data, at, stop) != np.int64(data[stop]) << 8 | np.int64(data[stop + 1]):
        return np.int64(-BAD_CRC), size
    return stop + 2, size


@_jit
def _flush(x, c, shifts, wasted, firsts, sizes, used, start, row_T, num):
    """Restore the lanes in use and copy what is in the window; return whether all fit 16 bits."""
    longest, low, high = np.int64(0), np.int64(0), np.int64(_MAX_BLOCK)
    offsets, places = np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    for lane in range(used):
        longest = max(longest, sizes[lane])
        offsets[lane] = firsts[lane] - start
        low = max(low, -offsets[lane])
        high = min(high, sizes[lane], num - offsets[lane])
    _restore_lanes(x, longest, c, shifts)
    done = low
    if used == LANES and low < high:
        widths = np.empty(4 * LANES, np.int32)
        done = _copy_all_lanes(x, low, high, wasted, offsets, row_T, widths, places)
        if done < 0:
            return False
    for lane in range(used):
        first, last = max(-offsets[lane], 0), min(num - offsets[lane], sizes[lane])
        middle = min(low, last)
        if not (
            _copy_lane(x, lane, first, middle, wasted[lane], row_T, offsets[lane] + first)
            and _copy_lane(
                x,
                lane,
                max(done, first),
                last,
                wasted[lane],
                row_T,
                offsets[lane] + max(done, first),
            )
        ):
            return False
    return True


@_jit
def _decode_from(data, at, sample, end, varies, nominal, start, num, row_T, check, work):
    """Decode a window from a frame on; return a status and the byte it is about."""
    x, c, shifts, wasted, _ = work
    firsts, sizes, bytes_at = np.zeros(LANES, np.int64), np.zeros(LANES, np.int64), at
    lane = 0
    while sample < start + num:
        begin = at
        at, size = _read_frame(data, at, end, sample, nominal, varies, lane, check, work)
        if at < 0:
            return -at, begin
        firsts[lane], sizes[lane] = sample, size
        # A frame that ends before the window keeps its lane for the next one.
        lane += sample + size > start
        sample += size
        if lane == LANES or (lane and sample >= start + num):
            if not _flush(x, c, shifts, wasted, firsts, sizes, lane, start, row_T, num):
                return np.int64(BAD_RANGE), bytes_at
            lane, bytes_at = 0, at
    return np.int64(OK), at


@_jit
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


@_jit
def _decode_clip(data, begin, end, start, num, clip, rate, row_T, check, work, report):
    """Decode one clip's window; leave status and byte in the report."""
    report[:] = 0
    first = _first_frame(data, begin, end, report)
    if first < 0:
        report[0] = NO_FLAC
        return
    if report[2] != rate or report[3] != 1 or report[4] != clip:
        report[0] = OTHER_CLIP
        return
    size, _, varies, _ = _header(data, first, end)
    at, sample = first, np.int64(0)
    if size and start >= size:
        at, sample = _seek(data, first, end, start)
    status, place = _decode_from(
        data, at, sample, end, varies, size, start, num, row_T, check or at > first, work
    )
    if status != OK and at > first:
        # Perhaps no frame began there; frame by frame from the first on there is no doubt.
        status, place = _decode_from(
            data, first, np.int64(0), end, varies, size, start, num, row_T, check, work
        )
    row_T[num:] = 0
    report[0], report[1] = status, place - begin


@_jit
def decode_clips(data, ends, starts, nums, clips, rate, out_BT, rows, check, reports):
    """Decode windows of clips that lie one behind the other in `data`, each into its row.

    Args:
        data: uint8; the clips and `PAD_BYTES` zeros.
        ends: int64, ascending: the byte behind each clip.
        starts: First sample of each window.
        nums: Samples of each window, at least 1, at most a row's length.
        clips: Samples of each clip.
        rate: Their rate.
        out_BT: int16 rows; behind its window a row is set to zero.
        rows: Which row belongs to each clip.
        check: Whether the CRC-16 of each frame is checked.
        reports: int64 (clips, `REPORT_FIELDS`), filled in.
    """
    x = np.zeros((_MAX_BLOCK + _STEPS) * LANES, np.int32)
    c, shifts = np.zeros(_MAX_LANE_ORDER * LANES, np.int32), np.zeros(LANES, np.int32)
    wasted, alone = np.zeros(LANES, np.int64), np.zeros(_MAX_ORDER, np.int32)
    work = x, c, shifts, wasted, alone
    begin = np.int64(0)
    for clip in range(len(ends)):
        _decode_clip(
            data,
            begin,
            ends[clip],
            starts[clip],
            nums[clip],
            clips[clip],
            rate,
            out_BT[rows[clip]],
            check,
            work,
            reports[clip],
        )
        begin = ends[clip]

"""16-bit mono samples → FLAC frames: compiled, without Python's lock (RFC 9639).

The same samples give the same bytes on any machine. What the choices rest on is integers, or
floating-point sums of integers below 2**53, which are exact in whatever order they are added;
what is left (the recursion that gives the predictor, and what it is thought to save) is plain IEEE
arithmetic in a fixed order, without a library's functions and without fused operations.

No function raises. What keeps writes in bounds: a frame whose estimate, an upper bound, exceeds
that of the samples as they are is written as these are.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba.cpython.unsafe.numbers import leading_zeros
from numpy.typing import NDArray

from shardwriter.compiled import entry, jit

MAX_ORDER = 8
"""Of the linear predictor; that of the reference encoder's default level."""
MAX_PARTITION_ORDER = 6
MAX_FRAME_OVERHEAD_BYTES = 32
"""Frame header, subframe header and checksum, and what a word at the end may reach beyond."""

_MAX_RICE = 14  # 15 says that a partition isn't Rice coded
_SAMPLE_BITS = 16
_MAX_SHIFT = 15
_MAX_COEFFICIENT_BITS = 13
_CONSTANT, _VERBATIM, _FIXED, _LINEAR = 0, 1, 8, 32
_TWO_OVER_LN_2 = 2.8853900817779268
_SHORT_SUM = 4096
"""Samples whose largest differences, 16 times 32,768, add up to less than 2**32."""
_SMALL_SIZE = np.uint32(1 << 20)
"""So many sizes below this do so too."""
_ZERO, _ONE = np.uint64(0), np.uint64(1)
_WORD_BITS = np.uint64(64)
_MAX_PUT_BITS = np.uint64(56)
"""What fits a word beside the up to seven bits that wait for their byte to be full."""


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


_FIXED_COEFFICIENTS = np.zeros((5, MAX_ORDER), np.int32)
_FIXED_COEFFICIENTS[1:, :4] = [[1, 0, 0, 0], [2, -1, 0, 0], [3, -3, 1, 0], [4, -6, 4, -1]]

_CRC8 = _crc_table(0x07, 8, 1)
_CRC16 = _crc_table(0x8005, 16, 16).astype(np.uint16)


def _jit_exact_sums(function: Callable[..., Any]) -> Any:
    """Let sums be reordered, where every partial sum is an exact integer."""
    return jit(function, fastmath={"reassoc", "contract"})


@entry("the FLAC encoder", seconds=15)
def encode_frames(pcm, frame_num_samples, header, last_header, window, last_window, out, offsets):
    """Write every frame; return the number of bytes.

    `header` and `last_header` are bytes 2, 3 and those behind the frame number, the latter for
    the last frame, which may be shorter. `window` and `last_window` weight a frame's samples.
    `offsets` gets where each frame begins in `out`.
    """
    # Zeros in front, so that every sample has MAX_ORDER samples before it.
    padded = np.zeros(MAX_ORDER + frame_num_samples, np.int32)
    block = padded[MAX_ORDER:]
    residual = np.empty(frame_num_samples, np.int32)
    folded = np.empty(frame_num_samples, np.uint32)
    weighted = np.zeros(MAX_ORDER + frame_num_samples, np.float64)
    parameters = np.empty((2, 1 << MAX_PARTITION_ORDER), np.int64)
    sums = np.empty(1 << MAX_PARTITION_ORDER, np.int64)
    position = 0
    num_frames = len(offsets)
    for number in range(num_frames):
        start = number * frame_num_samples
        count = min(frame_num_samples, len(pcm) - start)
        is_last = number == num_frames - 1
        offsets[number] = position
        begin = position
        for i in range(count):
            block[i] = pcm[start + i]
        position = _write_header(out, position, number, last_header if is_last else header)
        position = _write_subframe(
            out, position, padded, count, last_window if is_last else window, weighted,
            residual, folded, parameters, sums,
        )  # fmt: skip
        crc = _crc16(out[begin:position])
        out[position] = crc >> 8
        out[position + 1] = crc & 0xFF
        position += 2
    return position


@jit
def _write_header(out, position, number, header):
    begin = position
    out[position] = 0xFF
    out[position + 1] = 0xF8  # blocks of a fixed size
    out[position + 2] = header[0]
    out[position + 3] = header[1]
    position = _write_number(out, position + 4, number)
    for i in range(2, len(header)):
        out[position] = header[i]
        position += 1
    crc = 0
    for i in range(begin, position):
        crc = _CRC8[crc ^ out[i]]
    out[position] = crc
    return position + 1


@jit
def _write_number(out, position, number):
    """Write a frame's number as UTF-8 would write that character."""
    if number < 0x80:
        out[position] = number
        return position + 1
    num_more = 1
    while number >> (6 * num_more + 6 - num_more):
        num_more += 1
    lead = 0xFF00 >> (num_more + 1) & 0xFF
    out[position] = lead | number >> (6 * num_more)
    for i in range(num_more):
        out[position + 1 + i] = 0x80 | number >> (6 * (num_more - 1 - i)) & 0x3F
    return position + 1 + num_more


@jit
def _write_subframe(
    out, position, padded, count, window, weighted, residual, folded, parameters, sums
):  # fmt: skip
    """Write the samples in the way that is estimated to take the fewest bits."""
    block = padded[MAX_ORDER:]
    if _is_constant(block, count):
        out[position] = _CONSTANT << 1
        out[position + 1] = block[0] >> 8 & 0xFF
        out[position + 2] = block[0] & 0xFF
        return position + 3
    fixed_order, fixed_total = _best_fixed_order(padded, count)
    coefficients = np.zeros(MAX_ORDER, np.int32)
    order, precision, shift = _predictor(block, count, window, weighted, coefficients)
    header_bits = order * precision + 9
    is_linear = False
    if order:
        total = _linear_residual(padded, count, order, coefficients, shift, residual)
        is_linear = (
            _rice_bits(total, count - order)[0] + order * _SAMPLE_BITS + header_bits
            < _rice_bits(fixed_total, count - fixed_order)[0] + fixed_order * _SAMPLE_BITS
        )
    if not is_linear:
        order, header_bits = fixed_order, 0
        _linear_residual(padded, count, order, _FIXED_COEFFICIENTS[order], 0, residual)
    _fold(residual, count, folded)
    bits, partitions = _plan_rice(folded, count, order, parameters, sums)
    if bits + order * _SAMPLE_BITS + header_bits >= count * _SAMPLE_BITS:
        return _write_verbatim(out, position, block, count)

    kind = _LINEAR | order - 1 if is_linear else _FIXED | order
    acc, held, place = _put(out, _ZERO, _ZERO, np.uint64(position), kind << 1, 8)
    for i in range(order):
        acc, held, place = _put(out, acc, held, place, block[i] & 0xFFFF, 16)
    if is_linear:
        acc, held, place = _put(out, acc, held, place, precision - 1, 4)
        acc, held, place = _put(out, acc, held, place, shift, 5)
        for i in range(order):
            coefficient = coefficients[i] & ((1 << precision) - 1)
            acc, held, place = _put(out, acc, held, place, coefficient, precision)
    acc, held, place = _write_residual(
        out, acc, held, place, folded, count, order, parameters[0], partitions
    )
    return np.int64(place) + (held > _ZERO)  # zeros fill the last byte


@jit
def _is_constant(block, count):
    num_same = 0
    for i in range(count):
        num_same += block[i] == block[0]
    return num_same == count


@jit
def _write_verbatim(out, position, block, count):
    out[position] = _VERBATIM << 1
    position += 1
    for i in range(count):
        out[position] = block[i] >> 8 & 0xFF
        out[position + 1] = block[i] & 0xFF
        position += 2
    return position


@jit
def _best_fixed_order(padded, count):
    """Return the order, 0 to 4, whose differences are smallest, and twice their sum."""
    total0 = total1 = total2 = total3 = total4 = 0
    for start in range(min(count, 4), count, _SHORT_SUM):
        part = padded[MAX_ORDER + start - 4 : MAX_ORDER + min(start + _SHORT_SUM, count)]
        sums = _sum_differences(part[4:], part[3:], part[2:], part[1:], part)
        total0 += sums[0]
        total1 += sums[1]
        total2 += sums[2]
        total3 += sums[3]
        total4 += sums[4]
    best, order = total0, 0
    if count > 5:
        if total1 < best:
            best, order = total1, 1
        if total2 < best:
            best, order = total2, 2
        if total3 < best:
            best, order = total3, 3
        if total4 < best:
            best, order = total4, 4
    return order, 2 * best


@jit
def _sum_differences(x0, x1, x2, x3, x4):
    """Sum the differences of each order, at most 16 times a sample, in 32 bits: twice as fast."""
    total0 = total1 = total2 = total3 = total4 = np.uint32(0)
    for i in range(len(x0)):
        total0 = np.uint32(total0 + abs(x0[i]))
        total1 = np.uint32(total1 + abs(np.int32(x0[i] - x1[i])))
        total2 = np.uint32(total2 + abs(np.int32(x0[i] - 2 * x1[i] + x2[i])))
        total3 = np.uint32(total3 + abs(np.int32(x0[i] - 3 * x1[i] + 3 * x2[i] - x3[i])))
        total4 = np.uint32(
            total4 + abs(np.int32(x0[i] - 4 * x1[i] + 6 * x2[i] - 4 * x3[i] + x4[i]))
        )
    return np.int64(total0), np.int64(total1), np.int64(total2), np.int64(total3), np.int64(total4)


@_jit_exact_sums
def _autocorrelation(weighted, count, products):
    """Sum the products of samples at each distance; zeros in front stand for no product."""
    w0 = weighted[MAX_ORDER : MAX_ORDER + count]
    w1, w2, w3, w4 = weighted[7:], weighted[6:], weighted[5:], weighted[4:]
    w5, w6, w7, w8 = weighted[3:], weighted[2:], weighted[1:], weighted[0:]
    p0 = p1 = p2 = p3 = p4 = p5 = p6 = p7 = p8 = 0.0
    for i in range(len(w0)):
        value = w0[i]
        p0 += value * value
        p1 += value * w1[i]
        p2 += value * w2[i]
        p3 += value * w3[i]
        p4 += value * w4[i]
        p5 += value * w5[i]
        p6 += value * w6[i]
        p7 += value * w7[i]
        p8 += value * w8[i]
    products[0], products[1], products[2], products[3] = p0, p1, p2, p3
    products[4], products[5], products[6], products[7] = p4, p5, p6, p7
    products[8] = p8


@jit
def _predictor(block, count, window, weighted, coefficients):
    """Find the linear predictor; return its order (0: none), precision and shift.

    The Levinson-Durbin recursion gives one of each order; the order is the one whose samples are
    estimated to take the fewest bits, from the error that remains (as the reference encoder does).
    """
    if count <= 2 * MAX_ORDER:
        return 0, 0, 0
    samples = weighted[MAX_ORDER:]
    for i in range(count):
        samples[i] = np.floor(block[i] * window[i])
    products = np.empty(MAX_ORDER + 1, np.float64)
    _autocorrelation(weighted, count, products)
    if products[0] <= 0.0:
        return 0, 0, 0
    precision = _precision(count)
    linear = np.zeros(MAX_ORDER, np.float64)
    best = np.zeros(MAX_ORDER, np.float64)
    error, best_bits, order = products[0], np.inf, 0
    for step in range(MAX_ORDER):
        error = _extend(linear, products, step, error)
        # Bits of a residual whose samples are Laplace distributed with this error.
        bits = max(0.0, 0.5 * _log2(max(error, 1e-9) * 0.5 / count)) * (count - step - 1)
        bits += (step + 1) * (precision + _SAMPLE_BITS)
        if bits < best_bits:
            best_bits, order = bits, step + 1
            best[:] = linear
        if error <= 0.0:
            break
    return _quantise(best, order, precision, coefficients)


@jit
def _log2(value):
    """Return the binary logarithm, to 7 digits: a library's is not the same on every machine.

    2 artanh((m - 1) / (m + 1)) = ln(m), of which the series' first terms are taken.
    """
    mantissa, exponent = math.frexp(value)
    if mantissa < 0.7071067811865476:
        mantissa, exponent = 2.0 * mantissa, exponent - 1
    ratio = (mantissa - 1.0) / (mantissa + 1.0)
    square = ratio * ratio
    series = 1.0 + square * (1.0 / 3.0 + square * (1.0 / 5.0 + square * (1.0 / 7.0)))
    return exponent + _TWO_OVER_LN_2 * ratio * series


@jit
def _extend(linear, products, step, error):
    """Turn the predictor of order `step` into that of the next; return the error it leaves."""
    reflection = -products[step + 1]
    for j in range(step):
        reflection -= linear[j] * products[step - j]
    reflection /= error
    linear[step] = reflection
    for j in range(step >> 1):
        held = linear[j]
        linear[j] += reflection * linear[step - 1 - j]
        linear[step - 1 - j] += reflection * held
    if step & 1:
        linear[step >> 1] += linear[step >> 1] * reflection
    return error * (1.0 - reflection * reflection)


@jit
def _precision(count):
    """Return the bits of a coefficient, by the block size as the reference encoder has it."""
    precision, limit = 7, 192
    while count > limit and precision < _MAX_COEFFICIENT_BITS:
        precision += 1
        limit *= 2
    return precision


@jit
def _quantise(best, order, precision, coefficients):
    """Round coefficients to integers, each taking over the rounding error of those before it."""
    largest = 0.0
    for j in range(order):
        largest = max(largest, abs(best[j]))
    if not 0.0 < largest < 1e6:
        return 0, 0, 0
    shift, scaled = precision - 1, largest
    while scaled >= 1.0:
        scaled *= 0.5
        shift -= 1
    while scaled < 0.5 and shift < _MAX_SHIFT:
        scaled *= 2.0
        shift += 1
    if shift < 0:
        return 0, 0, 0
    shift = min(shift, _MAX_SHIFT)
    limit = 1 << (precision - 1)
    error, scale = 0.0, float(1 << shift)
    for j in range(order):
        error -= best[j] * scale  # the recursion gives the filter that leaves the residual
        rounded = int(np.floor(error + 0.5))
        rounded = min(max(rounded, -limit), limit - 1)
        coefficients[j] = rounded
        error -= rounded
    return order, precision, shift


@jit
def _linear_residual(padded, count, order, coefficients, shift, residual):
    """Subtract the prediction; return the sum of what is left, folded.

    A prediction fits 32 bits: 16 of a sample, 12 of a coefficient, 3 for the sum of eight.
    """
    x0 = padded[MAX_ORDER : MAX_ORDER + count]
    x1, x2, x3, x4 = padded[7:], padded[6:], padded[5:], padded[4:]
    x5, x6, x7, x8 = padded[3:], padded[2:], padded[1:], padded[0:]
    c1, c2, c3, c4 = coefficients[0], coefficients[1], coefficients[2], coefficients[3]
    c5, c6, c7, c8 = coefficients[4], coefficients[5], coefficients[6], coefficients[7]
    bits = np.int32(shift)
    if order <= 4:
        for i in range(count):
            guess = np.int32(c1 * x1[i] + c2 * x2[i] + c3 * x3[i] + c4 * x4[i])
            residual[i] = x0[i] - (guess >> bits)
    else:
        for i in range(count):
            guess = np.int32(
                c1 * x1[i] + c2 * x2[i] + c3 * x3[i] + c4 * x4[i]
                + c5 * x5[i] + c6 * x6[i] + c7 * x7[i] + c8 * x8[i]
            )  # fmt: skip
            residual[i] = x0[i] - (guess >> bits)
    total = 0
    for start in range(order, count, _SHORT_SUM):
        total += _sum_sizes(residual[start : min(start + _SHORT_SUM, count)])
    return 2 * total


@jit
def _sum_sizes(residual):
    """Sum up to `_SHORT_SUM` sizes: in 32 bits, four times as fast, where they are small enough."""
    total, all_bits = np.uint32(0), np.uint32(0)
    for i in range(len(residual)):
        size = np.uint32(abs(residual[i]))
        total = np.uint32(total + size)
        all_bits = np.uint32(all_bits | size)
    if all_bits < _SMALL_SIZE:
        return np.int64(total)
    exact = np.int64(0)
    for i in range(len(residual)):
        exact += abs(np.int64(residual[i]))
    return exact


@jit
def _fold(residual, count, folded):
    """Map 0, -1, 1, -2, ... to 0, 1, 2, 3, ..."""
    for i in range(count):
        value = residual[i]
        folded[i] = np.uint32((value << 1) ^ (value >> 31))


@jit
def _sum_partitions(folded, count, order, sums):
    """Sum over the finest partitions that the frame can have; return their order."""
    finest = MAX_PARTITION_ORDER
    while finest and (count & ((1 << finest) - 1) or count >> finest <= order):
        finest -= 1
    size = count >> finest
    folded[:order] = 0  # these samples are written as they are
    for partition in range(1 << finest):
        part = folded[partition * size : (partition + 1) * size]
        total = np.int64(0)
        for i in range(len(part)):
            total += part[i]
        sums[partition] = total
    return finest


@jit
def _plan_rice(folded, count, order, parameters, sums):
    """Choose partitions and their parameters; return an upper bound of the bits, and the order.

    Sums over the finest partitions give those of the coarser ones. Each sum bounds the bits of
    its unary parts: those of a partition are at most its sum shifted by the parameter.
    `parameters[0]` gets the choice; `parameters[1]` is room to work in.
    """
    finest = _sum_partitions(folded, count, order, sums)
    best_bits, best = np.int64(1) << 60, 0
    for level in range(finest, -1, -1):
        bits = np.int64(6)
        for partition in range(1 << level):
            length = (count >> level) - (order if partition == 0 else 0)
            part_bits, parameters[1, partition] = _rice_bits(sums[partition], length)
            bits += 4 + part_bits
        if bits < best_bits:
            best_bits, best = bits, level
            parameters[0, : 1 << level] = parameters[1, : 1 << level]
        for partition in range(1 << level >> 1):
            sums[partition] = sums[2 * partition] + sums[2 * partition + 1]
    return best_bits, best


@jit
def _rice_bits(total, length):
    """Return the least bound of a partition's bits, and the parameter that has it."""
    parameter = 0
    if total > length:
        # The mean lies between two powers of two: the parameter is one of these.
        zeros, most = leading_zeros(np.uint64(total)), leading_zeros(np.uint64(length))
        parameter = min(np.int64(most) - np.int64(zeros), _MAX_RICE)
    bits = length * (1 + parameter) + (total >> parameter)
    if parameter:
        fewer = length * parameter + (total >> (parameter - 1))
        if fewer <= bits:
            return fewer, parameter - 1
    return bits, parameter


@jit
def _write_residual(out, acc, held, position, folded, count, order, parameters, partitions):
    """Write the partitions, two samples at a time."""
    acc, held, position = _put(out, acc, held, position, partitions, 6)  # two bits: 4-bit method
    size = count >> partitions
    for partition in range(1 << partitions):
        acc, held, position = _put(out, acc, held, position, parameters[partition], 4)
        parameter = np.uint64(parameters[partition])
        i = np.uint64(max(partition * size, order))
        stop = np.uint64((partition + 1) * size)
        if (stop - i) & _ONE:
            acc, held, position = _put_rice(
                out, acc, held, position, np.uint64(folded[i]), parameter
            )
            i += _ONE
        stop_bit = _ONE << parameter
        mask = stop_bit - _ONE
        while i < stop:
            one, two = np.uint64(folded[i]), np.uint64(folded[i + _ONE])
            num_two = (two >> parameter) + parameter + _ONE
            num_bits = (one >> parameter) + parameter + _ONE + num_two
            if num_bits <= _MAX_PUT_BITS:
                code = (one & mask | stop_bit) << num_two | (two & mask | stop_bit)
                acc, held, position = _put(out, acc, held, position, code, num_bits)
            else:
                acc, held, position = _put_rice(out, acc, held, position, one, parameter)
                acc, held, position = _put_rice(out, acc, held, position, two, parameter)
            i += np.uint64(2)
    return acc, held, position


@jit
def _put_rice(out, acc, held, position, value, parameter):
    """Append one sample: so many zeros, a one, and the bits that are left."""
    zeros = value >> parameter
    while zeros > np.uint64(32):
        acc, held, position = _put(out, acc, held, position, 0, 32)
        zeros -= np.uint64(32)
    stop_bit = _ONE << parameter
    code = value & (stop_bit - _ONE) | stop_bit
    return _put(out, acc, held, position, code, zeros + parameter + _ONE)


@jit
def _put(out, acc, held, position, value, num_bits):
    """Append 1 to 56 bits.

    The first `held` bits of `acc`, less than eight, are those that don't fill a byte yet; behind
    them are zeros. Up to seven bytes behind what is written change.
    """
    num_bits = np.uint64(num_bits)
    acc |= np.uint64(value) << (_WORD_BITS - held - num_bits)
    _store(out, position, acc)
    held += num_bits
    return acc << (held & np.uint64(56)), held & np.uint64(7), position + (held >> np.uint64(3))


@jit
def _store(out, position, word):
    """Write eight bytes; the compiler makes one store of it."""
    out[position] = np.uint8(word >> np.uint64(56))
    out[position + np.uint64(1)] = np.uint8(word >> np.uint64(48))
    out[position + np.uint64(2)] = np.uint8(word >> np.uint64(40))
    out[position + np.uint64(3)] = np.uint8(word >> np.uint64(32))
    out[position + np.uint64(4)] = np.uint8(word >> np.uint64(24))
    out[position + np.uint64(5)] = np.uint8(word >> np.uint64(16))
    out[position + np.uint64(6)] = np.uint8(word >> np.uint64(8))
    out[position + np.uint64(7)] = np.uint8(word)


@jit
def _crc16(data):
    """Return the remainder, 16 bytes at a time, each through the table of its place."""
    crc = np.uint64(0)
    num_whole = np.uint64(len(data) & ~15)
    i = np.uint64(0)
    while i < num_whole:
        rest = np.uint16(0)
        for place in range(2, 16):
            byte = np.uint64(data[i + np.uint64(place)])
            rest ^= _CRC16[np.uint64((15 - place) * 256) + byte]
        first = np.uint64(data[i]) ^ crc >> np.uint64(8)
        second = np.uint64(data[i + _ONE]) ^ crc & np.uint64(0xFF)
        crc = np.uint64(
            rest ^ _CRC16[np.uint64(15 * 256) + first] ^ _CRC16[np.uint64(14 * 256) + second]
        )
        i += np.uint64(16)
    while i < np.uint64(len(data)):
        top = crc >> np.uint64(8) ^ np.uint64(data[i])
        crc = (crc << np.uint64(8) & np.uint64(0xFF00)) ^ np.uint64(_CRC16[top])
        i += _ONE
    return np.int64(crc)

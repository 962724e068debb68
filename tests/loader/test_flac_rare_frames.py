"""Frames that encoders rarely write, made bit by bit: each subframe, size, rate and number."""

import numpy as np
import pytest

from tests.loader import flac_bits as bits
from tests.loader.flac_decoding import by_libsndfile, decode


def hand_made() -> dict[str, tuple[bits.Bits, list[int]]]:
    """Subframes of 64 samples by name, beside the samples that are in them."""
    values = bits.noise(64)
    even = [4 * value for value in values]
    rng = np.random.default_rng(2)
    made = {
        "constant": (bits.constant(-32768), [-32768] * 64),
        "constant, wasted bits": (bits.constant(-5, wasted=3), [-40] * 64),
        "verbatim": (bits.verbatim(values), values),
        "verbatim, wasted bits": (bits.verbatim(even, wasted=2), even),
        "15 wasted bits": (bits.verbatim([0, -32768] * 32, wasted=15), [0, -32768] * 32),
        "fixed, wasted bits": (bits.fixed(even, 3, wasted=2), even),
        "long unary runs": (bits.fixed(values, 2, parameter=0), values),
        "escape of no bits": (bits.fixed([7] * 64, 1, parameter=None), [7] * 64),
        "most partitions": (bits.fixed(values, 0, splits=6), values),
        "first partition empty": (bits.fixed(values, 4, splits=4), values),
    }
    for order in range(5):
        for parameter in (3, 9, None):
            for method in (0, 1):
                name = f"fixed {order}, parameter {parameter}, method {method}"
                coded = bits.fixed(values, order, splits=2, method=method, parameter=parameter)
                made[name] = (coded, values)
    for order in range(1, 33):
        for size, shift in ((1 << 14, 12), (40, 5), (3, 0)):
            c = rng.integers(-size, size, order).tolist()
            coded = bits.linear(values, c, shift=shift, method=1, parameter=18)
            made[f"linear {order}, coefficients to {size}"] = (coded, values)
    return made


@pytest.mark.parametrize("name", list(hand_made()))
def test_subframes_that_encoders_rarely_write_are_bit_exact(name: str) -> None:
    subframe, values = hand_made()[name]
    # The second frame differs, so that lanes of one group hold different kinds.
    other = bits.fixed(values, 2)
    frames = [bits.frame(sub, 64, number) for number, sub in enumerate([subframe, other, subframe])]
    data = bits.stream(frames, 192, block=(64, 64))
    expected = np.array(values * 3, dtype=np.int16)
    assert np.array_equal(by_libsndfile(data), expected)
    assert np.array_equal(decode(data, 192), expected)
    assert np.array_equal(decode(data, 192, start=130, num=50), expected[130:180])


def test_frames_of_varying_length_are_bit_exact() -> None:
    sizes = [16, 300, 17, 64, 4096, 1, 65535, 5, 70] * 3
    values = bits.noise(sum(sizes), peak=30)
    frames, at = [], 0
    for size in sizes:
        frames.append(
            bits.frame(bits.fixed(values[at : at + size], min(size, 1)), size, at, varies=True)
        )
        at += size
    data = bits.stream(frames, at)
    expected = np.array(values, dtype=np.int16)
    assert np.array_equal(decode(data, at), expected)
    for start in range(0, at - 700, 4099):
        assert np.array_equal(decode(data, at, start=start, num=700), expected[start : start + 700])


SIZES = {1: 192, 2: 576, 3: 1152, 4: 2304, 5: 4608, 6: 200, 7: 777} | {
    code: 1 << code for code in range(8, 16)
}


@pytest.mark.parametrize("code", SIZES)
def test_every_code_of_block_size_and_rate_is_read(code: int) -> None:
    size = SIZES[code]
    for rate_code in range(15):
        field = b"\x08" if rate_code == 12 else b"\x1f\x40" if rate_code > 12 else b""
        frames = [
            bits.frame(bits.constant(number + 1), size, number, block_code=code,
                       rate_code=rate_code, rate_field=field)
            for number in range(3)
        ]  # fmt: skip
        got_T = decode(bits.stream(frames, 3 * size), 3 * size)
        assert np.array_equal(got_T, np.repeat([1, 2, 3], size))


def test_frame_numbers_of_every_width_are_read() -> None:
    step = 65535
    frames = [bits.frame(bits.constant(n % 99), step, n) for n in range(2100)]
    total = step * len(frames)
    data = bits.stream(frames, total)
    start = 2070 * step - 10
    got_T = decode(data, total, start=start, num=30)
    assert np.array_equal(got_T, np.repeat([2069 % 99, 2070 % 99], [10, 20]))
    sample = 0x7_0000_0000
    assert bits.coded_number(sample) == bytes([0xFE, 0x9C, *[0x80] * 5])

"""A writer of FLAC, bit by bit: for what libFLAC never or rarely emits, and for what is wrong."""

from collections.abc import Iterable, Sequence

import numpy as np


def crc(data: bytes, polynomial: int, num_bits: int) -> int:
    value, top = 0, 1 << (num_bits - 1)
    for byte in data:
        value ^= byte << (num_bits - 8)
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & (2 * top - 1)
    return value


class Bits:
    def __init__(self) -> None:
        self._texts: list[str] = []

    def put(self, value: int, num_bits: int) -> "Bits":
        if num_bits:
            self._texts.append(format(value & (1 << num_bits) - 1, f"0{num_bits}b"))
        return self

    def unary(self, zeros: int) -> "Bits":
        self._texts.append("0" * zeros + "1")
        return self

    def add(self, other: "Bits") -> "Bits":
        self._texts += other._texts
        return self

    def to_bytes(self) -> bytes:
        text = "".join(self._texts)
        text += "0" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big") if text else b""


def coded_number(number: int) -> bytes:
    if number < 0x80:
        return bytes([number])
    width = next(width for width in range(2, 8) if number < 1 << (5 * width + 1))
    tail = [0x80 | number >> 6 * place & 0x3F for place in reversed(range(width - 1))]
    return bytes([(0xFF00 >> width & 0xFF) | number >> 6 * (width - 1), *tail])


def frame(
    subframe: Bits,
    num_samples: int,
    number: int,
    *,
    varies: bool = False,
    rate_code: int = 0,
    rate_field: bytes = b"",
    block_code: int = 7,
) -> bytes:
    """One frame; `block_code` 7 and 6 have their field, others are up to the caller."""
    field = {6: 1, 7: 2}.get(block_code, 0)
    head = bytes([0xFF, 0xF8 | varies, block_code << 4 | rate_code, 0x08]) + coded_number(number)
    head += (num_samples - 1).to_bytes(2, "big")[2 - field :] + rate_field
    data = head + bytes([crc(head, 0x07, 8)]) + subframe.to_bytes()
    return data + crc(data, 0x8005, 16).to_bytes(2, "big")


def stream(
    frames: Iterable[bytes],
    num_samples: int,
    *,
    block: tuple[int, int] = (16, 65535),
    rate: int = 8000,
    channels: int = 1,
    bits: int = 16,
) -> bytes:
    info = Bits().put(block[0], 16).put(block[1], 16).put(0, 48).put(rate, 20)
    info.put(channels - 1, 3).put(bits - 1, 5).put(num_samples, 36).put(0, 128)
    return b"fLaC\x80\x00\x00\x22" + info.to_bytes() + b"".join(frames)


def head(kind: int, wasted: int = 0) -> Bits:
    bits = Bits().put(kind, 7).put(wasted > 0, 1)
    return bits.unary(wasted - 1) if wasted else bits


def constant(value: int, *, wasted: int = 0) -> Bits:
    return head(0, wasted).put(value, 16 - wasted)


def verbatim(values: Sequence[int], *, wasted: int = 0) -> Bits:
    bits = head(1, wasted)
    for value in values:
        bits.put(value >> wasted, 16 - wasted)
    return bits


def residual(
    values: Sequence[int], order: int, *, splits: int = 0, method: int = 0, parameter: int | None
) -> Bits:
    """Partitions with one Rice parameter; `None` makes them escaped, plain numbers."""
    bits, width = Bits().put(method, 2).put(splits, 4), 4 + method
    per_part = (len(values) + order) >> splits
    parts = [values[max(0, at - order) : at - order + per_part]
             for at in range(0, len(values) + order, per_part)]  # fmt: skip
    for part in parts:
        if parameter is None:
            plain = max((int(abs(value)).bit_length() + 1 for value in part if value), default=0)
            bits.put((1 << width) - 1, width).put(plain, 5)
            for value in part:
                bits.put(value, plain)
        else:
            bits.put(parameter, width)
            for value in part:
                folded = 2 * value if value >= 0 else -2 * value - 1
                bits.unary(folded >> parameter).put(folded, parameter)
    return bits


def predict(values: Sequence[int], coefficients: Sequence[int], shift: int) -> list[int]:
    """What remains of samples after the prediction."""
    order = len(coefficients)
    return [
        values[t]
        - (sum(c * values[t - 1 - place] for place, c in enumerate(coefficients)) >> shift)
        for t in range(order, len(values))
    ]


FIXED = ((), (1,), (2, -1), (3, -3, 1), (4, -6, 4, -1))


def fixed(
    values: Sequence[int],
    order: int,
    *,
    wasted: int = 0,
    splits: int = 0,
    method: int = 0,
    parameter: int | None = 4,
) -> Bits:
    values = [value >> wasted for value in values]
    bits = head(8 + order, wasted)
    for value in values[:order]:
        bits.put(value, 16 - wasted)
    rest = predict(values, FIXED[order], 0)
    return bits.add(residual(rest, order, splits=splits, method=method, parameter=parameter))


def linear(
    values: Sequence[int],
    coefficients: Sequence[int],
    *,
    precision: int = 15,
    shift: int = 10,
    splits: int = 0,
    method: int = 0,
    parameter: int | None = 8,
) -> Bits:
    order = len(coefficients)
    bits = head(31 + order)
    for value in values[:order]:
        bits.put(value, 16)
    bits.put(precision - 1, 4).put(shift, 5)
    for coefficient in coefficients:
        bits.put(coefficient, precision)
    rest = predict(values, coefficients, shift)
    return bits.add(residual(rest, order, splits=splits, method=method, parameter=parameter))


def noise(num_samples: int, *, seed: int = 0, peak: int = 900) -> list[int]:
    values: list[int] = np.random.default_rng(seed).integers(-peak, peak, num_samples).tolist()
    return values

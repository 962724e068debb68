import numpy as np
import pytest

from loader import flac_kernel as kernel
from tests.loader import flac_bits as bits

NEEDS_PRODUCTS = pytest.mark.skipif(
    not kernel._MULTIPLIES, reason="the machine has no carry-less products"
)


@pytest.mark.parametrize(
    "crc16",
    [
        kernel._crc16_by_tables,
        pytest.param(kernel._crc16_by_products, marks=NEEDS_PRODUCTS),
    ],
    ids=["tables", "products"],
)
def test_crc_of_every_length_is_that_of_the_definition(crc16: object) -> None:
    assert callable(crc16)
    data = np.frombuffer(bytearray(np.random.default_rng(0).bytes(700)), np.uint8)
    for start, stop in [(n % 21, n % 21 + n) for n in (*range(1, 150), 500, 640)]:
        expected = bits.crc(data[start:stop].tobytes(), 0x8005, 16)
        assert crc16(data, start, stop) == expected
    for start, stop in ((0, 100), (9, 400)):
        zeros = np.zeros_like(data)
        assert crc16(zeros, start, stop) == 0

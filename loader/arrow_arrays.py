"""Arrow arrays out of numpy's and Python's, and back, without pandas.

`pyarrow.array` asks whether it was given something of pandas, `to_numpy` what pandas' options say,
and both import all of it to find out: half a second, and memory, of whoever only loads audio.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def int64_array(values: NDArray[np.int64]) -> pa.Int64Array:
    """Return an array of the same memory."""
    values = np.ascontiguousarray(values, dtype=np.int64)
    return pa.Int64Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(values)])


def string_array(values: Sequence[str]) -> pa.LargeStringArray:
    """Return an array of texts."""
    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    buffers = [pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.LargeStringArray.from_buffers(len(values), *buffers)


def texts_at(texts: pa.LargeStringArray, rows: NDArray[np.int64]) -> tuple[str, ...]:
    """Return some of the texts.

    Of a batch that takes a quarter of the time of `take` and `to_pylist`, whose code is not in the
    processor's caches any more when the next batch is planned.
    """
    _, ends, data = texts.buffers()
    starts = np.frombuffer(ends, np.int64)[texts.offset :]
    held = memoryview(b"" if data is None else data)
    return tuple(
        [
            str(held[start:end], "utf-8")
            for start, end in zip(starts[rows].tolist(), starts[rows + 1].tolist(), strict=True)
        ]
    )


def as_numpy(
    column: pa.Array | pa.ChunkedArray, dtype: type[np.generic], *, null: float | None = None
) -> NDArray[Any]:
    """Return numbers as an array, which may be of the column's own memory.

    Args:
        column: Whole numbers or floating-point ones.
        dtype: Of the array.
        null: What stands in for nulls; None where there should be none.

    Raises:
        ValueError: there are nulls.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not len(array):
        return np.empty(0, dtype)
    if not array.null_count:
        return np.ascontiguousarray(np.from_dlpack(array), dtype=dtype)
    if null is None:
        raise ValueError(f"{array.null_count} nulls in a column that should have none")
    is_valid_N = np.from_dlpack(array.is_valid().cast(pa.uint8())).astype(np.bool_)
    buffers = [None, array.buffers()[1]]
    values_N = np.from_dlpack(
        pa.Array.from_buffers(array.type, len(array), buffers, offset=array.offset)
    )
    return np.where(is_valid_N, values_N, null).astype(dtype)

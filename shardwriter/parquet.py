"""Reading Parquet out of bytes in memory.

Arrow decodes the columns on threads of its own, and the last of them may let go of the file's bytes
after the reader has returned. Were these bytes Python's, that thread would ask for the interpreter,
and one that asks while the interpreter ends takes the process down: "terminate called without an
active exception", after all work is done (https://github.com/apache/arrow/issues/49942, still so in
pyarrow 26). So the bytes are copied into memory of Arrow's own, which takes a thousandth of the
decoding.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq


def read_parquet(data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """Return a Parquet file's table, every value of it checked.

    Args:
        data: The file.
        columns: Those wanted; None for all.

    Raises:
        pyarrow.ArrowException, OSError, ValueError: it is not a sound Parquet file.
    """
    # `pq.read_table` would import pandas, which takes half a second and 50 MB.
    table = open_parquet(data).read(columns=None if columns is None else list(columns))
    table.validate(full=True)  # else a damaged string shows only where it is used
    return table


def open_parquet(data: bytes) -> pq.ParquetFile:
    """Open a Parquet file that lies in memory; `data` is no longer needed then.

    Raises:
        pyarrow.ArrowException, OSError: it is not a Parquet file.
    """
    owned = pa.BufferOutputStream()
    owned.write(data)
    return pq.ParquetFile(pa.BufferReader(owned.getvalue()))

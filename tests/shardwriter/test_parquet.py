import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shardwriter.parquet import open_parquet, read_parquet


def test_arrow_s_threads_never_hold_bytes_of_python() -> None:
    # One that holds some may let go of them while the interpreter ends, which aborts the process.
    table = pa.table({"key": ["a", "b"], "fold": [1, None]})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    data = bytearray(sink.getvalue())
    with pytest.raises(BufferError), pa.BufferReader(data):
        data.clear()  # as it is where they are held
    file = open_parquet(data)  # type: ignore[arg-type]  # only a bytearray tells who holds it
    data.clear()
    assert file.read() == table


def test_only_the_wanted_columns_are_read_and_a_cut_file_is_refused() -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"key": ["a", "b"], "fold": [1, 2]}), sink)
    assert read_parquet(sink.getvalue(), ["fold"]) == pa.table({"fold": [1, 2]})
    assert read_parquet(sink.getvalue()).column_names == ["key", "fold"]
    with pytest.raises(pa.ArrowException):
        read_parquet(sink.getvalue()[:-5])

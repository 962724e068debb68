import io
from dataclasses import fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardwriter.errors import ShardFormatError
from shardwriter.index import (
    IDX_SCHEMA,
    INDEX_SCHEMA,
    IndexRow,
    crc32c,
    idx_to_bytes,
    index_rows,
    merge_idx,
    read_idx,
    read_index,
)
from tests.shardwriter.properties import bounded

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
INT64 = st.integers(0, 2**63 - 1)
INT32 = st.integers(0, 2**31 - 1)
ROWS = st.builds(
    IndexRow,
    key=TEXT,
    audio_offset=INT64,
    audio_num_bytes=INT64,
    audio_crc32c=st.integers(0, 2**32 - 1),
    json_offset=INT64,
    json_num_bytes=INT64,
    json_crc32c=st.integers(0, 2**32 - 1),
    num_samples=INT64,
    sample_rate_hz=INT32,
    label_ids=st.lists(INT32, max_size=3).map(tuple),
    fold=st.none() | st.integers(-(2**31), 2**31 - 1),
    group=st.none() | TEXT,
    frame_offsets=st.lists(INT32, max_size=5).map(tuple),
    targets=st.fixed_dictionaries(
        {},
        optional={
            "speaker": st.integers(0, 2**31 - 1),
            "pitch": st.floats(allow_nan=False),
            "Z9": st.floats(allow_nan=False),
        },
    ),
)


def make_row(number: int) -> IndexRow:
    return IndexRow(
        key=f"key-{number}",
        audio_offset=512 + 4096 * number,
        audio_num_bytes=1000 + number,
        audio_crc32c=number,
        json_offset=2048 + 4096 * number,
        json_num_bytes=300,
        json_crc32c=2**32 - 1 - number,
        num_samples=1152 * 3,
        sample_rate_hz=32_000,
        label_ids=(number,),
        fold=None if number % 2 else number,
        group=None if number % 3 else f"speaker {number}",
        frame_offsets=(86, 400 + number, 700),
    )


def parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "checksum"),
    [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],
)
def test_checksum_is_crc_32c_with_the_values_of_rfc_3720(data: bytes, checksum: int) -> None:
    assert crc32c(data) == checksum


@bounded(max_examples=40)
@given(rows=st.lists(ROWS, max_size=5))
def test_rows_come_back_from_the_file(rows: list[IndexRow]) -> None:
    assert index_rows(read_idx(idx_to_bytes(rows), where="a.idx")) == rows


def test_file_has_a_column_for_each_field_of_a_row() -> None:
    assert [*IDX_SCHEMA.names, "targets"] == [field.name for field in fields(IndexRow)]


def test_same_rows_give_the_same_bytes() -> None:
    assert idx_to_bytes([make_row(1)]) == idx_to_bytes([make_row(1)])


def test_split_index_is_the_shards_rows_in_order_without_what_only_shards_need() -> None:
    shards = {"train/a-000000.tar": [make_row(0), make_row(1)], "train/a-000001.tar": [make_row(2)]}
    merged = merge_idx(
        [(tar, read_idx(idx_to_bytes(rows), where=tar)) for tar, rows in shards.items()]
    )
    table = read_index(merged, where="index/train.parquet")
    assert table.column("shard").to_pylist() == [tar for tar, rows in shards.items() for _ in rows]
    rows = [row for rows in shards.values() for row in rows]
    for name in set(IDX_SCHEMA.names) - {"frame_offsets", "pcm_hash", "label_ids"}:
        assert table.column(name).to_pylist() == [getattr(row, name) for row in rows]
    assert [tuple(ids) for ids in table.column("label_ids").to_pylist()] == [(0,), (1,), (2,)]


def test_pandas_reads_the_split_index(dataset: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(dataset / "index" / "train.parquet")
    assert list(frame.columns) == INDEX_SCHEMA.names
    assert len(frame) == 8


def changed_tables() -> dict[str, pa.Table]:
    table = read_idx(idx_to_bytes([make_row(0), make_row(1)]), where="a.idx")
    number = table.schema.get_field_index("num_samples")
    return {
        "column missing": table.drop_columns(["key"]),
        "column added": table.append_column("more", pa.array([1, 2])),
        "columns swapped": table.select(table.schema.names[::-1]),
        "column renamed": table.rename_columns(["id", *table.schema.names[1:]]),
        "other type": table.set_column(number, "num_samples", pa.array([1.0, 2.0])),
        "null allowed": table.set_column(number, "num_samples", pa.array([1, None], pa.int64())),
        "another table": pa.table({"a": [1]}),
    }


@pytest.mark.parametrize("table", changed_tables().values(), ids=changed_tables())
def test_file_of_other_columns_is_refused_with_its_name(table: pa.Table) -> None:
    with pytest.raises(ShardFormatError, match=r"^a\.idx: columns .* expected"):
        read_idx(parquet(table), where="a.idx")


def test_the_two_indexes_are_not_taken_for_each_other() -> None:
    idx = idx_to_bytes([make_row(0)])
    with pytest.raises(ShardFormatError, match=r"^index/a\.parquet: columns"):
        read_index(idx, where="index/a.parquet")
    with pytest.raises(ShardFormatError, match=r"^a\.idx: columns"):
        read_idx(merge_idx([("a.tar", read_idx(idx, where="a.idx"))]), where="a.idx")


@pytest.mark.parametrize("data", [b"", b"PAR1", b"x" * 100, b"PAR1" + bytes(50) + b"PAR1"])
def test_what_is_no_parquet_file_is_refused_with_its_name(data: bytes) -> None:
    with pytest.raises(ShardFormatError, match=r"^a\.idx: not a parquet index"):
        read_idx(data, where="a.idx")


@pytest.mark.parametrize("text", [b"key-0", b"num_samples"], ids=["value", "column name"])
def test_text_that_is_no_utf_8_is_refused_with_the_files_name(text: bytes) -> None:
    file = io.BytesIO()
    table = read_idx(idx_to_bytes([make_row(0)]), where="a.idx")
    pq.write_table(table, file, compression="none", use_dictionary=False)
    assert text in file.getvalue()
    with pytest.raises(ShardFormatError, match=r"^a\.idx: not a parquet index"):
        read_idx(file.getvalue().replace(text, b"\xff" + text[1:]), where="a.idx")


def test_cut_file_is_refused() -> None:
    data = idx_to_bytes([make_row(number) for number in range(4)])
    for cut in range(0, len(data), 37):
        with pytest.raises(ShardFormatError, match=r"^a\.idx: not a parquet index"):
            read_idx(data[:cut], where="a.idx")


@bounded(max_examples=100)
@given(
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=3),
)
def test_damaged_file_is_read_or_refused_and_nothing_else(edits: list[tuple[float, int]]) -> None:
    data = bytearray(idx_to_bytes([make_row(number) for number in range(4)]))
    for place, value in edits:
        data[int(place * (len(data) - 1))] = value
    try:
        rows = index_rows(read_idx(bytes(data), where="a.idx"))
    except ShardFormatError:
        return
    assert all(isinstance(row, IndexRow) for row in rows)

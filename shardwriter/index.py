"""The two index files: `.idx` beside each shard, `index/<split>.parquet` for planning.

Both are parquet. `.idx` has one row a sample with everything that `IndexRow` names, so that the
split's index is their concatenation, minus the frame offsets, plus the shard's name.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import google_crc32c
import pyarrow as pa
import pyarrow.parquet as pq

from shardwriter.errors import ShardFormatError

_PLANNING_FIELDS = [
    pa.field("key", pa.string(), nullable=False),
    pa.field("audio_offset", pa.int64(), nullable=False),
    pa.field("audio_num_bytes", pa.int64(), nullable=False),
    pa.field("audio_crc32c", pa.uint32(), nullable=False),
    pa.field("json_offset", pa.int64(), nullable=False),
    pa.field("json_num_bytes", pa.int64(), nullable=False),
    pa.field("json_crc32c", pa.uint32(), nullable=False),
    pa.field("num_samples", pa.int64(), nullable=False),
    pa.field("sample_rate_hz", pa.int32(), nullable=False),
    pa.field("label_ids", pa.list_(pa.int32()), nullable=False),
    pa.field("fold", pa.int32()),
    pa.field("group", pa.string()),
]
IDX_SCHEMA = pa.schema(
    [*_PLANNING_FIELDS, pa.field("frame_offsets", pa.list_(pa.int32()), nullable=False)]
)
INDEX_SCHEMA = pa.schema([pa.field("shard", pa.string(), nullable=False), *_PLANNING_FIELDS])


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRow:
    """Where a sample's two members lie in its shard, and what planning needs to know of it.

    Offsets are those of the members' first data byte in the tar; checksums are CRC-32C.
    """

    key: str
    audio_offset: int
    audio_num_bytes: int
    audio_crc32c: int
    json_offset: int
    json_num_bytes: int
    json_crc32c: int
    num_samples: int
    sample_rate_hz: int
    label_ids: tuple[int, ...]
    fold: int | None
    group: str | None
    frame_offsets: tuple[int, ...]
    """Byte offset of each FLAC frame from `audio_offset`."""


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of some bytes, as in RFC 3720."""
    return int(google_crc32c.value(data))


def idx_to_bytes(rows: Sequence[IndexRow]) -> bytes:
    """Return a shard's `.idx` file."""
    columns = {name: [getattr(row, name) for row in rows] for name in IDX_SCHEMA.names}
    return _to_parquet(pa.table(columns, schema=IDX_SCHEMA))


def read_idx(data: bytes, *, where: str) -> pa.Table:
    """Read a `.idx` file; a file of another schema is a `ShardFormatError` that names it."""
    return _from_parquet(data, IDX_SCHEMA, where=where)


def index_rows(table: pa.Table) -> list[IndexRow]:
    """Return the rows of a `.idx` table as values."""
    return [
        IndexRow(
            **row
            | {"label_ids": tuple(row["label_ids"]), "frame_offsets": tuple(row["frame_offsets"])}
        )
        for row in table.to_pylist()
    ]


def merge_idx(tables: Sequence[tuple[str, pa.Table]]) -> bytes:
    """Return `index/<split>.parquet` from (tar name, `.idx` table) pairs in shard order."""
    merged = pa.concat_tables(
        table.drop_columns(["frame_offsets"]).add_column(
            0, INDEX_SCHEMA.field("shard"), pa.array([tar] * len(table), pa.string())
        )
        for tar, table in tables
    )
    return _to_parquet(merged)


def read_index(data: bytes, *, where: str) -> pa.Table:
    """Read a split's index; a file of another schema is a `ShardFormatError` that names it."""
    return _from_parquet(data, INDEX_SCHEMA, where=where)


def _to_parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _from_parquet(data: bytes, schema: pa.Schema, *, where: str) -> pa.Table:
    try:
        table = pq.read_table(io.BytesIO(data))
        table.validate(full=True)  # else a damaged string shows only where it is used
    except (pa.ArrowException, ValueError, OSError) as err:
        raise ShardFormatError(f"{where}: not a parquet index: {err}") from err
    if not table.schema.equals(schema):
        raise ShardFormatError(
            f"{where}: columns {table.schema.names} with types {table.schema.types}, expected "
            f"{schema.names} with {schema.types}"
        )
    return table

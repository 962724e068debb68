"""The two index files: `.idx` beside each shard, `index/<split>.parquet` for planning.

Both are parquet. `.idx` has one row a sample with everything that `IndexRow` names, so that the
split's index is their concatenation, minus frame offsets and hashes, plus the shard's name.

Behind the fixed columns stand the targets that some sample of the file has, in order of their
names: `target.NAME` as int32 for the ids of classes, as float64 for numbers, null where a sample
has none. A file of samples without targets has the fixed columns only.
"""

import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shardwriter.errors import ShardFormatError
from shardwriter.parquet import read_parquet

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
PCM_HASH_BYTES = 16
TARGET_PREFIX = "target."
"""Before a target's name: its column."""
_SHARD_FIELDS = [
    pa.field("frame_offsets", pa.list_(pa.int32()), nullable=False),
    pa.field("pcm_hash", pa.binary(PCM_HASH_BYTES)),
]
"""What only `.idx` has: readers load a split's whole index before they start, and these two,
which hardly compress, would more than double it; who needs them opens the shard's own index."""
_TARGET_TYPES = {int: pa.int32(), float: pa.float64()}
IDX_SCHEMA = pa.schema([*_PLANNING_FIELDS, *_SHARD_FIELDS])
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
    """Byte offset of each FLAC frame from `audio_offset`; none for other codecs."""
    pcm_hash: bytes | None = None
    """The first 16 bytes of `pcm_sha256`, to find audio that is there twice. That is enough: among
    10^9 clips two differing ones agree with a probability of 10^-21. None: never decoded."""
    targets: Mapping[str, int | float] = field(default_factory=dict)
    """Values of the sample's targets: an int is the id of a class, a float a number."""


def crc32c(data: bytes | NDArray[np.uint8]) -> int:
    """Return the CRC-32C (Castagnoli) of some bytes, as in RFC 3720; an array is not copied."""
    return int(google_crc32c.value(data))


def pcm_hash(pcm_sha256: str) -> bytes:
    """Return what `IndexRow.pcm_hash` keeps of a hexadecimal SHA-256; not one is a `ValueError`."""
    digest = bytes.fromhex(pcm_sha256)
    if len(digest) != hashlib.sha256().digest_size:
        raise ValueError(f"not a SHA-256: {pcm_sha256!r}")
    return digest[:PCM_HASH_BYTES]


def idx_to_bytes(rows: Sequence[IndexRow]) -> bytes:
    """Return a shard's `.idx` file."""
    return _to_parquet(idx_table(rows))


def idx_table(rows: Sequence[IndexRow]) -> pa.Table:
    """Return rows as the table that `.idx` holds."""
    columns = {name: [getattr(row, name) for row in rows] for name in IDX_SCHEMA.names}
    table = pa.table(columns, schema=IDX_SCHEMA)
    types = {name: type(value) for row in rows for name, value in row.targets.items()}
    for name, kind in sorted(types.items()):
        values = pa.array([row.targets.get(name) for row in rows], _TARGET_TYPES[kind])
        table = table.append_column(pa.field(TARGET_PREFIX + name, values.type), values)
    return table


def read_idx(data: bytes, *, where: str) -> pa.Table:
    """Read a `.idx` file; a file of another schema is a `ShardFormatError` that names it."""
    return _from_parquet(data, IDX_SCHEMA, where=where)


def index_rows(table: pa.Table) -> list[IndexRow]:
    """Return the rows of a `.idx` table as values."""
    return [_index_row(row) for row in table.to_pylist()]


def _index_row(row: dict[str, Any]) -> IndexRow:
    targets = {
        name.removeprefix(TARGET_PREFIX): row.pop(name)
        for name in [*row]
        if name.startswith(TARGET_PREFIX)
    }
    return IndexRow(
        **row
        | {"label_ids": tuple(row["label_ids"]), "frame_offsets": tuple(row["frame_offsets"])},
        targets={name: value for name, value in targets.items() if value is not None},
    )


def total_seconds(rows: Sequence[IndexRow]) -> float:
    """Return the length of all clips, the same however the rows are ordered."""
    num_samples: Counter[int] = Counter()
    for row in rows:
        num_samples[row.sample_rate_hz] += row.num_samples
    return sum(count / rate for rate, count in sorted(num_samples.items()))


def merge_idx(tables: Sequence[tuple[str, pa.Table]]) -> bytes:
    """Return `index/<split>.parquet` from (tar name, `.idx` table) pairs in shard order.

    Raises:
        ShardFormatError: a target is a class in one shard and a number in another.
    """
    parts = [
        table.drop_columns([column.name for column in _SHARD_FIELDS]).add_column(
            0, INDEX_SCHEMA.field("shard"), pa.array([tar] * len(table), pa.string())
        )
        for tar, table in tables
    ]
    try:
        merged = pa.concat_tables(parts, promote_options="default")
    except pa.ArrowTypeError as err:
        where = tables[0][0] if tables else ""
        raise ShardFormatError(f"{where} and later shards differ in their targets: {err}") from err
    targets = sorted(set(merged.column_names) - set(INDEX_SCHEMA.names))
    return _to_parquet(merged.select([*INDEX_SCHEMA.names, *targets]))


def read_index(data: bytes, *, where: str) -> pa.Table:
    """Read a split's index; a file of another schema is a `ShardFormatError` that names it."""
    return _from_parquet(data, INDEX_SCHEMA, where=where)


def _to_parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _from_parquet(data: bytes, schema: pa.Schema, *, where: str) -> pa.Table:
    try:
        table = read_parquet(data)
        names = table.schema.names
    except (pa.ArrowException, OSError, ValueError) as err:
        raise ShardFormatError(f"{where}: not a parquet index: {err}") from err
    if not table.schema.equals(_with_targets(schema, table.schema)):
        raise ShardFormatError(
            f"{where}: columns {names} with types {table.schema.types}, expected "
            f"{schema.names} with {schema.types}, and targets in order of their names"
        )
    return table


def _with_targets(fixed: pa.Schema, found: pa.Schema) -> pa.Schema:
    """Return what a file that has the targets of `found` should look like."""
    targets = [
        pa.field(column.name, column.type)
        for column in found
        if column.name.startswith(TARGET_PREFIX) and column.type in _TARGET_TYPES.values()
    ]
    return pa.schema([*fixed, *sorted(targets, key=lambda column: column.name)])

"""The parts of the attempts log as one table. Nothing damaged is skipped."""

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pyarrow as pa
import pyarrow.json as pj
import pyarrow.parquet as pq

from jobs.availability.log_schema import ATTEMPTS_FOLDER, ATTEMPTS_SCHEMA, ATTEMPTS_TABLE_NAME
from shardwriter.errors import ShardFormatError
from shardwriter.storage import Store

_NUM_READERS: Final = 8
"""Reading waits for the store, parsing leaves Python; parts in flight bound the memory."""
_MAX_LINE_BYTES: Final = 1 << 20
_ROWS_PER_ROW_GROUP: Final = 100_000


def read_attempts(store: Store, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the attempts of all runs, by run, worker and part.

    Args:
        store: The dataset.
        columns: Those wanted, None for all; the memory goes with them, messages take most of it.

    Returns:
        A table with the fields of `ATTEMPTS_SCHEMA`, empty if nothing was ever tried.

    Raises:
        ShardFormatError: a part is damaged; names it.
        StorageError: a part can't be read.
    """
    schema = _schema(columns)
    return pa.concat_tables([*_parts(store, schema), schema.empty_table()])


def iterate_attempts(store: Store, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the attempts part by part: for what needs all columns and not all of the memory."""
    return _parts(store, _schema(columns))


def write_attempts_table(store: Store) -> int:
    """Write `availability/attempts.parquet` from the parts, in place of an older one.

    The parts remain what counts: the table is for tools that read parquet.

    Returns:
        The number of attempts.
    """
    sink = io.BytesIO()
    num_rows = 0
    with pq.ParquetWriter(sink, ATTEMPTS_SCHEMA, compression="zstd") as writer:
        waiting: list[pa.Table] = []
        for part in _parts(store, ATTEMPTS_SCHEMA):
            waiting.append(part)
            num_rows += len(part)
            if sum(len(table) for table in waiting) >= _ROWS_PER_ROW_GROUP:
                writer.write_table(pa.concat_tables(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.concat_tables(waiting))
    store.put(ATTEMPTS_TABLE_NAME, sink.getvalue(), replace=True)
    return num_rows


def _schema(columns: Sequence[str] | None) -> pa.Schema:
    if columns is None:
        return ATTEMPTS_SCHEMA
    unknown = sorted(set(columns) - set(ATTEMPTS_SCHEMA.names))
    if unknown:
        raise ValueError(f"the attempts log has no columns {unknown}")
    return pa.schema([ATTEMPTS_SCHEMA.field(name) for name in columns])


def _parts(store: Store, schema: pa.Schema) -> Iterator[pa.Table]:
    names = sorted(store.names(ATTEMPTS_FOLDER))
    with ThreadPoolExecutor(_NUM_READERS) as pool:
        for start in range(0, len(names), _NUM_READERS):
            batch = names[start : start + _NUM_READERS]
            yield from pool.map(lambda name: _read_part(store, name, schema), batch)


def _read_part(store: Store, name: str, schema: pa.Schema) -> pa.Table:
    where = f"{store.url}/{name}"
    data = store.read(name)
    if not data.endswith(b"\n"):
        raise ShardFormatError(
            f"{where}: not a whole part of the attempts log: its last line does not end; copy it "
            "again from where it came from"
        )
    try:
        table = pj.read_json(
            io.BytesIO(data),
            read_options=pj.ReadOptions(use_threads=False, block_size=4 * _MAX_LINE_BYTES),
            parse_options=pj.ParseOptions(
                explicit_schema=schema, unexpected_field_behavior="ignore"
            ),
        ).cast(schema)
        table.validate(full=True)
    except (pa.ArrowException, ValueError) as err:
        raise ShardFormatError(f"{where}: not a part of the attempts log: {err}") from err
    num_lines = data.count(b"\n")
    if len(table) != num_lines:
        raise ShardFormatError(
            f"{where}: not a part of the attempts log: {len(table)} attempts in {num_lines} lines"
        )
    return table

"""Tables with a clip a row, as Hugging Face datasets publish and save them: parquet and arrow.

Audio is a struct of `bytes` and `path`, or plain bytes. A cell has a name like a file's,
`FILE.parquet/ROW/COLUMN`, so that a worker can read it from the folder in which the table lies.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.sources.source import check_size
from shardwriter.errors import ConfigError, StorageError

CELL = re.compile(r"(?P<file>.+\.(?:parquet|arrow))/(?P<row>\d{1,12})/(?P<column>[^/]+)", re.ASCII)
SUFFIXES = (".parquet", ".arrow")
_ROWS_AT_A_TIME = 16
"""Of a parquet file: its row groups can hold gigabytes of audio."""


def cell_name(file: str, row: int, column: str) -> str:
    """Return the name of a cell, for `Source.read`."""
    return f"{file}/{row}/{column}"


class RowFile:
    """One table on disk."""

    def __init__(self, path: Path) -> None:
        """Open it, and read what it says of itself.

        Raises:
            ConfigError: not a table, or cut.
        """
        self._path = path
        self._batches: _Batches
        try:
            self._batches = (
                _ParquetBatches(path) if path.suffix == ".parquet" else _ArrowBatches(path)
            )
        except (OSError, pa.ArrowException) as err:
            raise ConfigError(f"{path} is not a readable table: {err}; get it again") from err

    @property
    def schema(self) -> pa.Schema:
        """Its columns, and in the metadata what `datasets` says of them."""
        return self._batches.schema

    @property
    def num_rows(self) -> int:
        """How many rows it has."""
        return self._batches.num_rows

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Return columns of all rows; `audio.path` is a field of a struct.

        Raises:
            StorageError: the file is damaged.
        """
        try:
            return self._batches.columns(names)
        except (OSError, pa.ArrowException) as err:
            raise StorageError(f"{self._path}: {err}") from err

    def read(self, row: int, column: str) -> bytes:
        """Return the bytes of a cell.

        Raises:
            StorageError: there is no such cell, it holds no bytes, or the file is damaged.
        """
        place = f"{self._path} row {row} column {column}"
        try:
            value = self._batches.cell(row, column)
        except (OSError, KeyError, IndexError, pa.ArrowException) as err:
            raise StorageError(f"{place}: {err}") from err
        if isinstance(value, dict):
            value = value.get("bytes")
        if not isinstance(value, bytes):
            raise StorageError(f"{place} holds no audio; only the path to a file, maybe")
        check_size(len(value), file=place)
        return value


class _ParquetBatches:
    """A parquet file; what is read in order is read once."""

    def __init__(self, path: Path) -> None:
        self._file = pq.ParquetFile(path)
        self.schema = self._file.schema_arrow
        groups = range(self._file.num_row_groups)
        self._num_rows = [self._file.metadata.row_group(group).num_rows for group in groups]
        self.num_rows = sum(self._num_rows)
        self._reading: tuple[int, str, Iterator[pa.RecordBatch]] | None = None
        self._start = 0
        self._held: pa.RecordBatch | None = None

    def columns(self, names: Sequence[str]) -> pa.Table:
        return self._file.read(columns=list(names)).flatten()

    def cell(self, row: int, column: str) -> object:
        group, start = self._group_of(row)
        inside = row - start
        reading, held = self._reading, self._held
        if reading is None or reading[:2] != (group, column) or inside < self._start:
            batches = self._file.iter_batches(
                batch_size=_ROWS_AT_A_TIME, row_groups=[group], columns=[column]
            )
            reading, held = (group, column, batches), None
            self._start = 0
        while held is None or inside >= self._start + len(held):
            self._start += 0 if held is None else len(held)
            held = next(reading[2])
        self._reading, self._held = reading, held
        return held.column(column)[inside - self._start].as_py()

    def _group_of(self, row: int) -> tuple[int, int]:
        start = 0
        for group, num_rows in enumerate(self._num_rows):
            if row < start + num_rows:
                return group, start
            start += num_rows
        raise IndexError(f"there are {start} rows")


class _ArrowBatches:
    """An arrow file as `save_to_disk` writes it; mapped, so only what is asked for is read."""

    def __init__(self, path: Path) -> None:
        mapped = pa.memory_map(str(path))
        try:
            reader = pa.ipc.open_stream(mapped)
        except pa.ArrowInvalid:
            reader = pa.ipc.open_file(mapped)
        self._table = reader.read_all()
        self.schema = self._table.schema
        self.num_rows = len(self._table)

    def columns(self, names: Sequence[str]) -> pa.Table:
        values = {
            name: self._table[name]
            if name in self._table.column_names
            else pc.struct_field(self._table[name.partition(".")[0]], name.partition(".")[2])
            for name in names
        }
        return pa.table(values)

    def cell(self, row: int, column: str) -> object:
        if row >= len(self._table):
            raise IndexError(f"there are {len(self._table)} rows")
        return self._table[column][row].as_py()


_Batches = _ParquetBatches | _ArrowBatches

"""Tables as datasets publish them, read strictly: csv with every dialect's quirks named.

Copies in the wild went through spreadsheets: ids that begin with `-` are `#NAME?`, quotes are gone
and labels spill over columns, rows end in empty columns, lines are missing. A reader that takes
what it gets trains on other labels than were published, so whatever is not as published is an
error that names file, line and column.
"""

import csv
import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shardwriter.errors import ConfigError

if TYPE_CHECKING:
    from _csv import Reader as _Reader

_SPREADSHEET_ERRORS = ("#NAME?", "#REF!", "#VALUE!", "#N/A", "#DIV/0!", "#NUM!", "#NULL!")
_FIX = "take the file as published"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableForm:
    """How a table is written."""

    columns: tuple[str, ...]
    delimiter: str = ","
    has_header: bool = True
    """Whether the first line (after the comments) names the columns, exactly so."""
    num_comment_lines: int = 0
    """Lines before the header or the rows."""
    is_quoted: bool = True
    """Whether a value may stand in double quotes."""
    skips_space: bool = False
    """Whether a space after each delimiter, before a quote, is part of the form."""
    strips: bool = False
    """Whether spaces around names and values are part of the form, and left out."""
    is_ragged: bool = False
    """Whether the last column may hold several values, each behind a delimiter; `Row.rest`."""


@dataclass(slots=True)
class Row:
    """One row: its values by column, and its place.

    Not frozen: that would cost a microsecond for each of two million rows, which live for one step.
    """

    where: str
    line: int
    values: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.values[column]

    def rest(self, column: str, form: TableForm) -> tuple[str, ...]:
        """Return the values of the last column of a ragged table; an empty one is an error."""
        values = tuple(self.values[column].split(form.delimiter))
        if not all(values):
            raise self.error(f"{column} holds an empty value: {self.values[column]!r}")
        return values

    def error(self, problem: str) -> ConfigError:
        """Return the error that names this row."""
        return table_error(self.where, problem, line=self.line)

    def number(self, column: str) -> float:
        """Return a value as a number; what is none, not finite or negative is an error."""
        try:
            number = float(self.values[column])
        except ValueError:
            number = -1.0
        if not 0 <= number < float("inf"):
            raise self.error(f"{column} is {self.values[column]!r}, expected a number from 0")
        return number


def table_error(where: str, problem: str, *, line: int | None = None) -> ConfigError:
    """Return the error for a table that is not as published."""
    place = where if line is None else f"{where} line {line}"
    return ConfigError(f"{place}: {problem}; {_FIX}")


def read_table(data: bytes, form: TableForm, *, where: str) -> Iterator[Row]:
    """Yield the rows of a table; blank lines at its end are passed over.

    Args:
        data: The file.
        form: How it must be written. LF and CRLF, with and without BOM, are all taken.
        where: The file, for messages.

    Raises:
        ConfigError: not UTF-8, other columns, a row of other length, or what a spreadsheet left.
    """
    reader = _reader(data, form)
    try:
        yield from _rows(reader, form, where, is_suspect=first_spreadsheet_error(data) is not None)
    except csv.Error as err:
        line = form.num_comment_lines + reader.line_num
        raise ConfigError(f"{where} up to line {line}: {err}; {_FIX}") from err
    except UnicodeDecodeError as err:
        raise table_error(where, f"is not UTF-8 text: {err}") from err


def read_header(data: bytes, form: TableForm, *, where: str) -> tuple[str, ...]:
    """Return the names that a table gives its columns; `form.columns` are not looked at.

    For tables whose columns are data: one for each tag, or those that a person chose.

    Raises:
        ConfigError: not UTF-8, no line, or a name that is empty or there twice.
    """
    try:
        names = tuple(next(_reader(data, form), ()))
    except (csv.Error, UnicodeDecodeError) as err:
        raise table_error(where, f"has no readable header: {err}") from err
    if form.strips:
        names = tuple(name.strip() for name in names)
    if not all(names) or len(set(names)) != len(names) or not names:
        raise table_error(where, f"expected a header of distinct names, got {list(names)[:20]}")
    return names


def _reader(data: bytes, form: TableForm) -> "_Reader":
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="")
    # Comments are no csv; they are passed over as lines, and still count.
    for _ in range(form.num_comment_lines):
        text.readline()
    return csv.reader(
        text,
        delimiter=form.delimiter,
        quoting=csv.QUOTE_MINIMAL if form.is_quoted else csv.QUOTE_NONE,
        skipinitialspace=form.skips_space,
        strict=True,
    )


def first_spreadsheet_error(data: bytes) -> int | None:
    """Return the number of the first line that holds such a remainder, from 1; None: there is none.

    For readers that refuse a file for another reason, and can say what else is wrong.
    """
    places = [at for error in _SPREADSHEET_ERRORS if (at := data.find(error.encode())) >= 0]
    return data.count(b"\n", 0, min(places)) + 1 if places else None


def _rows(reader: "_Reader", form: TableForm, where: str, *, is_suspect: bool) -> Iterator[Row]:
    columns = form.columns
    num_columns = len(columns)
    if form.has_header:
        _check_header(next(reader, []), form, where)
    for values in reader:
        line = form.num_comment_lines + reader.line_num
        if form.is_ragged:
            values = _folded(values, form)
        if len(values) != num_columns or (
            is_suspect and not set(_SPREADSHEET_ERRORS).isdisjoint(values)
        ):
            if not any(values):
                _check_end(reader, where, line)
                return
            raise table_error(where, _row_problem(values, columns), line=line)
        if form.strips:
            values = [value.strip() for value in values]
        yield Row(where, line, dict(zip(columns, values, strict=True)))


def _folded(values: list[str], form: TableForm) -> list[str]:
    """Return a row of a ragged table with all values of its last column as one."""
    place = len(form.columns) - 1
    return [*values[:place], form.delimiter.join(values[place:])] if values[place:] else values


def _check_header(got: list[str], form: TableForm, where: str) -> None:
    names = [name.strip() for name in got] if form.strips else got
    if names != list(form.columns):
        expected = form.delimiter.join(form.columns)
        raise table_error(
            where,
            f"expected the columns {expected}, got {form.delimiter.join(got) or 'nothing'}",
        )


def _row_problem(values: list[str], columns: tuple[str, ...]) -> str:
    """Say what a row shows of the program that saved it."""
    for column, value in itertools.zip_longest(columns, values, fillvalue=""):
        if value in _SPREADSHEET_ERRORS:
            return (
                f"column {column or 'behind the last'} is {value!r}: a spreadsheet saved this "
                "copy and took a value that begins with '-' or '=' for a formula"
            )
    problem = f"expected {len(columns)} columns, got {len(values)}"
    if len(values) > len(columns):
        beyond = values[len(columns) :]
        if any(beyond):
            return f"{problem}: quotes are missing, and a value spills over columns"
        return f"{problem}, the last {len(beyond)} empty: a spreadsheet saved this copy"
    return problem


def _check_end(reader: "_Reader", where: str, line: int) -> None:
    """Refuse rows behind a blank line."""
    if any(any(values) for values in reader):
        raise table_error(where, "is blank, and rows follow", line=line)

"""JSON that others may have written: the one form in which we write it, and how it is checked."""

import functools
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from shardwriter.errors import ShardFormatError

FORMAT_VERSION = 1

Json = Mapping[str, Any]
_Row = TypeVar("_Row")


def canonical_json(value: Any) -> bytes:
    """Return the one JSON form of a value: sorted keys, no spaces, UTF-8, no NaN.

    Dataclasses become objects of their fields, wherever they stand.
    """
    return _ENCODER.encode(value).encode()


def shallow(value: Any) -> dict[str, Any]:
    """Return a dataclass's fields as they are; `asdict` copies all that is in them."""
    if not is_dataclass(value):
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
    return {wanted.name: getattr(value, wanted.name) for wanted in fields(value)}


_ENCODER = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=shallow
)


def parse_json(data: bytes, *, where: str) -> dict[str, Any]:
    """Parse a JSON object from a file of ours; anything else is a `ShardFormatError`."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as err:
        raise ShardFormatError(f"{where}: not JSON: {err}") from err
    if not isinstance(value, dict):
        raise ShardFormatError(f"{where}: expected a JSON object, got {type(value).__name__}")
    return value


def check_version(row: Json, *, where: str) -> None:
    """Refuse a file of another format version."""
    version = row.get("version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise ShardFormatError(
            f"{where}: format version {version!r}, this melstream reads "
            f"{FORMAT_VERSION}; read it with the version that wrote it, or ingest it again"
        )


def from_row(kind: type[_Row], row: Json) -> _Row:
    """Return a flat dataclass of text and numbers from a JSON object.

    Numbers are finite, and but for decibels (fields named `..._db`) not negative.

    Raises:
        KeyError: a field is missing.
        TypeError: not an object, or a field is mistyped or unknown.
    """
    typed(row, dict)
    for name, check in _checks_of(kind):  # type: ignore[arg-type]  # a class is hashable
        check(row[name])
    return kind(**row)


@functools.cache
def _checks_of(kind: type[Any]) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    """Return each field of a dataclass and its check; made once, as manifests have many rows."""
    checks: dict[Any, Callable[[Any], Any]] = {
        str: _text,
        int: count,
        int | None: _count_or_none,
        float: _amount,
    }
    return tuple(
        (wanted.name, _finite if wanted.name.endswith("_db") else checks[wanted.type])
        for wanted in fields(kind)
    )


def _text(value: Any) -> str:
    return str(typed(value, str))


def count(value: Any) -> int:
    """Return a number of things; anything else is a `TypeError`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"{value!r} (expected an integer, 0 or more)")
    return value


def _count_or_none(value: Any) -> int | None:
    return None if value is None else count(value)


def _finite(value: Any) -> float:
    if not isinstance(value, float) or not math.isfinite(value):
        raise TypeError(f"{value!r} (expected a finite number)")
    return value


def _amount(value: Any) -> float:
    if _finite(value) < 0:
        raise TypeError(f"{value!r} (expected a number, 0 or more)")
    return float(value)


def typed(value: Any, kind: type) -> Any:
    """Return a value of that type; anything else is a `TypeError` that shows it."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"{value!r} (expected {kind.__name__})")
    return value

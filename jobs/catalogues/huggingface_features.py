"""What a Hugging Face table says of its columns: which is audio, what labels are called.

`datasets` writes it as JSON into the schema's metadata. Tables that others wrote lack it; there the
Arrow types tell audio, and labels are names, or numbers without names.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from jobs.catalogues.listed_clips import LABEL_COLUMNS, NO_LABELS, choose_column
from jobs.catalogues.tables import table_error

_SCALARS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_floating)


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """The columns that matter."""

    audio: str
    has_paths: bool
    """Whether the audio column tells the name of the file that a clip was."""
    label: str | None
    names: tuple[str, ...]
    """Of the label column's classes, in order of ids; empty: it holds names, or bare numbers."""
    others: tuple[str, ...]
    """Columns of text, of numbers, and of lists of text."""


def read_features(schema: pa.Schema, *, label: str, where: str) -> Features | None:
    """Return what a schema says; None if it has no audio column.

    Args:
        schema: Of a table.
        label: The label column; empty: the first of classes, or one of a usual name; `none`: none.
        where: The table, for messages.

    Raises:
        ConfigError: the chosen label column is not there, or the metadata is no JSON.
    """
    said = _said(schema, where=where)
    audio = next((field for field in schema if _is_audio(field, said)), None)
    if audio is None:
        return None
    classes = {name: found for name in schema.names if (found := _class_names(said.get(name)))}
    column = _label_column(schema, classes, label, where=where)
    return Features(
        audio=audio.name,
        has_paths=pa.types.is_struct(audio.type) and audio.type.get_field_index("path") >= 0,
        label=column,
        names=classes.get(column or "", ()),
        others=tuple(
            field.name
            for field in schema
            if field.name not in (audio.name, column) and _is_plain(field.type)
        ),
    )


def _said(schema: pa.Schema, *, where: str) -> Mapping[str, Any]:
    text = (schema.metadata or {}).get(b"huggingface")
    if text is None:
        return {}
    try:
        features = json.loads(text)["info"]["features"]
    except (ValueError, RecursionError, KeyError, TypeError) as err:
        raise table_error(where, f"its metadata `huggingface` can't be read: {err}") from err
    return features if isinstance(features, dict) else {}


def _is_audio(field: pa.Field, said: Mapping[str, Any]) -> bool:
    feature = said.get(field.name)
    if isinstance(feature, dict) and feature.get("_type") == "Audio":
        return True
    if pa.types.is_struct(field.type):
        return field.type.get_field_index("bytes") >= 0 and not said
    is_bytes = pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type)
    return is_bytes and field.name == "audio" and not said


def _class_names(feature: object) -> tuple[str, ...]:
    """Return the classes of a ClassLabel, or of a list of them in any of the three spellings."""
    if isinstance(feature, list) and len(feature) == 1:
        feature = feature[0]
    if isinstance(feature, dict) and feature.get("_type") in ("Sequence", "List", "LargeList"):
        feature = feature.get("feature")
    if not isinstance(feature, dict) or feature.get("_type") != "ClassLabel":
        return ()
    names = feature.get("names")
    return tuple(str(name) for name in names) if isinstance(names, list) else ()


def _label_column(
    schema: pa.Schema, classes: Mapping[str, tuple[str, ...]], chosen: str, *, where: str
) -> str | None:
    if chosen == NO_LABELS:
        return None
    # A usual name goes first: a table may have other columns of classes, such as the speaker's sex.
    usual = [name for name in LABEL_COLUMNS if name in classes]
    return choose_column(
        schema.names, chosen, (*usual, *classes, *LABEL_COLUMNS), what="the label", where=where
    )


def _is_plain(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind):
        kind = kind.value_type
    return pa.types.is_boolean(kind) or any(is_kind(kind) for is_kind in _SCALARS)

"""Labels of foreign samples: found in JSON, `.cls` or `.txt` members, numbered by a vocabulary."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shardwriter.errors import ConfigError, MelstreamError

Label = str | int
"""A name, or a number that already is an id."""

LABEL_FIELDS = ("cls", "json.labels", "json.label", "json.class", "json.category", "txt")
"""Where a label is looked for if nobody says, in this order."""
MAX_NUM_CLASSES = 1_000_000


class LabelError(MelstreamError):
    """A sample's label can't be read; the message says why."""


def label_member(field: str, suffixes: Iterable[str]) -> str | None:
    """Return which of a sample's members holds the label field, None if none does.

    Args:
        field: A member's extension, for JSON followed by a path: `cls`, `json.meta.label`.
        suffixes: The extensions of the sample's members.
    """
    holding = [suffix for suffix in suffixes if field == suffix or field.startswith(f"{suffix}.")]
    return max(holding, key=len, default=None)


def read_labels(data: bytes, *, member: str, field: str) -> tuple[Label, ...] | None:
    """Return a sample's labels; None if its JSON lacks the field.

    Args:
        data: The bytes of the label's member.
        member: The extension of that member.
        field: The label field, which begins with `member`.

    Raises:
        LabelError: not text, not JSON, or the field holds something else than names or ids.
    """
    path = field.removeprefix(member).removeprefix(".")
    try:
        text = data.decode("utf-8-sig")
        if not path and not member.endswith("json"):
            return (_from_text(text, member=member),)
        value = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise LabelError(f".{member} is not readable: {err}") from err
    for part in path.split(".") if path else ():
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    values = value if isinstance(value, list) else [value]
    return tuple(dict.fromkeys(_label(item, field=field) for item in values))


def build_vocabulary(labels: Iterable[Sequence[Label]]) -> tuple[str, ...]:
    """Return the sorted names; of labels that are numbers `0` to the highest, so that ids stay.

    Raises:
        ConfigError: names and numbers are mixed, or a number is over `MAX_NUM_CLASSES`.
    """
    distinct = {label for sample in labels for label in sample}
    names = sorted(label for label in distinct if isinstance(label, str))
    ids = [label for label in distinct if isinstance(label, int)]
    if names and ids:
        raise ConfigError(
            f"some labels are names ({names[0]!r}), others numbers ({min(ids)}); name the right "
            "field with --label-field, or give the vocabulary with --labels"
        )
    if ids and max(ids) >= MAX_NUM_CLASSES:
        raise ConfigError(
            f"the label {max(ids)} is over the limit of {MAX_NUM_CLASSES} classes; is the field "
            "of --label-field a class?"
        )
    return (
        tuple(names) if names else tuple(str(number) for number in range(max(ids, default=-1) + 1))
    )


def label_ids(labels: Sequence[Label], positions: Mapping[str, int]) -> tuple[int, ...]:
    """Return the ids of labels.

    Args:
        labels: Names, or ids, which stay what they are.
        positions: The vocabulary: id by name.

    Raises:
        LabelError: a label that the vocabulary lacks.
    """
    ids = []
    for label in labels:
        number = positions.get(label, -1) if isinstance(label, str) else label
        if not 0 <= number < len(positions):
            raise LabelError(f"label {label!r} is not in the vocabulary of {len(positions)}")
        ids.append(number)
    return tuple(ids)


def _from_text(text: str, *, member: str) -> Label:
    stripped = text.strip()
    if member.endswith("cls") and re.fullmatch(r"[0-9]{1,18}", stripped):
        return int(stripped)
    if not stripped:
        raise LabelError(f".{member} is empty")
    return stripped


def _label(value: Any, *, field: str) -> Label:
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise LabelError(
        f"{field} holds {str(value)[:80]!r}, expected a name, an id, or a list of them"
    )

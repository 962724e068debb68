"""From the columns that a dataset names as targets to the targets of its samples.

A column of texts, or of true and false, is a class target: its vocabulary is all values that the
catalogue lists, in order, so ids are known before the first clip is fetched. A column of numbers
is a number. Columns of lists and tables stay in the metadata only: a target has one value a clip.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from shardwriter.errors import ConfigError
from shardwriter.targets import Target, TargetValue, class_target, number_target


def find_targets(
    rows: Iterable[Mapping[str, Any]], names: Iterable[str], *, dataset: str
) -> dict[str, Target]:
    """Return what targets there are, of the columns that a dataset names.

    Args:
        rows: The metadata of all clips; or of all speakers, where the files that are there are the
            list of clips: a vocabulary must not change when more of them are added.
        names: Names of metadata columns.
        dataset: Name of the dataset, for messages.

    Raises:
        ConfigError: a column holds texts and numbers.
    """
    values: dict[str, dict[TargetValue, None]] = {name: {} for name in names}
    for row in rows:
        if not values:
            break
        for name in [*values]:
            value = row.get(name)
            if _is_compound(value):
                del values[name]
            elif (target := _value(value)) is not None:
                values[name][target] = None
    return {
        name: _target(found, f"column {name!r} of {dataset}")
        for name, found in sorted(values.items())
        if found
    }


def sample_targets(
    metadata: Mapping[str, Any], targets: Mapping[str, Target]
) -> dict[str, TargetValue]:
    """Return a clip's values of its dataset's targets; those that are not there are left out."""
    values = {name: _value(metadata.get(name)) for name in targets}
    return {name: value for name, value in values.items() if value is not None}


def _target(values: Iterable[TargetValue], what: str) -> Target:
    texts = {value for value in values if isinstance(value, str)}
    numbers = [value for value in values if not isinstance(value, str)]
    if texts and numbers:
        raise ConfigError(
            f"{what} holds texts ({min(texts)!r}) and numbers ({numbers[0]!r}); a target is one or "
            "the other"
        )
    return class_target(sorted(texts)) if texts else number_target()


def _is_compound(value: object) -> bool:
    return value is not None and not isinstance(value, str | int | float)


def _value(value: Any) -> TargetValue | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str | int | float):
        return value if value != "" else None
    return None

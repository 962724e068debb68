"""Named targets beside the labels: a speaker, a pitch, a city. What they are, and where they stand.

A target of the kind `class` has a vocabulary, which stands in `dataset.json`; a `number` has none.
A sample's JSON holds its values by name; the index has a column `target.<name>` for each target
that some sample of the file has: int32 ids for classes, float64 for numbers, null where a sample
has no value. So an index of samples without targets is what it was before there were any.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shardwriter.json_form import Json, count, typed

TargetValue = str | int | float
"""A class by name, or a number."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
_LOST_CLASS = "lost-{}-{}"


class TargetKind(StrEnum):
    """What the values of a target are."""

    CLASS = "class"
    NUMBER = "number"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target that samples of a dataset may have, one value each."""

    kind: TargetKind
    labels: tuple[str, ...] = ()
    """The vocabulary of a class target: a value's id is its position. None for numbers."""

    def __post_init__(self) -> None:
        """Refuse a vocabulary that does not fit the kind."""
        if (self.kind == TargetKind.CLASS) != bool(self.labels):
            raise ValueError(
                f"a class target has a vocabulary, a number has none; got the kind "
                f"{self.kind.value!r} and {len(self.labels)} labels"
            )
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("the vocabulary of a target lists a label twice")

    @classmethod
    def from_json(cls, row: Json) -> "Target":
        """Read it from a manifest; a `KeyError`, `TypeError` or `ValueError` if it is none."""
        return cls(
            kind=TargetKind(row["kind"]),
            labels=tuple(typed(label, str) for label in typed(row["labels"], list)),
        )


def number_target() -> Target:
    """Return a target whose values are numbers, e.g. a pitch."""
    return Target(kind=TargetKind.NUMBER)


def class_target(labels: Iterable[str]) -> Target:
    """Return a target of these classes, e.g. speakers, in order of their ids."""
    return Target(kind=TargetKind.CLASS, labels=tuple(labels))


def check_target_names(names: Iterable[str]) -> None:
    """Refuse names of targets that make no name of a column."""
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"a target's name is a letter, then up to 63 letters, digits and '_'; got {name!r}"
            )


def check_targets(
    values: Mapping[str, TargetValue], targets: Mapping[str, Target], *, where: str
) -> None:
    """Refuse values that are not of a dataset's targets.

    Raises:
        ValueError: a name that is no target, a value of another kind, one that is not finite, or
            a class that the vocabulary lacks.
    """
    for name, value in values.items():
        if name not in targets:
            raise ValueError(f"{where}: the dataset has no target {name!r}; it has {[*targets]}")
        target = targets[name]
        if not _is_of(value, target):
            raise ValueError(
                f"{where}: target {name!r} is {value!r}, expected a {target.kind.value}"
                + (f" of its {len(target.labels)}" if target.labels else ", finite")
            )


def target_ids(values: Mapping[str, TargetValue], targets: Mapping[str, Target]) -> dict[str, int]:
    """Return the positions of the class targets' values in their vocabularies."""
    return {
        name: targets[name].labels.index(value)
        for name, value in sorted(values.items())
        if isinstance(value, str)
    }


def index_values(
    values: Mapping[str, TargetValue], ids: Mapping[str, int]
) -> dict[str, int | float]:
    """Return what the index holds of a sample's targets: an int is an id, a float a number."""
    return {
        name: ids[name] if isinstance(value, str) else float(value)
        for name, value in sorted(values.items())
    }


def read_values(row: Json) -> dict[str, TargetValue]:
    """Return targets from a sample's JSON; a `TypeError` if they are none."""
    return {_checked_name(name): _read_value(value) for name, value in typed(row, dict).items()}


def read_ids(row: Json, values: Mapping[str, TargetValue]) -> dict[str, int]:
    """Return class ids from a sample's JSON; a `TypeError` if they are none or not of `values`."""
    ids = {name: count(number) for name, number in typed(row, dict).items()}
    named = {name for name, value in values.items() if isinstance(value, str)}
    if named != set(ids) or any(number >= 2**31 for number in ids.values()):
        raise TypeError(f"{ids!r} (expected an id for each of {sorted(named)})")
    return ids


class TargetTraits:
    """Collects what targets a dataset has from its samples, where the manifest is lost."""

    def __init__(self) -> None:
        self._labels: dict[str, dict[int, str]] = {}
        self._numbers: set[str] = set()

    def add(self, values: Mapping[str, TargetValue], ids: Mapping[str, int]) -> None:
        """Take a sample in.

        Raises:
            ValueError: it contradicts one before it.
        """
        for name, value in values.items():
            if not isinstance(value, str):
                self._numbers.add(name)
            elif self._labels.setdefault(name, {}).setdefault(ids[name], value) != value:
                held = self._labels[name][ids[name]]
                raise ValueError(f"class {ids[name]} of target {name} is {value!r} and {held!r}")
            if name in self._numbers and name in self._labels:
                raise ValueError(f"target {name} is a class in one sample, a number in another")

    def update(self, other: "TargetTraits") -> None:
        """Take in what another one collected; a `ValueError` as of `add`."""
        for name in other._numbers:
            self.add({name: 0.0}, {})
        for name, labels in other._labels.items():
            for number, label in labels.items():
                self.add({name: label}, {name: number})

    def targets(self) -> tuple[dict[str, Target], list[str]]:
        """Return the targets, and which names of classes could not be recovered."""
        found = {name: number_target() for name in self._numbers}
        lost = []
        for name, labels in self._labels.items():
            missing = [number for number in range(max(labels)) if number not in labels]
            named = labels | {number: _LOST_CLASS.format(name, number) for number in missing}
            found[name] = class_target(named[number] for number in sorted(named))
            lost += [f"class {number} of target {name} is in no clip" for number in missing]
        return dict(sorted(found.items())), lost


def _checked_name(name: Any) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise TypeError(f"{name!r} (expected the name of a target)")
    return name


def _read_value(value: Any) -> TargetValue:
    if isinstance(value, str) or _is_number(value):
        return value  # type: ignore[no-any-return]  # checked
    raise TypeError(f"{value!r} (expected a text or a finite number)")


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def _is_of(value: object, target: Target) -> bool:
    if target.kind == TargetKind.NUMBER:
        return _is_number(value)
    return isinstance(value, str) and value in target.labels

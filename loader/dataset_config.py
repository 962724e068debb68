"""What is taken of one dataset, refused early where it is wrong."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetConfig:
    """The samples of one dataset that a loader uses; conditions are joined by AND."""

    url: str
    """Where the dataset lies: a folder, or any URL that `shardwriter.storage.open_store` takes."""
    split: str | tuple[str, ...]
    """One split, or several that are read as one."""
    folds: tuple[int, ...] | None = None
    """Keep only the samples of these folds; `None` keeps all."""
    include_labels: tuple[str, ...] | None = None
    """Keep only samples with at least one of these labels; `None` keeps all."""
    exclude_labels: tuple[str, ...] = ()
    """Leave out samples with any of these labels."""
    min_seconds: float | None = None
    """Leave out shorter clips."""
    include_targets: Mapping[str, tuple[str, ...]] | None = None
    """Keep only samples whose class targets are these, e.g. `{"city": ("milan", "paris")}`; `None`
    keeps all."""
    label_map: Mapping[str, str | tuple[str, ...] | None] | None = None
    """Labels renamed, merged, split (a tuple) or dropped (None); those not in it stay as they are.
    The filters above name the dataset's own labels. No sample is left out by it."""
    weight: float | None = None
    """Share of the epoch, relative to the other datasets' weights: all of them have one or none.
    `None` takes all datasets together as if they were one."""

    def __post_init__(self) -> None:
        """Refuse what can't work.

        Raises:
            ValueError: with the value, its bound and the way out.
        """
        _check_text("url", self.url)
        for name in self.split if isinstance(self.split, tuple) else (self.split,):
            _check_text("split", name)
        _check_distinct("split", self.split if isinstance(self.split, tuple) else (self.split,))
        _check_folds(self.folds)
        if self.include_labels is not None:
            _check_labels("include_labels", self.include_labels)
            _check_distinct("include_labels", self.include_labels)
        _check_labels("exclude_labels", self.exclude_labels)
        _check_include_targets(self.include_targets)
        _check_label_map(self.label_map)
        for name in ("min_seconds", "weight"):
            _check_positive(name, getattr(self, name))

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits in the order that they are read in, whatever order they are listed in."""
        return tuple(sorted(self.split)) if isinstance(self.split, tuple) else (self.split,)

    def describe(self) -> str:
        """Return what decides the choice of samples as text, the same for the same choice.

        The URL is not in it: a dataset that was moved is still the same.
        """
        parts = ["+".join(self.splits)]
        for name in ("folds", "include_labels", "exclude_labels"):
            values = getattr(self, name)
            if values:
                parts.append(f"{name}={','.join(map(str, sorted(values)))}")
        for name in ("min_seconds", "weight"):
            value = getattr(self, name)
            if value is not None:
                parts.append(f"{name}={float(value)!r}")
        if self.include_targets:
            wanted = {name: sorted(labels) for name, labels in self.include_targets.items()}
            parts.append(f"include_targets={json.dumps(wanted, sort_keys=True)}")
        if self.label_map:
            parts.append(f"label_map={json.dumps(dict(self.label_map), sort_keys=True)}")
        return " ".join(parts)


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a non-empty text, got {value!r}")


def _check_labels(name: str, labels: object) -> None:
    if not isinstance(labels, tuple) or not all(isinstance(label, str) for label in labels):
        raise ValueError(f"{name} must be a tuple of label names, got {labels!r}")


def _check_include_targets(include: object) -> None:
    if include is None:
        return
    if not isinstance(include, Mapping) or not include:
        raise ValueError(
            f"include_targets must map names of targets to tuples of classes, got {include!r}"
        )
    for name, labels in include.items():
        _check_text("a target's name", name)
        _check_labels(f"include_targets[{name!r}]", labels)
        _check_distinct(f"include_targets[{name!r}]", labels)


def _check_label_map(label_map: object) -> None:
    if label_map is None:
        return
    if not isinstance(label_map, Mapping):
        raise ValueError(f"label_map must map labels to labels, got {label_map!r}")
    for label, names in label_map.items():
        _check_text("label_map: a label", label)
        several = names if isinstance(names, tuple) else (names,)
        for name in () if names is None else several:
            _check_text(f"label_map[{label!r}]", name)
        if names is not None:
            _check_distinct(f"label_map[{label!r}]", several)


def _check_distinct(name: str, values: tuple[object, ...]) -> None:
    if not values or len(set(values)) != len(values):
        raise ValueError(f"{name} must not be empty or repeat, got {values!r}")


def _check_folds(folds: object) -> None:
    if folds is None:
        return
    if not isinstance(folds, tuple) or not folds or not all(type(fold) is int for fold in folds):
        raise ValueError(
            f"folds must be a non-empty tuple of whole numbers, got {folds!r}; "
            "None keeps every sample"
        )
    if len(set(folds)) != len(folds):
        raise ValueError(f"folds must not repeat, got {folds!r}")


def _check_positive(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
        raise ValueError(f"{name} must be a finite number above 0, or None, got {value!r}")

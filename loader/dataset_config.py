"""What is taken of one dataset, refused early where it is wrong."""

import math
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
        return " ".join(parts)


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a non-empty text, got {value!r}")


def _check_labels(name: str, labels: object) -> None:
    if not isinstance(labels, tuple) or not all(isinstance(label, str) for label in labels):
        raise ValueError(f"{name} must be a tuple of label names, got {labels!r}")


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

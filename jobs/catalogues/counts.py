"""Published counts, and every difference between them and what was listed."""

import collections
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobs.catalogues.catalogue import ClipRef, CountDifference


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedCounts:
    """How many clips there must be; what is left empty is not published, and not compared."""

    name: str
    """What they are the counts of: a subset, a split, a protocol."""
    num_by_split: Mapping[str, int]
    num_by_fold: Mapping[int, int] = field(default_factory=dict)
    num_by_label: Mapping[str, int] = field(default_factory=dict)
    num_each_label: int | None = None
    """Of every label that occurs, where all are equally frequent."""
    num_labels_by_split: Mapping[str, int] = field(default_factory=dict)
    """Labels of all clips together, in multi-label sets."""
    num_classes: int | None = None
    """Of the labels that occur."""

    @property
    def num_clips(self) -> int:
        """Clips of all splits."""
        return sum(self.num_by_split.values())


def count_differences(
    clips: Sequence[ClipRef], expected: ExpectedCounts
) -> tuple[CountDifference, ...]:
    """Return every count that is not as published, in order of what is counted."""
    by_split = collections.Counter(clip.split for clip in clips)
    found = [*_compare("clips of split", by_split, expected.num_by_split)]
    if expected.num_by_fold:
        by_fold = collections.Counter(clip.fold for clip in clips if clip.fold is not None)
        found += _compare("clips of fold", by_fold, expected.num_by_fold)
    if expected.num_labels_by_split:
        num_labels: collections.Counter[str] = collections.Counter()
        for clip in clips:
            num_labels[clip.split] += len(clip.labels)
        found += _compare("labels of split", num_labels, expected.num_labels_by_split)
    by_label = collections.Counter(_labels(clips))
    labels = expected.num_by_label
    if expected.num_each_label is not None:
        labels = dict.fromkeys(sorted(by_label), expected.num_each_label)
    if labels:
        found += _compare("clips of class", by_label, labels)
    if expected.num_classes is not None:
        found += _compare("classes", {"": len(by_label)}, {"": expected.num_classes})
    return tuple(found)


def _labels(clips: Iterable[ClipRef]) -> Iterator[str]:
    for clip in clips:
        yield from clip.labels


def _compare(
    what: str, got: Mapping[Any, int], expected: Mapping[Any, int]
) -> Iterator[CountDifference]:
    """Yield the differences; names that nobody expected come last."""
    for name in [*expected, *sorted(name for name in got if name not in expected)]:
        if got.get(name, 0) != expected.get(name, 0):
            yield CountDifference(
                what=f"{what} {name}".rstrip(),
                expected=expected.get(name, 0),
                got=got.get(name, 0),
            )

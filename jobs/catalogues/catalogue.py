"""What a dataset module gives the common ingest path: clips as values, labels, expected counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jobs.catalogues.trials import VerificationPairs
from shardwriter import Rejection
from shardwriter.audio import Cut, DurationRule
from shardwriter.targets import Target

_NOTHING: Final[Mapping[str, Any]] = {}
"""Shared by all clips that say nothing more: of two million, each would hold 64 bytes."""


def _nothing() -> Mapping[str, Any]:
    return _NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRef:
    """A clip that a catalogue lists."""

    id: str
    """Identity, `<dataset>/<clip>`."""
    file: str | None
    """Name in the source; None when the source does not hold it, or is asked by `video_id`."""
    split: str
    labels: tuple[str, ...]
    fold: int | None = None
    group: str | None = None
    duration: DurationRule | None = None
    cut: Cut | None = None
    """The part of the file or video that is the clip; None: all of it."""
    channel: int | None = None
    """The channel that is the clip, from 0; None: what is chosen for the whole dataset."""
    video_id: str | None = None
    """YouTube id, for sets that come from there."""
    metadata: Mapping[str, Any] = field(default_factory=_nothing)
    """The catalogue's own columns, targets beside the labels among them. Clips may share one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountDifference:
    """A count that is not as published."""

    what: str
    """E.g. `clips of split train`."""
    expected: int
    got: int

    def __str__(self) -> str:
        return f"{self.what}: expected {self.expected:,}, got {self.got:,}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLeak:
    """What the published splits are known to share; it is reported as known, never repaired."""

    what: str
    groups: frozenset[str] = frozenset()
    """Groups with clips in two splits or folds."""
    clips: tuple[frozenset[str], ...] = ()
    """Sets of clips, by id, with the same audio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """A dataset's listing, as read from its own files."""

    name: str
    title: str
    labels: tuple[str, ...]
    """The vocabulary; a label's id is its position."""
    clips: tuple[ClipRef, ...]
    """In the order in which they are written."""
    rejections: tuple[Rejection, ...]
    """Rows that the catalogue itself rules out."""
    expected_num_clips: int
    """How many clips the published set holds."""
    licence: str
    citation: str
    differences: tuple[CountDifference, ...] = ()
    """Every count that is not as published."""
    label_codes: Mapping[str, str] = field(default_factory=dict)
    """Label to its code in the AudioSet ontology (mid), for sets whose classes come from there:
    one class has different names in different sets, and even in two lists of AudioSet."""
    trials: tuple[VerificationPairs, ...] = ()
    """Lists of pairs on which speaker verification is tested."""
    targets: Mapping[str, Target] = field(default_factory=dict)
    """What can be learned beside the labels, by name of the metadata column that holds it."""
    leaks: tuple[KnownLeak, ...] = ()
    """What the published splits are known to share."""
    warnings: tuple[str, ...] = ()
    """What is not as good as it could be, e.g. a file that was not there, and what it would add."""

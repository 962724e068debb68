"""What a dataset module gives the common ingest path: clips as values, labels, expected counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shardwriter import Rejection
from shardwriter.audio import Cut, DurationRule


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
    video_id: str | None = None
    """YouTube id, for sets that come from there."""
    metadata: Mapping[str, Any] = field(default_factory=dict)


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

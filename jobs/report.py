"""What a run's report shows, as plain values: strings, numbers and PNG bytes.

Neither torch nor the jobs are known here. `jobs.report_html` turns a report into a page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What came out; shares are in [0, 1], `macro_map` is None where it wasn't measured."""

    accuracy: float
    """Share of held-out clips whose class was found."""
    chance_accuracy: float
    num_held_out: int
    macro_map: float | None
    clips_per_second: float
    """Training clips a second while training ran."""
    total_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Wall time of one stage of the run; stages don't overlap."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One split or fold of the dataset."""

    name: str
    num_clips: int
    audio_seconds: float
    num_bytes: int
    num_classes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A PNG with the sentence that says what to see in it."""

    png: bytes
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A held-out clip with a wrong prediction; `probability` is that of `predicted`."""

    key: str
    true: str
    predicted: str
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where the numbers come from.

    `created` is date and time as text, `commands` the command lines that led here, in order;
    `attribution` (who made the audio) may have many lines, `licence` is one.
    """

    created: str
    dataset_digest: str
    versions: Mapping[str, str]
    commands: Sequence[str]
    attribution: str
    licence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that a report shows; lists keep their order, and a section without content is left out.

    What the stages leave of `scores.total_seconds` is shown as "everything else". `rejections` is
    the number of clips left out by reason, `mistakes` begins with the most confident one.
    """

    title: str
    subtitle: str
    scores: Scores
    stages: Sequence[Stage]
    parts: Sequence[Part]
    rejections: Mapping[str, int] | None
    settings: Mapping[str, str]
    mistakes: Sequence[Mistake]
    provenance: Provenance
    headlines: Sequence[tuple[str, str, str]] = ()
    """Name, value and a line of what was tested instead of accuracy and mAP, in their place."""
    figures: Sequence[tuple[str, str]] = ()
    """Names and values of the figures of merit, for a table."""
    sound_pictures: Sequence[Picture] = ()
    training_pictures: Sequence[Picture] = ()
    result_pictures: Sequence[Picture] = ()
    dataset_pictures: Sequence[Picture] = ()

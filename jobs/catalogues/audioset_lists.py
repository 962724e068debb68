"""The lists of AudioSet: segments with the labels of each, and strong labels with their times.

A segment list begins with three comment lines, of which the second counts what follows: a copy
that lost rows is told by it. Its labels are quoted after `, `. The list of strong labels has a
row for each event, `<video>_<start in ms>` first; a video's id may itself hold `_`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from jobs.catalogues.audioset_classes import AudioSetClasses
from jobs.catalogues.audioset_ontology import Ontology
from jobs.catalogues.catalogue import ClipRef
from jobs.catalogues.tables import (
    Row,
    TableForm,
    first_spreadsheet_error,
    read_table,
    table_error,
)
from jobs.catalogues.video_clips import VIDEO_ID, VideoFiles
from shardwriter.errors import ConfigError

STRONG_SECONDS = 10.0
"""A strongly labelled clip is `[start, start + 10)`; the list does not give its end."""
_CREATED = "# Segments csv created "
_COUNTS = re.compile(
    r"# num_ytids=(\d+), num_segs=(?P<clips>\d+), num_unique_labels=(\d+), "
    r"num_positive_labels=(?P<labels>\d+)"
)
_HEADER = "# YTID, start_seconds, end_seconds, positive_labels"
_SEGMENTS = TableForm(
    columns=("YTID", "start_seconds", "end_seconds", "positive_labels"),
    has_header=False,
    num_comment_lines=3,
    skips_space=True,
)
_STRONG = TableForm(
    columns=("segment_id", "start_time_seconds", "end_time_seconds", "label"),
    delimiter="\t",
    is_quoted=False,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListContext:
    """What the rows of a list are read with."""

    where: str
    split: str
    classes: AudioSetClasses
    files: VideoFiles
    ontology: Ontology | None = None
    """Adds the ancestors of each label that are classes of the list; None: labels as published."""

    def with_ancestors(self, mids: list[str]) -> list[str]:
        """Return the mids, and behind them their ancestors that are not among them."""
        if self.ontology is None:
            return mids
        ancestors = self.ontology.ancestors
        above = [parent for mid in mids for parent in ancestors.get(mid, ())]
        return mids + [
            mid
            for mid in dict.fromkeys(above)
            if mid in self.classes.name_by_mid and mid not in mids
        ]


def read_segments(data: bytes, context: ListContext) -> Iterator[ClipRef]:
    """Yield the clips of a segment list, and check their number against its second line.

    Raises:
        ConfigError: the list is not as published: see `jobs.catalogues.tables`.
    """
    num_clips, num_labels = _published_counts(data, context.where)
    labels_of = _Labels(context)
    got_clips = got_labels = 0
    for row in read_table(data, _SEGMENTS, where=context.where):
        video = row["YTID"]
        start, stop = row.number("start_seconds"), row.number("end_seconds")
        if not VIDEO_ID.fullmatch(video):
            raise row.error(f"YTID is {video!r}, expected 11 letters, digits, '_' and '-'")
        if not start < stop:
            raise row.error(f"the segment ends at {stop} s, before it starts at {start} s")
        labels, metadata = labels_of(row, row["positive_labels"])
        got_clips += 1
        got_labels += row["positive_labels"].count(",") + 1
        yield context.files.clip(
            dataset="audioset",
            video=video,
            start_seconds=start,
            stop_seconds=stop,
            split=context.split,
            labels=labels,
            metadata=metadata,
        )
    if (got_clips, got_labels) != (num_clips, num_labels):
        raise table_error(
            context.where,
            f"line 2 says {num_clips} segments with {num_labels} labels, there are {got_clips} "
            f"with {got_labels}: rows are lost or added (for a list of your own, count in line 2)",
        )


def _published_counts(data: bytes, where: str) -> tuple[int, int]:
    lines = [line.decode("utf-8", "replace") for line in data[:2000].splitlines()[:3]]
    lines += [""] * (3 - len(lines))
    counts = _COUNTS.fullmatch(lines[1])
    if not lines[0].startswith(_CREATED) or lines[0].endswith(","):
        raise _comment_error(data, where, 1, lines[0], f"{_CREATED}...")
    if counts is None:
        raise _comment_error(data, where, 2, lines[1], "# num_ytids=..., num_segs=..., ...")
    if lines[2] != _HEADER:
        raise _comment_error(data, where, 3, lines[2], _HEADER)
    return int(counts["clips"]), int(counts["labels"])


def _comment_error(data: bytes, where: str, line: int, got: str, expected: str) -> ConfigError:
    """Return the error for the lines that copies lose first, with what else they show."""
    problem = f"expected {expected!r}, got {got[:100]!r}"
    if got.endswith(","):
        problem += ", with empty columns behind it: a spreadsheet saved this copy"
    elif not got.startswith("#"):
        problem += ": the comment lines are missing or changed"
    broken = first_spreadsheet_error(data)
    if broken is not None:
        problem += f"; line {broken} holds '#NAME?' or its like in the place of an id"
    return table_error(where, problem, line=line)


class _Labels:
    """Turns mids into labels, and shares the result among clips: few combinations are frequent."""

    def __init__(self, context: ListContext) -> None:
        self._context = context
        self._names = context.classes.name_by_mid
        self._known: dict[str, tuple[tuple[str, ...], dict[str, object]]] = {}

    def __call__(self, row: Row, text: str) -> tuple[tuple[str, ...], dict[str, object]]:
        """Return the labels of a comma-separated list of mids, and the metadata that holds it."""
        found = self._known.get(text)
        if found is None:
            mids = text.split(",")
            for mid in mids:
                if mid not in self._names:
                    raise row.error(f"{mid!r} is none of the {len(self._names)} classes' mids")
            if len(set(mids)) != len(mids):
                raise row.error(f"a label is there twice in {text!r}")
            mids = self._context.with_ancestors(mids)
            found = tuple(self._names[mid] for mid in mids), {"mids": mids}
            self._known[text] = found
        return found


def read_strong(data: bytes, context: ListContext) -> Iterator[ClipRef]:
    """Yield the clips of a list of strong labels, in order of their first event.

    The labels of a clip are those of all its events; the events, as `[onset, offset, mid]` in
    seconds from the clip's start, are its metadata.

    Raises:
        ConfigError: the list is not as published.
    """
    events: dict[str, list[list[object]]] = {}
    for row in read_table(data, _STRONG, where=context.where):
        onset, offset = row.number("start_time_seconds"), row.number("end_time_seconds")
        if onset > offset:
            raise row.error(f"the event ends at {offset} s, before it starts at {onset} s")
        if row["label"] not in context.classes.name_by_mid:
            raise row.error(f"{row['label']!r} is none of the classes' mids")
        video, _, start_ms = row["segment_id"].rpartition("_")
        if not (VIDEO_ID.fullmatch(video) and start_ms.isdecimal() and start_ms.isascii()):
            raise row.error(f"segment_id is {row['segment_id']!r}, expected <video>_<start in ms>")
        events.setdefault(row["segment_id"], []).append([onset, offset, row["label"]])
    for segment, found in events.items():
        video, _, start_ms = segment.rpartition("_")
        start = int(start_ms) / 1000
        mids = context.with_ancestors(list(dict.fromkeys(str(event[2]) for event in found)))
        yield context.files.clip(
            dataset="audioset",
            video=video,
            start_seconds=start,
            stop_seconds=start + STRONG_SECONDS,
            is_exact=False,
            split=context.split,
            labels=tuple(context.classes.name_by_mid[mid] for mid in mids),
            metadata={"mids": mids, "events": found},
        )

"""Clips of videos: where each lies in a folder or archive that someone made of them.

Everyone who downloaded such a set named files in a way of their own. These are found: the video's
id alone, with `Y` before it (as ids may begin with `-`), with the clip's start behind it, or with
start and end, in seconds or milliseconds::

    --PJHxphWEs.flac   Y--PJHxphWEs.wav   --PJHxphWEs_30.wav   --PJHxphWEs_30000.m4a
    --PJHxphWEs_30.000_40.000.wav   Y--PJHxphWEs_30.000_40.000.wav   --PJHxphWEs_30000_40000.wav
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from jobs.catalogues.catalogue import ClipRef
from jobs.sources import Source
from shardwriter.audio import Cut, DurationRule

VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}", re.ASCII)
"""The form of a YouTube id. It may begin with `-`, and may hold `_`."""
TOLERANCE_SECONDS = 0.5
"""A clip that differs by more from what the list says is refused. Cuts at a codec's frames or a
container's keyframes are off by some tens of ms; a video that lost its end is off by more."""
_STEM = re.compile(
    r"Y?(?P<id>[A-Za-z0-9_-]{11})(?:_(?P<start>\d+(?:\.\d+)?)(?:_(?P<stop>\d+(?:\.\d+)?))?)?",
    re.ASCII,
)
_SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".opus", ".m4a", ".aac", ".mp3", ".webm", ".mp4", ".mkv"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A file of a video."""

    name: str
    start: str
    """As its name gives it; empty: the name is the video's alone."""


class VideoFiles:
    """The files of a source by the video that they are from."""

    def __init__(
        self, source: Source, *, are_whole: bool, rows: Mapping[str, str] | None = None
    ) -> None:
        """List a source.

        Args:
            source: Where the files lie, if anywhere.
            are_whole: Whether a file that is named by its video alone is the whole video, from
                which the clip is cut, and not the clip.
            rows: Cells of tables by the video that they hold; a file goes before them.
        """
        self._are_whole = are_whole
        self._by_video: dict[str, str | list[_Held]] = {}
        for name in source.names():
            path = PurePosixPath(name)
            match = _STEM.fullmatch(path.stem)
            if match is not None and path.suffix.lower() in _SUFFIXES:
                self._add(match, name)
        for video, cell in (rows or {}).items():
            self._by_video.setdefault(video, cell)
        self._spans: dict[tuple[float, float], tuple[Cut, DurationRule]] = {}

    def _add(self, match: re.Match[str], name: str) -> None:
        # A name alone for most: of two million files, each list would take 200 bytes.
        video, start = match["id"], match["start"] or ""
        before = self._by_video.get(video)
        if before is None and not start:
            self._by_video[video] = name
            return
        held = [_Held(name=before, start="")] if isinstance(before, str) else before or []
        self._by_video[video] = [*held, _Held(name=name, start=start)]

    def find(self, video: str, start_seconds: float) -> tuple[str | None, bool]:
        """Return the file that holds a clip, and whether that is all it holds.

        A file whose name gives the clip's start goes before one that is named by the video alone.
        """
        held = self._by_video.get(video)
        if held is None:
            return None, False
        if isinstance(held, str):
            return held, not self._are_whole
        for file in held:
            if file.start and float(file.start) in (start_seconds, 1000 * start_seconds):
                return file.name, True
        whole = next((file.name for file in held if not file.start), None)
        return whole, whole is not None and not self._are_whole

    def clip(
        self,
        *,
        dataset: str,
        video: str,
        start_seconds: float,
        stop_seconds: float,
        is_exact: bool = True,
        split: str,
        labels: tuple[str, ...],
        metadata: dict[str, object],
    ) -> ClipRef:
        """Return the clip of a video's part. Equal parts of clips are shared: there are millions.

        Args:
            dataset: First part of its id.
            video: Id of the video.
            start_seconds: Where the clip begins in the video.
            stop_seconds: Where it ends.
            is_exact: Whether the video is known to last until `stop_seconds`.
            split: Its split.
            labels: Its labels.
            metadata: What else the list says.
        """
        span = self._spans.get((start_seconds, stop_seconds))
        if span is None:
            span = self._spans[start_seconds, stop_seconds] = _span(start_seconds, stop_seconds)
        cut, rule = span
        file, is_clip = self.find(video, start_seconds)
        return ClipRef(
            id=f"{dataset}/{video}_{round(1000 * start_seconds)}",
            file=file,
            split=split,
            labels=labels,
            group=video,
            duration=rule if is_exact else None,
            cut=None if is_clip else cut,
            video_id=video,
            metadata=metadata,
        )


def _span(start_seconds: float, stop_seconds: float) -> tuple[Cut, DurationRule]:
    rule = DurationRule(
        seconds=round(stop_seconds - start_seconds, 3), tolerance_seconds=TOLERANCE_SECONDS
    )
    return Cut(start_seconds=start_seconds, stop_seconds=stop_seconds), rule

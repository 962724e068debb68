"""The bytes of a video's audio: by ranges over yt-dlp's connections, or by its downloader."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.fetching.excerpt import (
    POST_ROLL_SECONDS,
    PRE_ROLL_SECONDS,
    Excerpt,
    NoExcerptError,
    take_excerpt,
)
from jobs.fetching.prefix import (
    first_num_bytes,
    needed_seconds,
    next_num_bytes,
    reached_seconds,
)
from jobs.fetching.ranged_file import BLOCK_BYTES, RangedFile, ScatteredError
from jobs.fetching.youtube_bounds import Bounds, MediaError, TooManyBytesError
from jobs.fetching.youtube_options import Mode, YoutubeOptions
from jobs.fetching.youtube_ranges import MediaRanges, Piece
from shardwriter.audio import Cut

logger = logging.getLogger(__name__)

_MAX_WAIT_SECONDS = 120.0
_MAX_EXCERPT_REQUESTS = 16
"""An index takes one or two, the clip one to four."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """Bytes of a video's audio that hold a clip."""

    data: bytes
    cut: Cut | None
    """Where the clip is in them; None: all of it."""
    mode: Mode
    """How they came, which may be another way than the one that was asked for."""
    first_sample: int = 0
    """The sample of the video's audio that is the first in them."""


class YoutubeMedia:
    """The audio of one video on its way."""

    def __init__(
        self, ydl: Any, info: dict[str, Any], options: YoutubeOptions, bounds: Bounds
    ) -> None:
        """Take a video.

        Args:
            ydl: The `yt_dlp.YoutubeDL` that found it; its session and cookies are used.
            info: As `extract_info` returned it, with one format chosen.
            options: The user's choices.
            bounds: What the `ydl` reports its progress to.
        """
        self._ydl = ydl
        self._info = info
        self._options = options
        self._bounds = bounds
        self._ranges = MediaRanges(ydl, info, bounds)
        self._num_fragment_bytes = 0

    @property
    def num_bytes(self) -> int:
        """Bytes that came over the network."""
        return self._ranges.num_bytes + self._num_fragment_bytes

    def read(self, cut: Cut | None, *, folder: Path) -> Media:
        """Return the bytes: whole, or so many as the cut needs.

        Args:
            cut: The part that is wanted.
            folder: For formats that come in fragments, which yt-dlp puts together on disk.

        Raises:
            TooManyBytesError: more than allowed are needed.
            MediaError: what came is not what was announced, or took longer than allowed.
            yt_dlp.utils.YoutubeDLError: the server or network failed.
        """
        self._wait_until_available()
        self._bounds.begin()
        if self._info.get("protocol") not in ("http", "https"):
            return Media(data=self._read_fragments(folder), cut=cut, mode="whole")
        seconds = needed_seconds(cut)
        if cut is None or seconds is None or self._options.mode == "whole":
            return Media(data=self._read_whole(), cut=cut, mode="whole")
        if self._options.mode == "range":
            return self._read_excerpt(cut) or self._read_beginning(cut, seconds)
        return self._read_beginning(cut, seconds)

    def _wait_until_available(self) -> None:
        """Wait for the time that YouTube set; asking earlier is answered by 403 (#13980)."""
        wait = float(self._info.get("available_at") or 0) - time.time()
        if wait > _MAX_WAIT_SECONDS:
            raise MediaError(f"Read timed out: the media is to be available only in {wait:.0f} s")
        if wait > 0:
            time.sleep(wait)

    def _read_whole(self) -> bytes:
        piece = Piece(start=0)
        self._ranges.extend(piece, self._options.max_bytes)
        if piece.stop != self._ranges.total:
            raise TooManyBytesError(f"over {piece.stop} bytes")
        return bytes(piece.data)

    def _read_beginning(self, cut: Cut, seconds: float) -> Media:
        """Fetch so much of the beginning as reaches to a time."""
        piece = Piece(start=0)
        wanted = first_num_bytes(seconds, kbit_per_second=_kbit_per_second(self._info))
        while True:
            self._ranges.extend(piece, min(wanted, self._options.max_bytes) - piece.stop)
            data = bytes(piece.data)
            if piece.stop == self._ranges.total:
                return Media(data=data, cut=cut, mode="whole")
            reached = reached_seconds(data)
            if reached >= seconds:
                return Media(data=data, cut=cut, mode="prefix")
            if piece.stop >= self._options.max_bytes:
                raise TooManyBytesError(f"over {piece.stop} bytes for {seconds:g} s")
            wanted = next_num_bytes(data, seconds=seconds, reached=reached)

    def _read_excerpt(self, cut: Cut) -> Media | None:
        """Fetch what a demuxer looks at on its way to the clip; None: it would not be exact."""
        file = RangedFile(self._ranges, max_requests=_MAX_EXCERPT_REQUESTS)
        if file.whole is not None:
            return Media(data=file.whole, cut=cut, mode="whole")
        if self._ranges.total is None:  # an index at the end can't be found
            return None
        file.jump_bytes = _excerpt_num_bytes(cut, _kbit_per_second(self._info))
        excerpt: Excerpt | None = None
        problem: Exception | None = None
        try:
            excerpt = take_excerpt(file, head=file.head, cut=cut)
        except NoExcerptError as err:
            problem = err
        if file.error is not None and not isinstance(file.error, ScatteredError):
            raise file.error
        problem = file.error or problem
        if excerpt is None or problem is not None:
            logger.debug("no excerpt, taking the beginning reason=%s", problem)
            return None
        return Media(
            data=excerpt.data, cut=excerpt.cut, mode="range", first_sample=excerpt.first_sample
        )

    def _read_fragments(self, folder: Path) -> bytes:
        """Let yt-dlp fetch a format that is no single file (HLS, DASH), always whole."""
        path = folder / "audio"
        try:
            self._ydl.dl(str(path), {**self._info, "filename": str(path)})
            data = path.read_bytes()
        finally:
            for left in folder.glob("audio*"):
                left.unlink()
        self._num_fragment_bytes = len(data)
        self._bounds.check(len(data))
        return data


def _kbit_per_second(info: dict[str, Any]) -> float | None:
    """Return the mean rate: by size and duration, which are exact, or as YouTube tells it."""
    size, duration = info.get("filesize"), info.get("duration")
    if size and duration:
        return float(size) * 8 / 1000 / float(duration)
    rate = info.get("tbr") or info.get("abr")
    return None if rate is None else float(rate)


def _excerpt_num_bytes(cut: Cut, kbit_per_second: float | None) -> int:
    """Return how many bytes to ask for where the clip is thought to begin."""
    seconds = (cut.stop_seconds or 0.0) - cut.start_seconds + PRE_ROLL_SECONDS + POST_ROLL_SECONDS
    return max(BLOCK_BYTES, int(seconds * (kbit_per_second or 0.0) * 1000 / 8))

"""The bytes of a video's audio: by ranges over yt-dlp's connections, or by its downloader."""

import re
import time
from pathlib import Path
from typing import Any

from jobs.fetching.prefix import (
    first_num_bytes,
    needed_seconds,
    next_num_bytes,
    reached_seconds,
)
from jobs.fetching.youtube_options import RANGE_BYTES, YoutubeOptions
from shardwriter.audio import Cut

_PIECE_BYTES = 1 << 16
_MAX_RESUMPTIONS = 3
_MAX_WAIT_SECONDS = 120.0
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_RANGE_NOT_SATISFIABLE = 416


class MediaError(Exception):
    """Media that came otherwise than it should; the message is what the classifier reads."""


class TooManyBytesError(Exception):
    """Media of more bytes than are allowed."""


class Bounds:
    """How much may come, and how long it may take; yt-dlp's own downloader is held to it, too."""

    def __init__(self, options: YoutubeOptions) -> None:
        self._options = options
        self._deadline = 0.0

    def begin(self) -> None:
        """Start the clock for a clip."""
        self._deadline = time.monotonic() + self._options.max_fetch_seconds

    def check(self, num_bytes: int) -> None:
        """Refuse to go on.

        Args:
            num_bytes: That are there.

        Raises:
            TooManyBytesError: more than allowed.
            MediaError: the time is over.
        """
        if num_bytes > self._options.max_bytes:
            raise TooManyBytesError(f"over {self._options.max_bytes} bytes")
        if time.monotonic() > self._deadline:
            raise MediaError(
                f"Read timed out: {num_bytes} bytes came in {self._options.max_fetch_seconds:g} s"
            )

    def on_progress(self, status: dict[str, Any]) -> None:
        """Take what yt-dlp's downloader says on the way."""
        self.check(int(status.get("downloaded_bytes") or 0))


class YoutubeMedia:
    """The audio of one video on its way: grown from its beginning until it is enough."""

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
        self._data = bytearray()
        self._total: int | None = None
        self.num_bytes = 0
        """Bytes that came over the network."""

    @property
    def is_whole(self) -> bool:
        """Whether all of the file is there."""
        return len(self._data) == self._total

    def read(self, cut: Cut | None, *, folder: Path) -> bytes:
        """Return the bytes, whole or so many as the cut needs.

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
            return self._read_fragments(folder)
        seconds = needed_seconds(cut) if self._options.mode == "prefix" else None
        if seconds is None:
            self._grow_to(self._options.max_bytes)
            if not self.is_whole:
                raise TooManyBytesError(f"over {len(self._data)} bytes")
        else:
            self._grow_until(seconds)
        return bytes(self._data)

    def _wait_until_available(self) -> None:
        """Wait for the time that YouTube set; asking earlier is answered by 403 (#13980)."""
        wait = float(self._info.get("available_at") or 0) - time.time()
        if wait > _MAX_WAIT_SECONDS:
            raise MediaError(f"Read timed out: the media is to be available only in {wait:.0f} s")
        if wait > 0:
            time.sleep(wait)

    def _grow_until(self, seconds: float) -> None:
        self._grow_to(first_num_bytes(seconds, kbit_per_second=_kbit_per_second(self._info)))
        while not self.is_whole:
            data = bytes(self._data)
            reached = reached_seconds(data)
            if reached >= seconds:
                return
            if len(self._data) >= self._options.max_bytes:
                raise TooManyBytesError(f"over {len(self._data)} bytes for {seconds:g} s")
            self._grow_to(next_num_bytes(data, seconds=seconds, reached=reached))

    def _grow_to(self, num_bytes: int) -> None:
        """Fetch, range by range, until so many bytes or all are there."""
        num_bytes = min(num_bytes, self._options.max_bytes)
        num_resumed = 0
        while not self.is_whole and (missing := num_bytes - len(self._data)) > 0:
            held = len(self._data)
            try:
                self._fetch_range(min(missing, RANGE_BYTES))
            except self._ydl_errors.TransportError:
                num_resumed += 1
                if len(self._data) == held or num_resumed > _MAX_RESUMPTIONS:
                    raise
            else:
                if len(self._data) == held and not self.is_whole:
                    raise MediaError("Did not get any data blocks")

    @property
    def _ydl_errors(self) -> Any:
        from yt_dlp.networking import exceptions

        return exceptions

    def _fetch_range(self, num_bytes: int) -> None:
        from yt_dlp.networking import Request

        start = len(self._data)
        request = Request(
            self._info["url"],
            headers={
                **(self._info.get("http_headers") or {}),
                "Range": f"bytes={start}-{start + num_bytes - 1}",
                "Accept-Encoding": "identity",
            },
        )
        try:
            response = self._ydl.urlopen(request)
        except self._ydl_errors.HTTPError as err:
            err.close()
            if err.status == _RANGE_NOT_SATISFIABLE and start and self._total is None:
                self._total = start  # the server doesn't tell the length; this was the end
                return
            raise
        with response:
            self._begin(response, start)
            self._drain(response)

    def _begin(self, response: Any, start: int) -> None:
        """Check what an answer holds; a server without ranges sends the whole file."""
        if response.status == 200:
            self._data.clear()
            length = response.headers.get("Content-Length") or ""
            self._total = int(length) if length.isdecimal() else None
            return
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range") or "")
        if found is None or int(found[1]) != start:
            raise MediaError(f"asked for the bytes from {start}, got another range")
        total = int(found[2])
        if self._total not in (None, total):
            raise MediaError(f"the media changed from {self._total} to {total} bytes on the way")
        self._total = total

    def _drain(self, response: Any) -> None:
        while piece := response.read(_PIECE_BYTES):
            self._data += piece
            self.num_bytes += len(piece)
            self._bounds.check(len(self._data))
        if response.status == 200 and self._total is None:
            self._total = len(self._data)  # told by the end of the connection alone

    def _read_fragments(self, folder: Path) -> bytes:
        """Let yt-dlp fetch a format that is no single file (HLS, DASH), always whole."""
        path = folder / "audio"
        try:
            self._ydl.dl(str(path), {**self._info, "filename": str(path)})
            self._data += path.read_bytes()
        finally:
            for left in folder.glob("audio*"):
                left.unlink()
        self.num_bytes = len(self._data)
        self._bounds.check(self.num_bytes)
        self._total = len(self._data)
        return bytes(self._data)


def _kbit_per_second(info: dict[str, Any]) -> float | None:
    """Return the mean rate: by size and duration, which are exact, or as YouTube tells it."""
    size, duration = info.get("filesize"), info.get("duration")
    if size and duration:
        return float(size) * 8 / 1000 / float(duration)
    rate = info.get("tbr") or info.get("abr")
    return None if rate is None else float(rate)

"""Ranges of bytes of one URL, over yt-dlp's connections: its proxy, cookies and time-outs."""

import re
from dataclasses import dataclass, field
from typing import Any

from jobs.fetching.youtube_bounds import Bounds, MediaError
from jobs.fetching.youtube_options import RANGE_BYTES

_PIECE_BYTES = 1 << 14
"""Read at a time; where a connection breaks, what came of the last one is lost."""
_MAX_RESUMPTIONS = 3
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_RANGE_NOT_SATISFIABLE = 416


@dataclass(slots=True, kw_only=True)
class Piece:
    """Bytes of a file that lie side by side."""

    start: int
    data: bytearray = field(default_factory=bytearray)

    @property
    def stop(self) -> int:
        """Place of the byte behind the last one."""
        return self.start + len(self.data)


class MediaRanges:
    """Asks for ranges of a video's media."""

    def __init__(self, ydl: Any, info: dict[str, Any], bounds: Bounds) -> None:
        """Take a video.

        Args:
            ydl: The `yt_dlp.YoutubeDL` that found it; its session and cookies are used.
            info: As `extract_info` returned it, with one format chosen.
            bounds: How much may come, and for how long.
        """
        self._ydl = ydl
        self._info = info
        self._bounds = bounds
        self.total: int | None = None
        """Bytes of the whole file, once a server has said so."""
        self.num_bytes = 0
        """Bytes that came over the network."""
        self.num_requests = 0

    def extend(self, piece: Piece, num_bytes: int) -> None:
        """Put the bytes that follow a piece at its end, as many as asked for or as there are.

        A server without ranges sends the whole file: then that is what the piece becomes.

        Raises:
            TooManyBytesError: more than allowed came, for all ranges together.
            MediaError: what came is not what was asked for, or took longer than allowed.
            yt_dlp.utils.YoutubeDLError: the server or network failed.
        """
        stop = piece.stop + num_bytes
        num_resumed = 0
        while piece.stop < stop and piece.stop != self.total:
            held = piece.stop
            try:
                self._ask(piece, min(stop - held, RANGE_BYTES))
            except self._ydl_errors.TransportError:
                num_resumed += 1
                if piece.stop == held or num_resumed > _MAX_RESUMPTIONS:
                    raise
            else:
                if piece.stop == held and piece.stop != self.total:
                    raise MediaError("Did not get any data blocks")

    @property
    def _ydl_errors(self) -> Any:
        from yt_dlp.networking import exceptions

        return exceptions

    def _ask(self, piece: Piece, num_bytes: int) -> None:
        from yt_dlp.networking import Request

        start = piece.stop
        request = Request(
            self._info["url"],
            headers={
                **(self._info.get("http_headers") or {}),
                "Range": f"bytes={start}-{start + num_bytes - 1}",
                "Accept-Encoding": "identity",
            },
        )
        self.num_requests += 1
        try:
            response = self._ydl.urlopen(request)
        except self._ydl_errors.HTTPError as err:
            err.close()
            if err.status == _RANGE_NOT_SATISFIABLE and start and self.total is None:
                self.total = start  # the server doesn't tell the length; this was the end
                return
            raise
        with response:
            self._begin(response, piece)
            self._drain(response, piece, stop=start + num_bytes)

    def _begin(self, response: Any, piece: Piece) -> None:
        """Check what an answer holds; a server without ranges sends the whole file."""
        if response.status == 200:
            piece.start = 0
            piece.data.clear()
            length = response.headers.get("Content-Length") or ""
            self.total = int(length) if length.isdecimal() else None
            return
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range") or "")
        if found is None or int(found[1]) != piece.stop:
            raise MediaError(f"asked for the bytes from {piece.stop}, got another range")
        if found[2] == "*":
            return  # the end will show by an answer of 416
        total = int(found[2])
        if self.total not in (None, total):
            raise MediaError(f"the media changed from {self.total} to {total} bytes on the way")
        self.total = total

    def _drain(self, response: Any, piece: Piece, *, stop: int) -> None:
        is_whole = response.status == 200
        while data := response.read(_PIECE_BYTES):
            piece.data += data
            self.num_bytes += len(data)
            self._bounds.check(self.num_bytes)
            if not is_whole and piece.stop > stop:
                raise MediaError(f"asked for the bytes up to {stop}, got more")
        if is_whole and self.total is None:
            self.total = len(piece.data)  # told by the end of the connection alone

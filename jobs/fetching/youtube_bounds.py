"""How much of a video may come and how long it may take, and how media fails otherwise."""

import time
from typing import Any

from jobs.fetching.youtube_options import YoutubeOptions


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

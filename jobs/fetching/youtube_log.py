"""What yt-dlp says on the way: kept as evidence, printed nowhere."""

import re

_PLAYABILITY = re.compile(r"(\S+) player response playability status: (\S+)")
_MAX_WARNINGS = 8
_MAX_WARNING_CHARACTERS = 500


class YoutubeLog:
    """yt-dlp's `logger`: takes note of warnings and of playability until the next clip begins."""

    def __init__(self) -> None:
        self._warnings: list[str] = []
        self._playability: list[str] = []

    def begin(self) -> None:
        """Forget what was said of the clip before."""
        self._warnings.clear()
        self._playability.clear()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings, the first ones, without the name of the video."""
        return tuple(self._warnings)

    @property
    def playability(self) -> tuple[str, ...]:
        """Each client's status, e.g. `web:UNPLAYABLE`: all that YouTube says in a fixed form."""
        return tuple(self._playability)

    def debug(self, message: str) -> None:
        """Take a line of progress, or of `verbose`."""
        found = _PLAYABILITY.search(message)
        if found is not None:
            self._playability.append(f"{found[1]}:{found[2]}")

    def info(self, message: str) -> None:
        """Take a line that nobody needs."""

    def warning(self, message: str) -> None:
        """Take a warning: it explains many a missing format."""
        message = message[:_MAX_WARNING_CHARACTERS]
        if len(self._warnings) < _MAX_WARNINGS and message not in self._warnings:
            self._warnings.append(message)

    def error(self, message: str) -> None:
        """Leave an error to the exception that comes with it."""

"""Politeness as values: when the next request to a site may begin.

One schedule for a whole run, held by the process that hands out clips. It gives each clip the time
at which its fetch may begin, and a worker waits until then: so any number of workers together keep
to what one address or account is allowed, without a lock between them. Several machines with an
address of their own have a schedule each; with one account in common, divide its rate by them.
"""

import dataclasses
import random
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Politeness:
    """How often a site may be asked."""

    starts_per_hour: float
    min_gap_seconds: float
    """Least pause from one start to the next; drawn between this and `max_gap_seconds`."""
    max_gap_seconds: float

    def __post_init__(self) -> None:
        """Refuse what is no rate."""
        if self.starts_per_hour <= 0:
            raise ValueError(f"starts_per_hour must be positive, got {self.starts_per_hour:g}")
        if not 0 <= self.min_gap_seconds <= self.max_gap_seconds:
            raise ValueError(
                f"expected 0 <= min_gap_seconds <= max_gap_seconds, got "
                f"{self.min_gap_seconds:g} and {self.max_gap_seconds:g}"
            )

    @property
    def mean_gap_seconds(self) -> float:
        """Pause between starts in the long run, for plans."""
        return max((self.min_gap_seconds + self.max_gap_seconds) / 2, 3600 / self.starts_per_hour)

    def divided_by(self, num_parts: int) -> "Politeness":
        """Return the share of one of several runs that have an address or account in common."""
        if num_parts < 1:
            raise ValueError(f"num_parts must be at least 1, got {num_parts}")
        return dataclasses.replace(
            self,
            starts_per_hour=self.starts_per_hour / num_parts,
            min_gap_seconds=self.min_gap_seconds * num_parts,
            max_gap_seconds=self.max_gap_seconds * num_parts,
        )


# https://github.com/yt-dlp/yt-dlp/wiki/Extractors: about 300 videos an hour as guest, 2000 with an
# account, and 5 to 10 s between downloads.
YOUTUBE_GUEST: Final = Politeness(starts_per_hour=300, min_gap_seconds=5, max_gap_seconds=10)
YOUTUBE_ACCOUNT: Final = Politeness(starts_per_hour=2000, min_gap_seconds=5, max_gap_seconds=10)


class StartSchedule:
    """Hands out start times, each later than the one before. Times are of the caller's clock."""

    def __init__(self, politeness: Politeness, *, seed: int = 0) -> None:
        """Begin with nothing handed out.

        Args:
            politeness: The rate.
            seed: Of the pauses, so that machines that begin together don't ask in step.
        """
        self._politeness = politeness
        self._random = random.Random(seed)
        self._earliest = float("-inf")

    def next_start(self, now: float) -> float:
        """Return when the next fetch may begin, in seconds of the clock of `now`.

        A time that was not used is lost: after a pause there is no burst to make up for it.
        """
        start = max(now, self._earliest)
        gap = self._random.uniform(
            self._politeness.min_gap_seconds, self._politeness.max_gap_seconds
        )
        self._earliest = start + max(gap, 3600 / self._politeness.starts_per_hour)
        return start

    def hold_until(self, time: float) -> None:
        """Hand out nothing before a time: the session has been told to wait."""
        self._earliest = max(self._earliest, time)

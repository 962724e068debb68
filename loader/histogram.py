"""How long many waits were, in a fixed number of bins: memory that doesn't grow with a run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_FIRST_SECONDS = 2.0**-17
_BINS_PER_OCTAVE = 4
_NUM_BINS = 28 * _BINS_PER_OCTAVE + 2
"""From 8 microseconds to 34 minutes; the first bin is for less, the last for more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitHistogram:
    """Durations, each known to within 10 %: four bins for each doubling."""

    counts: tuple[int, ...] = (0,) * _NUM_BINS
    sum_seconds: float = 0.0
    max_seconds: float = 0.0

    @property
    def num(self) -> int:
        """Durations in it."""
        return sum(self.counts)

    def plus(self, seconds: float) -> "WaitHistogram":
        """Return the histogram with one more duration."""
        counts = list(self.counts)
        counts[_bin(seconds)] += 1
        return WaitHistogram(
            counts=tuple(counts),
            sum_seconds=self.sum_seconds + seconds,
            max_seconds=max(self.max_seconds, seconds),
        )

    def quantile(self, share: float) -> float:
        """Return the seconds that a share of the durations doesn't exceed; 0 when empty.

        Args:
            share: 0.5 for the median; in 0..1.
        """
        rank = max(1, math.ceil(share * self.num))
        num_seen = 0
        for place, count in enumerate(self.counts):
            num_seen += count
            if num_seen >= rank:
                return min(_middle_seconds(place), self.max_seconds)
        return 0.0

    def cumulative(self, bounds_seconds: Sequence[float]) -> list[int]:
        """Return how many durations lie in bins that end at or below each bound."""
        return [sum(self.counts[: _bin(bound)]) for bound in bounds_seconds]


def merge_histograms(histograms: Sequence[WaitHistogram]) -> WaitHistogram:
    """Return the histogram of all durations of several."""
    return WaitHistogram(
        counts=tuple(map(sum, zip(*(each.counts for each in histograms), strict=True))),
        sum_seconds=sum(each.sum_seconds for each in histograms),
        max_seconds=max(each.max_seconds for each in histograms),
    )


def _bin(seconds: float) -> int:
    if seconds < _FIRST_SECONDS:
        return 0
    place = 1 + math.floor(_BINS_PER_OCTAVE * math.log2(seconds / _FIRST_SECONDS))
    return min(place, _NUM_BINS - 1)


def _middle_seconds(place: int) -> float:
    """Return the geometric middle of a bin."""
    if place == 0:
        return _FIRST_SECONDS / 2
    return float(_FIRST_SECONDS * 2 ** ((place - 0.5) / _BINS_PER_OCTAVE))

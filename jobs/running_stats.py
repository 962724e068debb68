"""Mean and deviation of values that come in parts, in float64, however the parts are cut.

Welford's and Chan's update (Chan, Golub, LeVeque 1979): sums of squares about the mean, so that a
large mean doesn't drown a small deviation. Axes: N values, M bands.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunningStats:
    """Count, mean and sum of squares about the mean, of each band."""

    count: int
    mean_M: NDArray[np.float64]
    squares_M: NDArray[np.float64]

    @classmethod
    def empty(cls, num_bands: int) -> "RunningStats":
        """Return the statistics of no value."""
        zeros_M = np.zeros(num_bands)
        return cls(count=0, mean_M=zeros_M, squares_M=zeros_M)

    @classmethod
    def of(cls, values_NM: NDArray[np.float64]) -> "RunningStats":
        """Return the statistics of some values."""
        if not len(values_NM):
            return cls.empty(values_NM.shape[1])
        mean_M = values_NM.mean(axis=0)
        squares_M = np.square(values_NM - mean_M).sum(axis=0)
        return cls(count=len(values_NM), mean_M=mean_M, squares_M=squares_M)

    def plus(self, other: "RunningStats") -> "RunningStats":
        """Return the statistics of both together."""
        count = self.count + other.count
        if not count:
            return self
        step_M = other.mean_M - self.mean_M
        share = other.count / count
        return RunningStats(
            count=count,
            mean_M=self.mean_M + share * step_M,
            squares_M=self.squares_M + other.squares_M + self.count * share * np.square(step_M),
        )

    def std_M(self) -> NDArray[np.float64]:  # the suffix names the axis
        """Return the standard deviation, of n; 1 where nothing varies, so that one can divide."""
        variance_M = self.squares_M / max(1, self.count)
        return np.where(variance_M > 0, np.sqrt(variance_M), 1.0)

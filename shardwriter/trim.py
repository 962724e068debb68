"""Where the sound in a clip begins and ends."""

from dataclasses import dataclass

import numpy as np

from shardwriter.mixdown import Wave

_WINDOW_SECONDS = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceRule:
    """What counts as silence at a clip's two ends."""

    threshold_dbfs: float
    """A window of 10 ms is silent if its RMS is below this."""
    margin_seconds: float = 0.1
    """What is kept of the silence on either side of the sound."""

    def __post_init__(self) -> None:
        """Refuse what no wave can meet."""
        if not -120.0 <= self.threshold_dbfs < 0.0:
            raise ValueError(f"threshold_dbfs must be in [-120, 0), got {self.threshold_dbfs:g}")
        if self.margin_seconds < 0:
            raise ValueError(f"margin_seconds must not be negative, got {self.margin_seconds:g}")


def find_sound(wave_T: Wave, *, rule: SilenceRule, sample_rate_hz: int) -> range | None:
    """Return the samples from the first to the last window with sound, margins included.

    Pauses inside are kept. None if every window is silent.

    Args:
        wave_T: Mono samples with full scale 1.0.
        rule: What is silent.
        sample_rate_hz: Rate of the wave.
    """
    window = max(round(_WINDOW_SECONDS * sample_rate_hz), 1)
    starts = np.arange(0, len(wave_T), window)
    energy_W = np.add.reduceat(np.square(wave_T, dtype=np.float64), starts)
    num_samples_W = np.minimum(starts + window, len(wave_T)) - starts
    loud = np.flatnonzero(energy_W >= num_samples_W * 10.0 ** (rule.threshold_dbfs / 10.0))
    if not len(loud):
        return None
    margin = round(rule.margin_seconds * sample_rate_hz)
    start = max(int(starts[loud[0]]) - margin, 0)
    stop = min(int(starts[loud[-1]]) + window + margin, len(wave_T))
    return range(start, stop)

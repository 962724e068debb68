"""Which noise is mixed into the clips, and how loud; settings, refused early where wrong."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from loader.dataset_config import DatasetConfig

_MAX_DB = 200.0
_MAX_SEED = 2**64 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseConfig:
    """Noise from a dataset of shards, mixed into clips by the loader's threads.

    Whether a clip gets noise, which clip of the noise dataset, which part of it and at which ratio
    depend on (seed, epoch, key, copy) alone, so they are the same on any world, thread or resume.
    The formula and what happens to overloads: `loader.noise_level.mix_noise`. Noise that can't be
    read is an error: the loader's `error_budget` is for clips alone.
    """

    url: str
    """Where the noise dataset lies; its rate is that of the clips."""
    split: str | tuple[str, ...]
    """One split, or several that are read as one."""
    snr_db: tuple[float, float]
    """The ratio of the clip's level to that of the noise is drawn evenly from here to there."""
    probability: float = 1.0
    """Share of the clips that get noise."""
    include_labels: tuple[str, ...] | None = None
    """Take only noise with at least one of these labels; `None` takes all."""
    exclude_labels: tuple[str, ...] = ()
    """Take no noise with any of these labels."""
    include_targets: Mapping[str, tuple[str, ...]] | None = None
    """Take only noise whose class targets are these, e.g. `{"kind": ("music",)}`."""
    seed: int | None = None
    """Of the draws; `None`: the loader's."""
    memory_bytes: int = 256 << 20
    """Bound on encoded noise that is kept for its next use, which spares a store requests."""

    def __post_init__(self) -> None:
        """Refuse what can't work.

        Raises:
            ValueError: with the value, its bound and the way out.
        """
        _ = self.selection  # refuses wrong filters by itself
        snr_db: object = self.snr_db
        if (
            not isinstance(snr_db, tuple)
            or len(snr_db) != 2
            or not all(_is_number(value) and abs(value) <= _MAX_DB for value in snr_db)
            or snr_db[0] > snr_db[1]
        ):
            raise ValueError(
                f"snr_db must be two numbers in -{_MAX_DB:.0f}..{_MAX_DB:.0f}, the lower first, "
                f"got {snr_db!r}"
            )
        if not _is_number(self.probability) or not 0 < self.probability <= 1:
            raise ValueError(
                f"probability must be above 0 and at most 1, got {self.probability!r}; for no "
                "noise leave noise at None"
            )
        if self.seed is not None and not (type(self.seed) is int and 0 <= self.seed <= _MAX_SEED):
            raise ValueError(f"seed must be a whole number in 0..2**64-1, got {self.seed!r}")
        if type(self.memory_bytes) is not int or self.memory_bytes < 0:
            raise ValueError(
                f"memory_bytes must be a whole number of at least 0, got {self.memory_bytes!r}"
            )

    @property
    def selection(self) -> DatasetConfig:
        """What is taken of the noise dataset."""
        return DatasetConfig(
            url=self.url,
            split=self.split,
            include_labels=self.include_labels,
            exclude_labels=self.exclude_labels,
            include_targets=self.include_targets,
        )

    def describe(self) -> str:
        """Return what decides the noise as text, but for the content of its dataset."""
        low, high = (float(value) for value in self.snr_db)
        return (
            f"{self.selection.describe()} snr_db={low!r}..{high!r} "
            f"probability={float(self.probability)!r} seed={self.seed}"
        )


def _is_number(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)  # type: ignore[arg-type]  # a number, as just seen

"""Where the time goes, in numbers and in a sentence."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from loader.reader_stats import ReaderStats

_NEGLIGIBLE_WAIT = 0.05
"""Share of the time: a loop that waits less than this gains nothing from a faster loader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FillStats:
    """The cost of making a part of a batch."""

    num_encoded_bytes: int
    read_seconds: float
    decode_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderStats:
    """What a loader has delivered since it was made, and what it took."""

    num_threads: int
    num_batches: int = 0
    num_clips: int = 0
    """Without padding."""
    num_encoded_bytes: int = 0
    """Encoded audio read for the delivered batches."""
    time_to_first_batch_seconds: float = 0.0
    """Wait for the first batch of the latest iteration, planning included."""
    wait_seconds: float = 0.0
    """Wait of the training loop for all batches but each iteration's first."""
    loop_seconds: float = 0.0
    """Time that the training loop itself took between those batches."""
    read_seconds: float = 0.0
    """Thread-seconds spent reading and checking encoded audio."""
    decode_seconds: float = 0.0
    """Thread-seconds spent decoding."""
    reader: ReaderStats = field(default_factory=ReaderStats)
    """Where the bytes came from, prefetched batches included."""

    def plus(
        self,
        fills: Iterable[FillStats],
        *,
        num_clips: int,
        wait_seconds: float,
        loop_seconds: float | None,
    ) -> "LoaderStats":
        """Return the sum with one delivered batch.

        Args:
            fills: The cost of its parts.
            num_clips: Clips in it that are not padding.
            wait_seconds: How long the training loop waited for it.
            loop_seconds: Time since the batch before; `None` for an iteration's first batch.
        """
        parts = tuple(fills)
        stats = replace(
            self,
            num_batches=self.num_batches + 1,
            num_clips=self.num_clips + num_clips,
            num_encoded_bytes=self.num_encoded_bytes
            + sum(part.num_encoded_bytes for part in parts),
            read_seconds=self.read_seconds + sum(part.read_seconds for part in parts),
            decode_seconds=self.decode_seconds + sum(part.decode_seconds for part in parts),
        )
        if loop_seconds is None:
            return replace(stats, time_to_first_batch_seconds=wait_seconds)
        return replace(
            stats,
            wait_seconds=self.wait_seconds + wait_seconds,
            loop_seconds=self.loop_seconds + loop_seconds,
        )

    def bottleneck(self) -> str:
        """Return one sentence that names what limits the speed, from these numbers."""
        total_seconds = self.wait_seconds + self.loop_seconds
        if not total_seconds:
            return "Nothing is measured yet: it takes two batches of one iteration."
        share = self.wait_seconds / total_seconds
        waited = f"{self.wait_seconds:.2f} s of {total_seconds:.2f} s ({share:.0%})"
        if share < _NEGLIGIBLE_WAIT:
            return f"The training loop is the bottleneck: it waited for data only {waited}."
        threads = (
            f"the loader's threads ({self.num_threads}) spent {self.decode_seconds:.2f} s "
            f"decoding and {self.read_seconds:.2f} s reading"
        )
        if self.decode_seconds >= self.read_seconds:
            way_out = "raise num_threads up to the number of free cores, or crop shorter"
        else:
            way_out = "move the dataset to faster storage, or raise num_threads"
        return (
            f"The data is the bottleneck: the training loop waited for it {waited}; "
            f"{threads}: {way_out}."
        )

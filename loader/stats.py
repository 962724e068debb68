"""Where the time goes, in numbers. `loader.bottleneck` says it in a sentence."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from loader import bottleneck
from loader.histogram import WaitHistogram
from loader.reader_stats import ReaderStats
from loader.replacement import Replaced
from loader.resampling_buffer import BufferStats


@dataclass(frozen=True, slots=True, kw_only=True)
class FillStats:
    """The cost of making a part of a batch."""

    num_encoded_bytes: int
    read_seconds: float
    decode_seconds: float
    replaced: tuple[Replaced, ...] = ()
    """Clips that stand in for others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What one stage of the loader does with its time."""

    busy_seconds: float
    """At work; of several threads, the sum."""
    blocked_seconds: float
    """Waiting for the stage before it, so that this one could not work."""
    num_queued: float
    """Finished by it and not yet taken, or waiting to be begun; see `LoaderStats.stages`."""


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
    """Thread-seconds in which decoding threads read local audio, or waited for remote audio."""
    decode_seconds: float = 0.0
    """Thread-seconds spent decoding."""
    plan_seconds: float = 0.0
    """Part of `wait_seconds` in which the training loop's own thread planned batches to come."""
    waits: WaitHistogram = field(default_factory=WaitHistogram)
    """The waits of `wait_seconds`, one by one."""
    num_ready_sum: int = 0
    """Batches that were whole when the next one was asked for, summed over `waits`."""
    num_replaced: int = 0
    """Places of delivered batches in which another clip stood in for a lost one."""
    num_quarantined: int = 0
    """Samples that this rank does without."""
    ceiling_batches: int | None = None
    """Not `None`: ceiling mode, so that the figures tell about the training loop only."""
    num_replayed: int = 0
    """Batches delivered that were the same as one before: of ceiling mode."""
    reader: ReaderStats = field(default_factory=ReaderStats)
    """Where the bytes came from, prefetched batches included."""
    buffer: BufferStats = field(default_factory=BufferStats)
    """What the resampling buffer did, prefetched batches included."""

    def plus(
        self,
        fills: Iterable[FillStats],
        *,
        num_clips: int,
        wait_seconds: float,
        loop_seconds: float | None,
        num_ready: int = 0,
        plan_seconds: float = 0.0,
    ) -> "LoaderStats":
        """Return the sum with one delivered batch.

        Args:
            fills: The cost of its parts; none for a batch delivered before.
            num_clips: Clips in it that are not padding.
            wait_seconds: How long the training loop waited for it.
            loop_seconds: Time since the batch before; `None` for an iteration's first batch.
            num_ready: Batches that were whole when it was asked for.
            plan_seconds: Part of the wait in which batches were planned.
        """
        parts = tuple(fills)
        of_wait: dict[str, Any] = (
            {"time_to_first_batch_seconds": wait_seconds}
            if loop_seconds is None
            else {
                "wait_seconds": self.wait_seconds + wait_seconds,
                "loop_seconds": self.loop_seconds + loop_seconds,
                "waits": self.waits.plus(wait_seconds),
                "num_ready_sum": self.num_ready_sum + num_ready,
                "plan_seconds": self.plan_seconds + plan_seconds,
            }
        )
        return replace(
            self,
            num_batches=self.num_batches + 1,
            num_clips=self.num_clips + num_clips,
            num_encoded_bytes=self.num_encoded_bytes
            + sum(part.num_encoded_bytes for part in parts),
            read_seconds=self.read_seconds + sum(part.read_seconds for part in parts),
            decode_seconds=self.decode_seconds + sum(part.decode_seconds for part in parts),
            num_replaced=self.num_replaced + sum(len(part.replaced) for part in parts),
            num_replayed=self.num_replayed + (not parts),
            **of_wait,
        )

    @property
    def mean_ready(self) -> float:
        """Batches that were whole when the next one was asked for, on average."""
        return self.num_ready_sum / self.waits.num if self.waits.num else 0.0

    @property
    def stages(self) -> dict[str, Stage]:
        """The stages, in the order in which a batch goes through them.

        `plan` runs in the training loop's thread; before an iteration's first batch neither it nor
        `deliver` is counted. `fetch` are connections to remote stores; queued
        are requests not yet begun. `decode` are the loader's threads; blocked is the time in which
        they read or waited for bytes. `deliver` is the training loop: busy with its own work,
        blocked while it waits for a batch; queued are whole batches.
        """
        return {
            "plan": Stage(busy_seconds=self.plan_seconds, blocked_seconds=0.0, num_queued=0.0),
            "fetch": Stage(
                busy_seconds=self.reader.fetch_seconds,
                blocked_seconds=0.0,
                num_queued=float(self.reader.num_queued),
            ),
            "decode": Stage(
                busy_seconds=self.decode_seconds, blocked_seconds=self.read_seconds, num_queued=0.0
            ),
            "deliver": Stage(
                busy_seconds=self.loop_seconds,
                blocked_seconds=self.wait_seconds,
                num_queued=self.mean_ready,
            ),
        }

    def bottleneck(self) -> str:
        """Return one sentence that names what limits the speed, from these numbers."""
        return bottleneck.describe(self)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it; of the waits, their quantiles in seconds."""
        row = asdict(replace(self, waits=WaitHistogram()))
        del row["waits"]
        return row | {
            "wait_p50_seconds": self.waits.quantile(0.5),
            "wait_p95_seconds": self.waits.quantile(0.95),
            "wait_p99_seconds": self.waits.quantile(0.99),
            "wait_max_seconds": self.waits.max_seconds,
            "stages": {name: asdict(stage) for name, stage in self.stages.items()},
            "bottleneck": self.bottleneck(),
        }

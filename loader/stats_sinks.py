"""Files that statistics are written to while a run is going on."""

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from loader.prometheus import prometheus_text
from loader.stats import LoaderStats
from shardwriter.errors import ConfigError

Clock = Callable[[], float]


class _Pace:
    """Tells when so many seconds have passed; at first they have."""

    def __init__(self, every_seconds: float, clock: Clock) -> None:
        if not every_seconds >= 0:
            raise ValueError(f"every_seconds must be at least 0, got {every_seconds!r}")
        self._every_seconds = every_seconds
        self._clock = clock
        self._next = -float("inf")

    def is_due(self) -> bool:
        now = self._clock()
        if now < self._next:
            return False
        self._next = now + self._every_seconds
        return True


class JsonlSink:
    """Appends a line of JSON, at most one in so many seconds.

    Call `update(loader.stats)` in each step, and `write` at the end. Each line is whole: it goes
    out in one write. Ranks that share a file are told apart by `rank`.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        every_seconds: float = 10.0,
        rank: int = 0,
        clock: Clock = time.monotonic,
        wall_clock: Clock = time.time,
    ) -> None:
        """Take the file, whose folder must be there; it is appended to.

        Args:
            path: The file.
            every_seconds: Least time between lines.
            rank: Stands in each line.
            clock: Gives the seconds that the pace is measured by.
            wall_clock: Gives `unix_seconds`.
        """
        self._path = Path(path)
        self._rank = rank
        self._pace = _Pace(every_seconds, clock)
        self._wall_clock = wall_clock

    def update(self, stats: Callable[[], LoaderStats]) -> None:
        """Write a line if it is time for one; only then the statistics are asked for."""
        if self._pace.is_due():
            self.write(stats())

    def write(self, stats: LoaderStats) -> None:
        """Write a line now.

        Raises:
            ConfigError: the file can't be written.
        """
        row = {"unix_seconds": self._wall_clock(), "rank": self._rank, **stats.to_json()}
        try:
            with self._path.open("ab", buffering=0) as file:
                file.write(json.dumps(row).encode() + b"\n")
        except OSError as err:
            raise ConfigError(f"can't write statistics to {self._path}: {err.strerror}") from err


class PrometheusFileSink:
    """Keeps a file for node_exporter's textfile collector, replaced in one step.

    Each rank needs a file of its own, named `*.prom`, in the folder that the collector reads.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        rank: int,
        every_seconds: float = 10.0,
        labels: Mapping[str, str] | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        """Take the file; its folder must be there.

        Args:
            path: The file; must end in `.prom`, as the collector reads no other.
            rank: Becomes a label.
            every_seconds: Least time between writes.
            labels: More labels, as of `prometheus_text`.
            clock: Gives the seconds that the pace is measured by.
        """
        self._path = Path(path)
        if self._path.suffix != ".prom":
            raise ValueError(f"the file must end in .prom to be collected, got {str(path)!r}")
        self._rank = rank
        self._labels = labels
        self._pace = _Pace(every_seconds, clock)

    def update(self, stats: Callable[[], LoaderStats]) -> None:
        """Write the file if it is time to; only then the statistics are asked for."""
        if self._pace.is_due():
            self.write(stats())

    def write(self, stats: LoaderStats) -> None:
        """Write the file now.

        Raises:
            ConfigError: it can't be written.
        """
        text = prometheus_text(stats, rank=self._rank, labels=self._labels)
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        try:
            beside.write_text(text)
            beside.replace(self._path)
        except OSError as err:
            raise ConfigError(f"can't write statistics to {self._path}: {err.strerror}") from err

"""How an ingest makes samples: what every worker is told, once."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from jobs.availability.attempt import Vantage
from jobs.fetching.fetcher import Fetcher
from jobs.ingesting.spool import Spool
from shardwriter import Settings
from shardwriter.audio import CleanOptions
from shardwriter.storage import S3Options

NETWORK_KINDS: Final = frozenset({"http", "s3", "youtube"})
"""Kinds of sources that cost to ask twice, and that may answer otherwise the second time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a worker must know to make samples; travels to it once."""

    fetcher: Fetcher
    settings: Settings
    clean: CleanOptions
    run_id: str
    lane: str
    """Of the writer that the samples are for; empty: the only one."""
    vantage: Vantage
    out: str
    s3: S3Options | None
    max_fetches_at_once: int | None = None
    """By all workers of this machine together; None: as many as there are workers."""
    work: Path
    """Local folder that outlives the process: fetched bytes, journals of the attempts log."""

    def for_lane(self, lane: str) -> "Recipe":
        """Return the recipe for the writer of another lane."""
        return replace(self, lane=lane)

    @property
    def is_network(self) -> bool:
        """Whether the source is one of `NETWORK_KINDS`."""
        return self.fetcher.kind in NETWORK_KINDS

    @property
    def journal_folder(self) -> Path:
        """Where attempts are kept until they are published."""
        return self.work / "journals"

    @property
    def spool(self) -> Spool:
        """Where fetched bytes are kept."""
        return Spool(self.work / "spool")

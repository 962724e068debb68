"""What every executor is given, what it gives back, and how it ends: listing, snapshot, merge."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from jobs.availability.listing import read_listing, write_listing
from jobs.availability.log_table import read_attempts
from jobs.availability.outcome import Group
from jobs.availability.reduction import REDUCED_COLUMNS, reduce_attempts
from jobs.availability.snapshot import write_snapshot
from jobs.catalogues.catalogue import Catalogue, ClipRef
from jobs.console import clip_progress
from jobs.fetching.rate_limit import Politeness
from jobs.ingesting.recipe import Recipe
from jobs.ingesting.tally import LeftOut, Tally, merge_rejections
from jobs.ingesting.watch import Watch, WatchRules
from shardwriter import ShardWriter
from shardwriter.json_form import Json
from shardwriter.keys import to_key
from shardwriter.overlaps import GroupRule
from shardwriter.publish import Published, load_held, merge_lanes
from shardwriter.storage import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """An ingest that is to be made."""

    catalogue: Catalogue
    store: Store
    recipe: Recipe
    max_samples_per_shard: int
    max_spool_bytes: int
    group_rule: GroupRule
    provenance: Json
    retry: tuple[str, ...] = ()
    """States whose clips are asked for in any case, see `jobs.ingesting.history`."""
    waits_when_blocked: bool = False
    politeness: Politeness | None = None
    """How often the source is asked for a clip; None: as often as it answers."""
    quiet: bool = False

    def for_lane(self, lane: str) -> "Run":
        """Return the run as the writer of another lane has it."""
        return replace(self, recipe=self.recipe.for_lane(lane))

    def writer(
        self, *, lane: str, on_published: Callable[[Sequence[str]], None] | None = None
    ) -> ShardWriter:
        """Return a writer on the target; not entered yet."""
        return ShardWriter(
            self.store,
            self.recipe.settings,
            max_samples_per_shard=self.max_samples_per_shard,
            group_rule=self.group_rule,
            provenance=self.provenance,
            lane=lane,
            passes_leftovers=self.recipe.is_network,
            on_published=on_published,
        )

    def watch(self, canaries: tuple[ClipRef, ...] = ()) -> Watch:
        """Return what watches the source."""
        rules = WatchRules(
            waits_when_blocked=self.waits_when_blocked,
            canaries=canaries,
            politeness=self.politeness,
        )
        return Watch(
            rules,
            run_id=self.recipe.run_id,
            lane=self.recipe.lane,
            is_network=self.recipe.is_network,
        )

    def progress(
        self, clips: Sequence[ClipRef], tally: Tally
    ) -> AbstractContextManager[Callable[[int], None]]:
        """Show a bar over the clips that are to be settled, with the counts of what came out."""
        return clip_progress(
            len(clips),
            what="ingest",
            state=tally.__str__,
            max_per_second=1 / gap if (gap := self._mean_gap_seconds) else math.inf,
            hidden=self.quiet,
        )

    @property
    def _mean_gap_seconds(self) -> float:
        return self.politeness.mean_gap_seconds if self.politeness else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What came of a run."""

    published: Published | None = None
    """None: it was not this run's turn to publish, or nothing is whole."""
    num_already_there: int = 0
    num_not_due: int = 0
    """Clips that were not asked for: what is known of them would not change yet."""
    num_by_group: Mapping[Group, int] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    unfinished_parts: tuple[int, ...] = ()
    blocked: str = ""


def not_written(clips: Sequence[ClipRef], is_written: Callable[[str], bool]) -> list[ClipRef]:
    """Return the clips that no shard holds yet."""
    return [clip for clip in clips if not is_written(to_key(clip.id))]


def record_availability(run: Run) -> None:
    """Publish what the catalogue lists, and the state of each clip after all attempts."""
    write_listing(run.store, run.catalogue)
    listing, _ = read_listing(run.store)
    attempts = read_attempts(run.store, REDUCED_COLUMNS)
    write_snapshot(run.store, run.recipe.run_id, reduce_attempts(attempts, listing))


def merge(run: Run) -> RunResult:
    """Publish what several writers have made as one dataset; the caller holds a lock.

    Raises:
        ConfigError: there is no shard, or some are of other settings.
        GroupStraddlesError: a group lies in two splits, and the rule forbids it.
        StorageError: the store can't be read or written.
    """
    published = merge_lanes(
        run.store,
        run.recipe.settings,
        provenance=run.provenance,
        group_rule=run.group_rule,
    )
    held = load_held(run.store, run.recipe.settings)
    merge_rejections(run.store, is_held=held.keys.__contains__)
    record_availability(run)
    return RunResult(
        published=published,
        num_already_there=sum(shard.num_samples for shard in published.manifest.shards),
    )

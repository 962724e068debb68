"""One writer's work, the same for every executor: tries in passes, samples into shards.

Order. The clips are tried in catalogue order. What is tried again waits for the next pass, so that
a retry, which is delayed, holds nobody up; each pass is in catalogue order. Clips that ask for
another look come in a pass of their own at the end. Files of one's own settle in the first pass:
the shards hold the clips that are good in catalogue order, whatever the number of workers. For a
source on the network the order is a function of the outcomes alone.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from jobs.availability.outcome import Group
from jobs.availability.policy import Action
from jobs.catalogues.catalogue import ClipRef
from jobs.ingesting.making import Job, Tried
from jobs.ingesting.pool import Try
from jobs.ingesting.recipe import Recipe
from jobs.ingesting.tally import LeftOut, Tally
from jobs.ingesting.watch import Watch
from shardwriter import ShardWriter
from shardwriter.errors import MelstreamError
from shardwriter.keys import from_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A clip that is to be tried."""

    clip: ClipRef
    attempt: int = 1
    wait_seconds: float = 0.0
    """Counted from when the pass before has settled it."""
    due: float = 0.0
    """Not before, on the clock of this process."""
    is_last_look: bool = False
    """Whether this is the try at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What a pass leaves to be tried again, in catalogue order."""

    soon: tuple[Waiting, ...] = ()
    at_the_end: tuple[Waiting, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneReport:
    """What came of a lane that made one pass; small enough to travel."""

    num_by_group: Mapping[Group, int]
    left_out: tuple[LeftOut, ...]
    again: Again
    blocked: str = ""
    """Why the source was left alone; empty: it was not."""


class Lane:
    """Tries clips and writes what is good."""

    def __init__(
        self,
        recipe: Recipe,
        writer: ShardWriter,
        *,
        watch: Watch,
        spool: "SpoolBudget",
        tally: Tally,
        advance: Callable[[int], None],
    ) -> None:
        """Take what the work needs.

        Args:
            recipe: How samples are made.
            writer: Where they go; open.
            watch: Says what follows from a try, and when the source is to be left alone.
            spool: Bounds what is kept of fetched bytes.
            tally: Counts what is settled.
            advance: Moves the progress bar.
        """
        self._recipe = recipe
        self._writer = writer
        self._watch = watch
        self._spool = spool
        self._tally = tally
        self._advance = advance

    def run(self, clips: Sequence[ClipRef], make: Try) -> None:
        """Try until all clips are settled or the source is to be left alone."""
        passes = Passes([Waiting(clip=clip) for clip in clips])
        while (waiting := passes.next()) and not self._watch.is_over:
            passes.add(self.run_pass(waiting, make))

    def run_pass(self, waiting: Sequence[Waiting], make: Try) -> Again:
        """Try each clip once; return those that are to be tried again.

        Raises:
            MelstreamError: a failure of our own side, which would be the same for every clip.
        """
        soon, at_the_end = [], []
        by_id = {one.clip.id: one for one in waiting}
        for job, tried in make(self._jobs(waiting)):
            if job.is_canary:
                self._watch.follow_canary(job, tried)
                continue
            self._spool.add(tried.num_spooled_bytes)
            one = by_id[job.clip.id]
            decision = self._watch.follow(job, tried, is_requeued=one.is_last_look)
            _refuse_if_ours(job, tried, decision.action)
            if decision.action == Action.RETRY:
                due = time.monotonic() + decision.seconds
                soon.append(
                    replace(one, attempt=one.attempt + 1, wait_seconds=decision.seconds, due=due)
                )
            elif decision.action == Action.DONE or decision.is_clip_done:
                self._settle(job, tried)
            else:
                at_the_end.append(replace(one, attempt=one.attempt + 1, due=0.0, is_last_look=True))
        return Again(soon=tuple(soon), at_the_end=tuple(at_the_end))

    def _settle(self, job: Job, tried: Tried) -> None:
        if tried.sample is not None:
            self._writer.write(tried.sample)
        self._tally.settle(job.clip, tried)
        self._advance(1)

    def _jobs(self, waiting: Sequence[Waiting]) -> Iterator[Job | None]:
        for one in waiting:
            yield from self._watch.before_next()
            if self._watch.is_over:
                return
            if one.due:
                time.sleep(max(0.0, one.due - time.monotonic()))
            if not self._spool.holds(one.clip.id):
                self._watch.wait_for_turn()
            yield Job(
                clip=one.clip,
                attempt=one.attempt,
                may_spool=self._spool.has_room,
                canary_state=self._watch.canary_state,
            )
            if self._watch.is_probing:
                yield None


class Passes:
    """Which clips come next: first all, then those to be tried again, at the end the last looks."""

    def __init__(self, waiting: Sequence[Waiting]) -> None:
        self._soon = list(waiting)
        self._at_the_end: list[Waiting] = []
        self._place = {one.clip.id: place for place, one in enumerate(waiting)}

    def next(self) -> list[Waiting]:
        """Return the clips of the next pass in catalogue order; none: all is settled."""
        if not self._soon:
            self._soon, self._at_the_end = self._at_the_end, []
        waiting, self._soon = self._soon, []
        return sorted(waiting, key=lambda one: self._place[one.clip.id])

    def add(self, again: Again) -> None:
        """Take what a pass, or a slice of one, left."""
        self._soon += again.soon
        self._at_the_end += again.at_the_end


def _refuse_if_ours(job: Job, tried: Tried, action: Action) -> None:
    if action == Action.STOP:
        raise MelstreamError(
            f"{job.clip.id}: {tried.code.value}: {tried.detail}; this is about our side, not about "
            "the clip: mend it and run the same command again, it goes on where it stopped"
        )


class SpoolBudget:
    """Knows how much lies in a spool, and frees what published shards hold."""

    def __init__(self, recipe: Recipe, *, max_bytes: int) -> None:
        self._spool = recipe.spool if recipe.is_network else None
        self._max_bytes = max_bytes
        self._num_bytes = 0

    @property
    def has_room(self) -> bool:
        """Whether more may be put there."""
        return self._num_bytes < self._max_bytes

    def holds(self, clip_id: str) -> bool:
        """Whether a clip's bytes are there, so that its source need not be asked."""
        return self._spool is not None and self._spool.holds(clip_id)

    def begin(self, is_done: Callable[[str], bool]) -> None:
        """Forget the clips that are written, and count what stays."""
        if self._spool is not None:
            self._num_bytes = self._spool.clear(is_done)

    def add(self, num_bytes: int) -> None:
        """Count what a worker has put there."""
        self._num_bytes += num_bytes

    def forget(self, keys: Sequence[str]) -> None:
        """Free what a shard that has just been published holds."""
        if self._spool is not None:
            self._num_bytes -= self._spool.drop(from_key(key) for key in keys)

    def end(self) -> None:
        """Remove the folder if nothing is left in it."""
        if self._spool is not None:
            self._spool.remove_if_empty()

"""The Ray executor: slices of the catalogue, about a shard each, as tasks of a cluster.

A task writes its slice in a lane of its own and commits shard by shard, as every writer does. When
its node is lost, Ray runs it again elsewhere: what its lane has published stays, the rest is tried
again. So no clip is lost and none is there twice. Tasks make one pass; what is to be tried again
comes back to the driver, which makes further slices of it. The driver merges.

The target must be one that all nodes reach under one name: S3, or a file system they share.
"""

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import ray
import ray.exceptions

from jobs.catalogues.catalogue import ClipRef
from jobs.ingesting.history import look_back
from jobs.ingesting.lane import Lane, LaneReport, Passes, SpoolBudget, Waiting
from jobs.ingesting.pool import open_pool
from jobs.ingesting.run import Run, RunResult, merge, not_written
from jobs.ingesting.tally import LeftOut, Tally, put_rejections
from jobs.ingesting.work_folder import remove_empty_folders
from shardwriter.errors import ConfigError, MelstreamError, TransientStorageError
from shardwriter.keys import to_key
from shardwriter.publish import load_held

_DRIVER_LANE: Final = "s999999"
"""Keeps two drivers, and writers of the whole target, off a local one while tasks work."""
_MAX_SLICES: Final = 999_999
_SLICES_IN_FLIGHT_PER_CPU: Final = 2
_MAX_RETRIES: Final = 8
"""Of a task whose node was lost."""
_LOCK_PATIENCE_SECONDS: Final = 60.0
"""The worker of a node that is given up may need a moment to find that out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Clips of one split, as many as a shard holds at most."""

    number: int
    waiting: tuple[Waiting, ...]

    @property
    def lane(self) -> str:
        """Name of its writer."""
        return f"s{self.number:06d}"


def ingest_on_ray(run: Run, *, address: str | None) -> RunResult:
    """Do the catalogue on a Ray cluster, and publish the dataset.

    Args:
        run: What is to be done.
        address: Of the cluster; None: what Ray finds by itself, or this machine.

    Raises:
        ConfigError: no clip was usable, or the target holds a dataset of other settings.
        MelstreamError: a failure of our own side.
        StorageError: the target can't be written.
    """
    tally = Tally()
    with _connected(address), run.store.lock_for_writing(_DRIVER_LANE):
        held = load_held(run.store, run.recipe.settings)
        missing = not_written(run.catalogue.clips, held.keys.__contains__)
        history = look_back(run.recipe, run.catalogue, retry=run.retry)
        clips = [clip for clip in missing if clip.id not in history.not_due]
        with run.progress(clips, tally) as advance:
            blocked = _run_passes(run, clips, tally, advance)
        left_out = (*map(LeftOut.of_rejection, run.catalogue.rejections), *tally.left_out)
        put_rejections(run.store, left_out, lane="", is_held=lambda _: False)
        if not blocked or load_held(run.store, run.recipe.settings).entries:
            published = merge(run).published
        else:
            published = None
    remove_empty_folders(run.recipe.work)
    return RunResult(
        published=published,
        num_already_there=len(run.catalogue.clips) - len(missing),
        num_not_due=len(missing) - len(clips),
        num_by_group=tally.num_by_group,
        left_out=left_out,
        blocked=blocked,
    )


def slices_of(waiting: Sequence[Waiting], *, num_clips: int, first: int) -> Iterator[Slice]:
    """Cut clips into slices of one split each, in order; numbers count from `first`.

    Raises:
        ConfigError: more slices than there are names.
    """
    by_split: dict[str, list[Waiting]] = {}
    for one in waiting:
        by_split.setdefault(one.clip.split, []).append(one)
    number = first
    for of_split in by_split.values():
        for start in range(0, len(of_split), num_clips):
            if number >= _MAX_SLICES:
                raise ConfigError(
                    f"more than {_MAX_SLICES:,} shards of {num_clips} clips: choose a larger "
                    "--shard-clips"
                )
            yield Slice(number=number, waiting=tuple(of_split[start : start + num_clips]))
            number += 1


def do_slice(run: Run, job: Slice) -> LaneReport:
    """Try each clip of a slice once and publish the shard of those that are good.

    A slice that the source blocks publishes what it has: what its node has fetched besides, another
    node can't reach.
    """
    recipe = run.recipe.for_lane(job.lane)
    spool = SpoolBudget(recipe, max_bytes=run.max_spool_bytes)
    watch, tally = run.for_lane(job.lane).watch(), Tally()
    watch.skip_turn()  # the slice before this one may just have asked
    _wait_for_lane(run, job.lane)
    with run.writer(lane=job.lane, on_published=spool.forget) as writer:
        waiting = [one for one in job.waiting if not writer.is_written(to_key(one.clip.id))]
        # Written by an earlier run of this task, whose node was lost before it could say so.
        tally.count_ok(len(job.waiting) - len(waiting))
        spool.begin(lambda clip_id: writer.is_written(to_key(clip_id)))
        lane = Lane(recipe, writer, watch=watch, spool=spool, tally=tally, advance=lambda _: None)
        with open_pool(recipe, num_workers=0, num_clips=len(waiting)) as make:
            again = lane.run_pass(waiting, make)
    return LaneReport(
        num_by_group=tally.num_by_group,
        left_out=tuple(tally.left_out),
        again=again,
        blocked=watch.blocked,
    )


def _wait_for_lane(run: Run, lane: str) -> None:
    stop = time.monotonic() + _LOCK_PATIENCE_SECONDS
    while True:
        try:
            with run.store.lock_for_writing(lane):
                return
        except TransientStorageError:
            if time.monotonic() > stop:
                raise
            time.sleep(1.0)


def _run_passes(
    run: Run, clips: Sequence[ClipRef], tally: Tally, advance: Callable[[int], None]
) -> str:
    """Do all slices, and slices of what is to be tried again; return why the source blocked us."""
    # The clips travel in their slices. A task does not wait: it would hold a CPU.
    catalogue = replace(run.catalogue, clips=(), rejections=())
    politeness = run.politeness.divided_by(_num_cpus()) if run.politeness else None
    light = ray.put(
        replace(run, catalogue=catalogue, waits_when_blocked=False, politeness=politeness)
    )
    passes, first = Passes([Waiting(clip=clip) for clip in clips]), 0
    while waiting := passes.next():
        wait_seconds = max(one.wait_seconds for one in waiting)
        time.sleep(wait_seconds)
        ready = [replace(one, wait_seconds=0.0, due=0.0) for one in waiting]
        slices = list(slices_of(ready, num_clips=run.max_samples_per_shard, first=first))
        first += len(slices)
        for report in _reports(light, slices):
            tally.add(report.num_by_group, report.left_out)
            advance(sum(report.num_by_group.values()))
            passes.add(report.again)
            if report.blocked:
                return report.blocked
    return ""


def _reports(run: "ray.ObjectRef[Run]", slices: Sequence[Slice]) -> Iterator[LaneReport]:
    """Yield what comes of slices, as they end; when left early, wait for those under way."""
    task = ray.remote(num_cpus=1, max_retries=_MAX_RETRIES)(do_slice)
    left = iter(slices)
    running: list[Any] = []
    try:
        while True:
            room = _SLICES_IN_FLIGHT_PER_CPU * _num_cpus()
            running += [
                task.remote(run, job) for job in itertools.islice(left, max(0, room - len(running)))
            ]
            if not running:
                return
            done, running = ray.wait(running)
            yield _report(done[0])
    finally:
        if running:
            ray.wait(running, num_returns=len(running))


def _num_cpus() -> int:
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return max(1, int(resources.get("CPU", 1)))


def _report(done: Any) -> LaneReport:
    try:
        report: LaneReport = ray.get(done)
    except ray.exceptions.RayTaskError as err:
        if isinstance(err.cause, MelstreamError):
            raise err.cause from err
        raise
    except ray.exceptions.RayError as err:
        raise MelstreamError(
            f"a task was lost {_MAX_RETRIES + 1} times with its worker or node ({err}); run the "
            "same command again, it goes on where it stopped"
        ) from err
    return report


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    """Connect to a cluster, unless the process is connected already."""
    if ray.is_initialized():
        yield
        return
    ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    try:
        yield
    finally:
        ray.shutdown()

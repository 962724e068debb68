"""The local executor: one writer in this process, tries in worker processes beside it.

It does the whole catalogue and publishes the dataset, or a part beside other jobs; then the last
one to end merges.
"""

from collections.abc import Sequence
from dataclasses import replace

from jobs.availability.outcome import Group
from jobs.catalogues.catalogue import ClipRef
from jobs.ingesting.history import look_back
from jobs.ingesting.lane import Lane, SpoolBudget
from jobs.ingesting.parts import Part, note_done, unfinished_parts
from jobs.ingesting.pool import open_pool
from jobs.ingesting.run import Run, RunResult, merge, not_written, record_availability
from jobs.ingesting.tally import REJECTIONS_NAME, LeftOut, Tally, put_rejections
from jobs.ingesting.work_folder import remove_empty_folders
from shardwriter import ShardWriter
from shardwriter.errors import ConfigError
from shardwriter.keys import to_key
from shardwriter.publish import load_held


class _NothingWholeError(Exception):
    """Leaves the writer's block without publishing: the source blocked us before a shard."""


def ingest_here(run: Run, *, part: Part | None, num_workers: int) -> RunResult:
    """Do the catalogue, or a part of it.

    Raises:
        ConfigError: no clip was usable, or the target holds a dataset of other settings.
        MelstreamError: a failure of our own side.
        StorageError: the target can't be written.
    """
    spool = SpoolBudget(run.recipe, max_bytes=run.max_spool_bytes)
    writer = run.writer(lane=part.lane if part else "", on_published=spool.forget)
    result = RunResult()
    try:
        with writer:
            result = _write(run, writer, spool, part=part, num_workers=num_workers)
            if result.blocked:
                writer.discard_unfinished()  # what they hold is in the spool
                if part is None and not writer.num_shards:
                    raise _NothingWholeError
    except _NothingWholeError:
        return result
    finally:
        if part is None:  # other parts may be about to use a folder that is empty now
            remove_empty_folders(run.recipe.work)
    if part is not None:
        return _end_part(run, part, result)
    return replace(result, published=writer.published)


def _write(
    run: Run, writer: ShardWriter, spool: SpoolBudget, *, part: Part | None, num_workers: int
) -> RunResult:
    """Try what is not there yet, and record what came of it."""
    listed = part.of(run.catalogue.clips) if part else run.catalogue.clips
    clips = not_written(listed, writer.is_written)
    if part is not None:  # the writer knows the shards of its own lane only
        held_by_others = load_held(run.store, run.recipe.settings).keys
        clips = not_written(clips, held_by_others.__contains__)
    there = len(listed) - len(clips)
    history = look_back(run.recipe, run.catalogue, retry=run.retry)
    due = [clip for clip in clips if clip.id not in history.not_due]
    spool.begin(lambda clip_id: writer.is_written(to_key(clip_id)))
    watch, tally = run.watch(history.canaries), Tally()
    with (
        open_pool(run.recipe, num_workers=num_workers, num_clips=len(due)) as make,
        run.progress(due, tally) as advance,
    ):
        lane = Lane(run.recipe, writer, watch=watch, spool=spool, tally=tally, advance=advance)
        lane.run(due, make)
    ruled_out = () if part and part.number > 1 else run.catalogue.rejections
    left_out = (*map(LeftOut.of_rejection, ruled_out), *tally.left_out)
    put_rejections(run.store, left_out, lane=writer.lane, is_held=writer.is_written)
    if part is None:
        record_availability(run)
        _refuse_if_nothing_is_usable(run, due, tally)
        remove_empty_folders(run.recipe.work)
    return RunResult(
        num_already_there=there,
        num_not_due=len(clips) - len(due),
        num_by_group=tally.num_by_group,
        left_out=left_out,
        blocked=watch.blocked,
    )


def _refuse_if_nothing_is_usable(run: Run, clips: Sequence[ClipRef], tally: Tally) -> None:
    was_all_tried = tally.num_by_group.total() == len(clips) == len(run.catalogue.clips)
    if was_all_tried and not tally.num_by_group[Group.OK]:
        raise ConfigError(
            f"none of the {len(clips)} clips that {run.catalogue.title} lists could be used; "
            f"{run.store.url}/{REJECTIONS_NAME} says why"
        )


def _end_part(run: Run, part: Part, result: RunResult) -> RunResult:
    """Say that the part is done; merge if it is the last."""
    with run.store.lock_for_writing(part.lane):
        if not result.blocked:
            note_done(run.store, part)
        unfinished = unfinished_parts(run.store, part.count)
        if unfinished:
            return replace(result, unfinished_parts=tuple(unfinished))
        return replace(result, published=merge(run).published)

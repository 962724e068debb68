"""What earlier runs found out: which clips are not asked for again, which serve as canaries."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from jobs.availability.canaries import choose_canaries
from jobs.availability.listing import listing_table
from jobs.availability.log import AttemptsLog
from jobs.availability.log_table import read_attempts
from jobs.availability.policy import RunPolicy, clips_to_try, is_vantage_new
from jobs.availability.reduction import REDUCED_COLUMNS, reduce_attempts
from jobs.catalogues.catalogue import Catalogue, ClipRef
from jobs.ingesting import clock
from jobs.ingesting.recipe import Recipe
from shardwriter.storage import open_store

RETRY_STATES = ("gone", "gated", "unknown", "all")
"""What `--retry` takes: clips of that state are asked for whether or not their time has come."""

_NUM_CANARIES = 12
_VANTAGE_COLUMNS = ("region", "is_authenticated", "is_proxied")


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What earlier runs found out."""

    not_due: frozenset[str] = frozenset()
    """Ids of clips that another try would not change yet."""
    canaries: tuple[ClipRef, ...] = ()


def look_back(recipe: Recipe, catalogue: Catalogue, *, retry: Sequence[str]) -> History:
    """Read the attempts log, with what killed runs of this machine left in their journals.

    Args:
        recipe: How samples are made, and from where.
        catalogue: What is listed.
        retry: States of `RETRY_STATES` to be asked for in any case.
    """
    if not recipe.is_network:
        return History()  # it costs nothing to look
    store = open_store(recipe.out, recipe.s3)
    with AttemptsLog(
        store, run_id=recipe.run_id, worker="recovery", journal_folder=recipe.journal_folder
    ):
        pass
    attempts = read_attempts(store, (*REDUCED_COLUMNS, *_VANTAGE_COLUMNS))
    if not len(attempts):
        return History()
    listing = listing_table(catalogue)
    states = reduce_attempts(attempts, listing)
    clips = {clip.id: clip for clip in catalogue.clips}
    # Elsewhere "not found" means it: no session stands between the question and the answer.
    canaries: tuple[str, ...] = ()
    if recipe.fetcher.kind == "youtube":
        canaries = choose_canaries(states, listing, count=_NUM_CANARIES, seed=0)
    due = clips_to_try(
        states,
        listing,
        now=clock.now(),
        policy=RunPolicy(is_vantage_new=is_vantage_new(attempts, recipe.vantage)),
    )
    return History(
        not_due=frozenset(_not_due(states, due, retry)),
        canaries=tuple(clips[clip_id] for clip_id in canaries),
    )


def _not_due(states: pa.Table, due: pa.Array, retry: Sequence[str]) -> list[str]:
    if "all" in retry:
        return []
    # A clip that was there and is in no shard: its run was killed, and the bytes are gone.
    asked = pa.array(["alive", *retry], pa.string())
    is_due = pc.or_(
        pc.is_in(states["clip_id"], value_set=due), pc.is_in(states["state"], value_set=asked)
    )
    ids: list[str] = states.filter(pc.invert(is_due))["clip_id"].to_pylist()
    return ids

"""What follows from an outcome, within a run and between runs. Pure: the clock is passed in."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from jobs.availability.attempt import Vantage
from jobs.availability.outcome import Code, Group
from jobs.availability.reduction import HOURS_BETWEEN_WINDOWS


class Action(StrEnum):
    """What a worker does after a try."""

    DONE = "done"  # nothing more at this clip in this run
    RETRY = "retry"  # try the clip again, after some seconds
    REQUEUE = "requeue"  # try the clip once more when all others are done
    BACK_OFF = "back_off"  # the whole session waits; a clip that isn't done is then requeued
    STOP = "stop"  # the job stops: what is wrong is wrong for every clip


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What follows from an outcome."""

    action: Action
    seconds: float = 0.0
    """How long to wait before."""
    is_clip_done: bool = False
    """Whether the clip has had its tries in this run, whatever else is to be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how patiently a run tries again."""

    max_tries: int = 3
    """At a clip in a row; a last one follows at the end of the run."""
    first_seconds: float = 2.0
    """Wait before the second try; doubled before each further one."""
    max_seconds: float = 120.0
    jitter: float = 0.5
    """A wait is shortened by up to this share, so that workers don't return all at once."""
    first_back_off_seconds: float = 60.0
    """Wait of a session that was blocked for the first time; doubled each time in a row."""
    max_back_off_seconds: float = 3600.0
    """YouTube says "for up to an hour". A server that asks for longer is asked again after this."""


_SETTLED: Final = frozenset({Group.OK, Group.PERMANENT, Group.GATED, Group.ABSENT})
_STOPS: Final = frozenset({Code.DISK, Code.CONFIG, Code.JS_RUNTIME})
"""Ours, and the same for every clip. Of the rest of ours one clip may be the cause: those are tried
once more, and the breaker looks at their number."""
_NEVER_BETTER: Final = frozenset({Code.LIVE_PENDING, Code.REFUSED_URL})
_OLD_URL: Final = frozenset({Code.HTTP_403_MEDIA, Code.HTTP_404_MEDIA})
"""A media URL may have run out; asking the page anew gives a fresh one."""
_NOT_THE_SESSION: Final = frozenset({Code.NO_FORMATS, Code.EMBED_DISABLED, Code.HTTP_404_MEDIA})
"""Blocked by way of a client that is refused or too old, which waiting doesn't mend."""


def decide(
    group: Group,
    code: Code,
    attempt_number: int,
    *,
    run_id: str,
    clip_id: str,
    is_requeued: bool = False,
    num_blocks_in_a_row: int = 1,
    retry_after_seconds: float | None = None,
    policy: RetryPolicy | None = None,
) -> Decision:
    """Return what follows from the outcome of a try.

    Args:
        group: The outcome's.
        code: The outcome's.
        attempt_number: Number of the try at this clip in this run, from 1.
        run_id: With the clip and the number, the key of the jitter.
        clip_id: The clip.
        is_requeued: Whether this was the try at the end of the run.
        num_blocks_in_a_row: Blocked outcomes of the session since one that wasn't, this one too.
        retry_after_seconds: The pause that the server asked for, if it did.
        policy: How patient; None for the defaults.
    """
    policy = policy or RetryPolicy()
    pause = min(retry_after_seconds or 0.0, policy.max_back_off_seconds)
    if group in _SETTLED or code in _NEVER_BETTER:
        return Decision(action=Action.DONE, is_clip_done=True)
    if code in _STOPS:
        return Decision(action=Action.STOP)
    can_retry = not is_requeued and attempt_number < policy.max_tries
    if can_retry and _may_pass_soon(group, code, attempt_number):
        wait = retry_seconds(attempt_number, key=(run_id, clip_id), policy=policy)
        return Decision(action=Action.RETRY, seconds=max(wait, pause))
    if code == Code.PROXY:
        return Decision(action=Action.STOP)
    if group == Group.BLOCKED and code not in _NOT_THE_SESSION:
        seconds = _back_off_seconds(code, num_blocks_in_a_row, policy)
        seconds = max(seconds, pause)
        return Decision(action=Action.BACK_OFF, seconds=seconds, is_clip_done=is_requeued)
    action = Action.DONE if is_requeued else Action.REQUEUE
    return Decision(action=action, is_clip_done=is_requeued)


def _may_pass_soon(group: Group, code: Code, attempt_number: int) -> bool:
    if code in _OLD_URL:
        return attempt_number == 1
    return group == Group.TRANSIENT or code == Code.PROXY


def retry_seconds(attempt_number: int, *, key: tuple[str, str], policy: RetryPolicy) -> float:
    """Return how long to wait after a try: exponential, with a jitter that is the same each time.

    Args:
        attempt_number: Number of the try that failed, from 1.
        key: Run and clip.
        policy: How patient.

    Returns:
        Seconds between (1 - jitter) times the full wait and the full wait.
    """
    doublings = min(attempt_number - 1, 30)
    full = min(policy.first_seconds * 2.0**doublings, policy.max_seconds)
    digest = hashlib.blake2b("\0".join((*key, str(attempt_number))).encode(), digest_size=8)
    share = int.from_bytes(digest.digest()) / 2**64
    return full * (1 - policy.jitter * share)


def _back_off_seconds(code: Code, num_in_a_row: int, policy: RetryPolicy) -> float:
    doublings = min(max(num_in_a_row, 1) - 1, 30)
    seconds = min(policy.first_back_off_seconds * 2.0**doublings, policy.max_back_off_seconds)
    if code == Code.RATE_LIMITED_SESSION:
        return policy.max_back_off_seconds
    return seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPolicy:
    """Which clips a new run tries beyond those that no run has judged."""

    is_vantage_new: bool = False
    """Whether this region, these credentials or this proxy are new: gated clips may open."""
    recheck_gone_after_days: float | None = None
    """Look again at what is gone after so long; owners publish private videos again."""


def clips_to_try(
    snapshot: pa.Table | None, listing: pa.Table, *, now: datetime, policy: RunPolicy | None = None
) -> pa.Array:
    """Return the listed clips whose state a try may change, in the order of the listing.

    Never tried, unknown, blocked and absent clips are. Alive ones are not. A claim that a clip is
    gone waits for the next window; gated clips wait for another vantage.

    Args:
        snapshot: The last one, None before the first run.
        listing: The catalogue's clips.
        now: When the run starts, in UTC.
        policy: Which of the others to try; None for none.
    """
    clip_ids = listing["clip_id"].combine_chunks()
    if snapshot is None:
        return clip_ids
    policy = policy or RunPolicy()
    place = pc.index_in(clip_ids, value_set=snapshot["clip_id"].combine_chunks())

    def of_clip(name: str) -> pa.ChunkedArray:
        return pc.fill_null(snapshot[name].take(place), "")

    state, strength, last = of_clip("state"), of_clip("verdict_strength"), of_clip("last_attempt")
    window_is_over = _is_before(last, now - timedelta(hours=HOURS_BETWEEN_WINDOWS))
    is_claimed = pc.and_(pc.equal(state, "unknown"), pc.equal(strength, "claimed"))
    wanted = pc.or_(
        pc.invert(pc.is_in(state, pa.array(["alive", "gone", "gated", "unknown"]))),
        pc.and_(pc.equal(state, "unknown"), pc.or_(pc.invert(is_claimed), window_is_over)),
    )
    if policy.is_vantage_new:
        wanted = pc.or_(wanted, pc.equal(state, "gated"))
    if policy.recheck_gone_after_days is not None:
        is_old = _is_before(last, now - timedelta(days=policy.recheck_gone_after_days))
        wanted = pc.or_(wanted, pc.and_(pc.equal(state, "gone"), is_old))
    return clip_ids.filter(wanted.combine_chunks())


def _is_before(times: pa.ChunkedArray, limit: datetime) -> pa.ChunkedArray:
    """Compare ISO times as text, which orders them as time does."""
    return pc.less_equal(times, limit.isoformat(timespec="milliseconds").replace("+00:00", "Z"))


def is_vantage_new(attempts: pa.Table, vantage: Vantage) -> bool:
    """Tell whether no earlier attempt was made from here, with these rights."""
    seen = attempts.select(["region", "is_authenticated", "is_proxied"])
    here = (pc.field("region") == vantage.region) & (
        (pc.field("is_authenticated") == vantage.is_authenticated)
        & (pc.field("is_proxied") == vantage.is_proxied)
    )
    return len(seen.filter(here)) == 0

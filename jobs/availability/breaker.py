"""A circuit breaker: stops asking where every answer would be the same, and says nothing of clips.

    closed ── blocked in a row, or a burst of blocks and lost connections ──▶ open
    closed ── the source asks for a long pause ──▶ open
    closed ── a burst of failures that might be the clips' own ──▶ half open
    open ── the wait is over ──▶ half open: canaries are tried ── they came ──▶ closed
                                                └─ they didn't ──▶ open, for twice as long
    open for the last time ──▶ exhausted: the job ends with EXIT_BLOCKED

Where there are no canaries, the next clip is the probe: well unless blocked or transient.

A value, not a service: `observe` and `probed` return the next state. The clock is passed in, as
seconds that only grow.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from jobs.availability.outcome import Group

EXIT_BLOCKED: Final = 75
"""Exit status of a job that was blocked, `EX_TEMPFAIL` of sysexits.h: run the same command later.
Nothing is lost: what was fetched is kept, and no clip is called gone."""

_NO_ANSWER: Final = frozenset({Group.BLOCKED, Group.TRANSIENT})
_ODD_ANSWER: Final = frozenset({Group.UNCLEAR, Group.OURS})


class BreakerState(StrEnum):
    """What the breaker lets through."""

    CLOSED = "closed"  # everything
    OPEN = "open"  # nothing, until the wait is over
    HALF_OPEN = "half_open"  # canaries only
    EXHAUSTED = "exhausted"  # nothing; the job ends


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When it opens, and for how long."""

    max_blocked_in_a_row: int = 5
    """Blocked outcomes without another between them, over distinct clips."""
    burst_clips: int = 30
    """The last so many distinct clips are looked at,"""
    burst_share: float = 0.8
    """and if at least this share of them got no answer, it opens: a network that is down. If they
    got odd answers too (a site that answers all alike, a broken tool), canaries are asked first:
    a run over what earlier runs did not find looks just so when all is well."""
    wait_seconds: float = 600.0
    """Before the first canary; doubled after each that fails."""
    max_wait_seconds: float = 3600.0
    max_probes: int = 6
    """Canaries that may fail in a row before the job gives up: about four hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """State of the breaker of one session, or of one address."""

    policy: BreakerPolicy = field(default_factory=BreakerPolicy)
    state: BreakerState = BreakerState.CLOSED
    blocked: tuple[str, ...] = ()
    """Distinct clips that came out blocked since one that didn't."""
    recent: tuple[tuple[str, Group], ...] = ()
    """The last distinct clips, and what came of them."""
    until: float = 0.0
    """When a canary may be tried, if open."""
    num_failed_probes: int = 0
    reason: str = ""
    """Why it opened, for the log and the user."""

    def observe(
        self, clip_id: str, group: Group, *, now: float, is_again: bool = False
    ) -> "Breaker":
        """Return the breaker after the outcome of a try; only a closed one takes notice.

        Args:
            clip_id: The clip.
            group: What came of it.
            now: The time.
            is_again: Whether the clip failed in this run before. Such clips are no burst: a run
                ends with a pass over them alone, and looks as bad as can be when all is well.
        """
        if self.state != BreakerState.CLOSED:
            return self
        blocked = (*_without(self.blocked, clip_id), clip_id) if group == Group.BLOCKED else ()
        if is_again and len(blocked) < self.policy.max_blocked_in_a_row:
            return replace(self, blocked=blocked)
        others = tuple(item for item in self.recent if item[0] != clip_id)
        recent = (*others, (clip_id, group))[-self.policy.burst_clips :]
        seen = replace(self, blocked=blocked, recent=recent)
        if len(blocked) >= self.policy.max_blocked_in_a_row:
            return seen._opened(now, f"{len(blocked)} clips in a row were blocked")
        if len(recent) < self.policy.burst_clips:
            return seen
        num_silent = sum(group in _NO_ANSWER for _, group in recent)
        num_odd = sum(group in _ODD_ANSWER for _, group in recent)
        limit = self.policy.burst_share * len(recent)
        if num_silent >= limit:
            return seen._opened(now, f"{num_silent} of the last {len(recent)} clips got no answer")
        if num_silent + num_odd >= limit:
            reason = f"{num_silent + num_odd} of the last {len(recent)} clips failed"
            return replace(seen, state=BreakerState.HALF_OPEN, reason=reason)
        return seen

    def told_to_wait(self, seconds: float, *, now: float) -> "Breaker":
        """Return the breaker after the source asked for a pause: open, if it was closed.

        Args:
            seconds: The pause; of a longer one than `max_wait_seconds` no more is waited for.
            now: The time.
        """
        if self.state != BreakerState.CLOSED:
            return self
        return replace(
            self,
            state=BreakerState.OPEN,
            until=now + min(seconds, self.policy.max_wait_seconds),
            reason=f"the source asks for a pause of {seconds:,.0f} s",
        )

    def at(self, now: float) -> "Breaker":
        """Return the breaker as it is at a time: an open one whose wait is over is half open."""
        if self.state == BreakerState.OPEN and now >= self.until:
            return replace(self, state=BreakerState.HALF_OPEN)
        return self

    def seconds_to_wait(self, now: float) -> float:
        """Return how long nothing may be tried; 0 unless open."""
        return max(0.0, self.until - now) if self.state == BreakerState.OPEN else 0.0

    def probed(self, *, is_well: bool, now: float) -> "Breaker":
        """Return the breaker after the canaries were tried.

        Raises:
            ValueError: it isn't half open.
        """
        if self.state != BreakerState.HALF_OPEN:
            raise ValueError(f"canaries are for a half-open breaker; this one is {self.state}")
        if is_well:
            return Breaker(policy=self.policy)
        failed = replace(self, num_failed_probes=self.num_failed_probes + 1)
        if failed.num_failed_probes >= self.policy.max_probes:
            return replace(failed, state=BreakerState.EXHAUSTED)
        return failed._opened(now, self.reason)

    def _opened(self, now: float, reason: str) -> "Breaker":
        doublings = min(self.num_failed_probes, 30)
        wait = min(self.policy.wait_seconds * 2**doublings, self.policy.max_wait_seconds)
        return replace(self, state=BreakerState.OPEN, until=now + wait, reason=reason)


def _without(items: tuple[str, ...], item: str) -> tuple[str, ...]:
    return tuple(other for other in items if other != item)

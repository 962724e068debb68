"""Watches how a source answers: what follows from a try, and whether to go on asking.

The breaker, the canaries and the policy are values of `jobs.availability`; here they meet the
clock. Files of one's own are not watched: they are what they are, so each try settles its clip.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from jobs.availability.breaker import Breaker, BreakerState
from jobs.availability.canaries import (
    Canaries,
    CanaryPolicy,
    CanaryState,
    judge_canaries,
    take_turns,
)
from jobs.availability.outcome import Group
from jobs.availability.policy import Action, Decision, decide
from jobs.catalogues.catalogue import ClipRef
from jobs.fetching.rate_limit import Politeness, StartSchedule
from jobs.fetching.retry_after import MAX_PAUSE_SECONDS
from jobs.ingesting.making import Job, Tried

_CANARIES_A_CHECK = 3
_NO_ANSWER = frozenset({Group.BLOCKED, Group.TRANSIENT})
_DONE = Decision(action=Action.DONE, is_clip_done=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRules:
    """How a source on the network is watched."""

    waits_when_blocked: bool = False
    """Wait, and ask again with a canary, for some hours; otherwise the run ends at once."""
    canaries: tuple[ClipRef, ...] = ()
    """Clips that were there when they were last asked for."""
    canary_policy: CanaryPolicy = field(default_factory=CanaryPolicy)
    politeness: Politeness | None = None
    """How often it is asked; None: as often as it answers."""


class Watch:
    """The state of one run's talk with its source."""

    def __init__(
        self,
        rules: WatchRules,
        *,
        run_id: str,
        is_network: bool,
        lane: str = "",
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Begin with a source that is thought to be well."""
        self._rules = rules
        self._run_id = run_id
        self._is_network = is_network
        self._clock = clock
        self._sleep = sleep
        self._breaker = Breaker()
        self._not_before = 0.0
        self._paused_until = 0.0
        self._num_checks = 0
        self._num_tries = 0
        self._checked_at = clock()
        self._check: dict[str, Group] = {}
        self._is_probing = False
        self._schedule = _schedule(rules.politeness, run_id, lane) if is_network else None
        self.canary_state = CanaryState.UNKNOWN

    def wait_for_turn(self) -> None:
        """Wait until the source may be asked again."""
        if self._schedule is not None:
            now = self._clock()
            self._sleep(max(0.0, self._schedule.next_start(now) - now))

    def skip_turn(self) -> None:
        """Leave the first turn to others that ask the same source from here."""
        if self._schedule is not None:
            self._schedule.next_start(self._clock())

    @property
    def is_over(self) -> bool:
        """Whether the source is to be left alone for good."""
        state = self._breaker.state
        if state == BreakerState.EXHAUSTED:
            return True
        return state == BreakerState.OPEN and not self._rules.waits_when_blocked

    @property
    def blocked(self) -> str:
        """Why it is left alone; empty: it is not."""
        return self._breaker.reason if self.is_over else ""

    def follow(self, job: Job, tried: Tried, *, is_requeued: bool) -> Decision:
        """Take the outcome of a try into account, and say what follows for its clip."""
        if not self._is_network:
            return _DONE
        self._num_tries += 1
        now = self._clock()
        was_pausing = now < self._paused_until
        self._pause(tried.retry_after_seconds, now)
        if self._is_probing:
            is_well = tried.group not in _NO_ANSWER
            self._end_probe(is_well=is_well)
        elif not (was_pausing and tried.group in _NO_ANSWER):  # it was under way when we were told
            self._breaker = self._breaker.observe(
                job.clip.id, tried.group, now=now, is_again=job.attempt > 1
            )
        decision = decide(
            tried.group,
            tried.code,
            job.attempt,
            run_id=self._run_id,
            clip_id=job.clip.id,
            is_requeued=is_requeued,
            num_blocks_in_a_row=max(1, len(self._breaker.blocked)),
            retry_after_seconds=tried.retry_after_seconds,
        )
        if decision.action == Action.BACK_OFF and self._rules.waits_when_blocked:
            self._not_before = now + decision.seconds
            if self._schedule is not None:
                self._schedule.hold_until(self._not_before)
        return decision

    def _pause(self, retry_after_seconds: float | None, now: float) -> None:
        """Leave the source alone for as long as it asks for: all workers do."""
        if not retry_after_seconds:
            return
        if retry_after_seconds > MAX_PAUSE_SECONDS:
            self._breaker = self._breaker.told_to_wait(retry_after_seconds, now=now)
            return
        self._paused_until = max(self._paused_until, now + retry_after_seconds)
        if self._schedule is not None:
            self._schedule.hold_until(self._paused_until)

    def follow_canary(self, job: Job, tried: Tried) -> None:
        """Take the outcome of a canary into account."""
        self._check[job.clip.id] = tried.group

    def before_next(self) -> Iterator[Job | None]:
        """Yield what comes before the next clip: canaries, and None to wait for all answers.

        It ends when the next clip may be tried, or when the source is to be left alone.
        """
        if not self._is_network:
            return
        while not self.is_over:
            now = self._clock()
            self._breaker = self._breaker.at(now)
            wait = max(
                self._breaker.seconds_to_wait(now), self._not_before - now, self._paused_until - now
            )
            if wait > 0:
                yield None
                self._sleep(max(0.0, wait))
                self._not_before = 0.0
            elif self._breaker.state == BreakerState.HALF_OPEN:
                yield from self._probe()
                if self._is_probing:
                    return
            else:
                if self._is_check_due():
                    yield from self._ask_canaries()
                return

    @property
    def is_probing(self) -> bool:
        """Whether the next clip's answer decides, so that it is waited for."""
        return self._is_probing

    def _probe(self) -> Iterator[Job | None]:
        yield None
        if not self._rules.canaries:
            self._is_probing = True  # the next clip is the probe
            return
        yield from self._ask_canaries()
        self._end_probe(is_well=self.canary_state == CanaryState.OK)

    def _end_probe(self, *, is_well: bool) -> None:
        self._is_probing = False
        if self._breaker.state == BreakerState.HALF_OPEN:
            self._breaker = self._breaker.probed(is_well=is_well, now=self._clock())

    def _is_check_due(self) -> bool:
        if not self._rules.canaries:
            return False
        return not self._num_checks or self._rules.canary_policy.is_due(
            num_tries=self._num_tries, seconds=self._clock() - self._checked_at
        )

    def _ask_canaries(self) -> Iterator[Job | None]:
        by_id = {clip.id: clip for clip in self._rules.canaries}
        chosen = take_turns(tuple(by_id), check=self._num_checks, count=_CANARIES_A_CHECK)
        self._check = {}
        for clip_id in chosen:
            self.wait_for_turn()
            yield Job(clip=by_id[clip_id], is_canary=True, may_spool=False)
        yield None
        self.canary_state = judge_canaries(Canaries(alive=chosen), self._check)
        self._num_checks += 1
        self._num_tries = 0
        self._checked_at = self._clock()


def _schedule(politeness: Politeness | None, run_id: str, lane: str) -> StartSchedule | None:
    if politeness is None:
        return None
    digest = hashlib.blake2b(f"{run_id}\0{lane}".encode(), digest_size=8)
    return StartSchedule(politeness, seed=int.from_bytes(digest.digest()))

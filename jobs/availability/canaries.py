"""Clips whose answer is known: if they fail, it is us, and no verdict of that time counts.

Two people once asked for the same list on the same day and found 1,915 and 1,076 clips gone
(ConferencingSpeech2021, issue 13): what is gone can't be told without knowing that one is well.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc

from jobs.availability.outcome import Group

_MIN_SHARE_ALIVE = 0.5
"""Canaries die too; as long as half of them come, the session is well."""


class CanaryState(StrEnum):
    """What `Attempt.canary_state` says of the window in which a try was made."""

    OK = "ok"
    FAILED = "failed"  # attempts are suspect
    UNKNOWN = "unknown"  # no canaries, or none tried yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Canaries:
    """Clips by what must come of them."""

    alive: tuple[str, ...] = ()
    """Ids of clips that are there."""
    gone: tuple[str, ...] = ()
    """Ids of clips that aren't: a host that answers everything alike shows by these."""

    def __post_init__(self) -> None:
        """Refuse clips that are both."""
        if both := sorted(set(self.alive) & set(self.gone)):
            raise ValueError(f"canaries that are to be there and to be gone: {both}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryPolicy:
    """How often canaries are tried."""

    every_tries: int = 200
    every_seconds: float = 1800.0

    def is_due(self, *, num_tries: int, seconds: float) -> bool:
        """Tell whether it is time, by tries and seconds since the last time."""
        return num_tries >= self.every_tries or seconds >= self.every_seconds


def judge_canaries(canaries: Canaries, groups: Mapping[str, Group]) -> CanaryState:
    """Return the state of a window by what came of its canaries.

    Args:
        canaries: What should have come.
        groups: Group of the outcome of each canary that was tried, by clip id.

    Returns:
        `ok` if at least half of those that are there came, and none that is gone; `unknown` if no
        canary that is there was tried.
    """
    tried = [groups[clip_id] for clip_id in canaries.alive if clip_id in groups]
    if any(groups.get(clip_id) == Group.OK for clip_id in canaries.gone):
        return CanaryState.FAILED
    if not tried:
        return CanaryState.UNKNOWN
    num_ok = sum(group == Group.OK for group in tried)
    return CanaryState.OK if num_ok >= _MIN_SHARE_ALIVE * len(tried) else CanaryState.FAILED


def choose_canaries(
    snapshot: pa.Table, listing: pa.Table, *, count: int, seed: int
) -> tuple[str, ...]:
    """Return clips that an earlier snapshot saw alive, each of another video.

    The choice depends on the ids and the seed only: all workers of a run choose the same.
    """
    states = snapshot.filter(pc.field("state") == "alive")["clip_id"]
    alive = listing.filter(pc.is_in(listing["clip_id"], value_set=states.combine_chunks()))
    videos: dict[str, str] = {}
    pairs = zip(alive["clip_id"].to_pylist(), alive["video_id"].to_pylist(), strict=True)
    for clip_id, video_id in sorted(pairs, key=lambda pair: _rank(pair[0], seed)):
        videos.setdefault(video_id if video_id is not None else clip_id, clip_id)
        if len(videos) == count:
            break
    return tuple(videos.values())


def _rank(clip_id: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}\0{clip_id}".encode(), digest_size=8).digest()


def take_turns(clip_ids: Sequence[str], *, check: int, count: int) -> tuple[str, ...]:
    """Return the canaries of the n-th check, from 0: not the same ones each time."""
    size = min(count, len(clip_ids))
    return tuple(clip_ids[(check * size + place) % len(clip_ids)] for place in range(size))

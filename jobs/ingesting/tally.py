"""What came of the clips of an ingest: counts for the bar and the summary, a list for people."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass

from jobs.availability.outcome import Group
from jobs.catalogues.catalogue import ClipRef
from jobs.ingesting.making import Tried
from shardwriter import Rejection
from shardwriter.errors import ShardFormatError
from shardwriter.keys import to_key
from shardwriter.storage import Store

REJECTIONS_NAME = "availability/rejections.jsonl"
"""Every clip that is listed and not there, and why; for people, the attempts log has it all."""

SHOWN_AS = {
    Group.OK: "ok",
    Group.PERMANENT: "gone",
    Group.GATED: "gated",
    Group.BLOCKED: "blocked",
    Group.TRANSIENT: "network",
    Group.OURS: "ours",
    Group.UNCLEAR: "unclear",
    Group.ABSENT: "absent",
}
"""What people read for a group; `gone` is claimed by one look, the snapshot confirms it."""
_OPEN_GROUPS = frozenset({Group.BLOCKED, Group.OURS})
"""They say nothing about the clip: it is not lost, so it is in no list of losses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A clip that is not in the dataset, and why."""

    clip_id: str
    stage: str
    """The step that refused it: `catalogue`, `fetch` or `clean`."""
    reason: str
    detail: str

    @classmethod
    def of_rejection(cls, rejection: Rejection) -> "LeftOut":
        """Take a clip that the catalogue itself rules out."""
        return cls(
            clip_id=rejection.clip_id,
            stage=rejection.stage,
            reason=rejection.reason.value,
            detail=rejection.detail,
        )


class Tally:
    """Counts the clips that are settled: written, or given up in this run."""

    def __init__(self) -> None:
        self.num_by_group: Counter[Group] = Counter()
        self.left_out: list[LeftOut] = []

    def settle(self, clip: ClipRef, tried: Tried) -> None:
        """Count a clip by its last try."""
        self.num_by_group[tried.group] += 1
        if tried.group is not Group.OK and tried.group not in _OPEN_GROUPS:
            self.left_out.append(
                LeftOut(
                    clip_id=clip.id, stage=tried.stage, reason=tried.reason, detail=tried.detail
                )
            )

    def count_ok(self, num_clips: int) -> None:
        """Count clips that are found written."""
        self.num_by_group[Group.OK] += num_clips

    def add(self, num_by_group: Mapping[Group, int], left_out: Iterable[LeftOut]) -> None:
        """Count what another process has settled."""
        self.num_by_group.update(num_by_group)
        self.left_out.extend(left_out)

    def __str__(self) -> str:
        """Return what the progress bar says, e.g. `ok 812, gone 14, gated 3`."""
        counts = sorted(self.num_by_group.items(), key=lambda item: list(Group).index(item[0]))
        return ", ".join(f"{SHOWN_AS[group]} {num:,}" for group, num in counts if num)


def put_rejections(
    store: Store, left_out: Iterable[LeftOut], *, lane: str, is_held: Callable[[str], bool]
) -> None:
    """Publish the list of clips that are left out; earlier rows stay for clips not tried since.

    Args:
        store: The target.
        left_out: What this run left out.
        lane: Of the writer, which has a list of its own; empty: the only one.
        is_held: Tells of a key whether its clip is there now.
    """
    name = _name(lane)
    rows = _read(store, name) if store.exists(name) else {}
    rows.update({row.clip_id: row for row in left_out})
    _put(store, name, rows, is_held)


def merge_rejections(store: Store, *, is_held: Callable[[str], bool]) -> None:
    """Make one list of those of all lanes."""
    stem = REJECTIONS_NAME.removesuffix(".jsonl")
    names = sorted(name for name in store.names("availability/") if name.startswith(stem))
    rows: dict[str, LeftOut] = {}
    for name in names:
        rows.update(_read(store, name))
    _put(store, REJECTIONS_NAME, rows, is_held)


def _name(lane: str) -> str:
    return REJECTIONS_NAME.replace(".jsonl", f"-{lane}.jsonl") if lane else REJECTIONS_NAME


def _put(
    store: Store, name: str, rows: Mapping[str, LeftOut], is_held: Callable[[str], bool]
) -> None:
    # A clip that its catalogue lists twice is there, and its second row is not.
    kept = [
        row for row in rows.values() if row.stage == "catalogue" or not is_held(to_key(row.clip_id))
    ]
    lines = [json.dumps(asdict(row), sort_keys=True) + "\n" for row in kept]
    store.put(name, "".join(lines).encode(), replace=True)


def _read(store: Store, name: str) -> dict[str, LeftOut]:
    try:
        found = [LeftOut(**json.loads(line)) for line in store.read(name).splitlines()]
    except (ValueError, TypeError) as err:
        raise ShardFormatError(
            f"{store.url}/{name} is damaged: {err}; remove it, the next run writes it anew"
        ) from err
    return {row.clip_id: row for row in found}

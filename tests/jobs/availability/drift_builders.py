"""Catalogues, listings and snapshots by a few words; and strategies that draw them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from jobs.availability.outcome import Code
from jobs.availability.snapshot import SNAPSHOT_SCHEMA
from jobs.availability.standing import STATES
from jobs.catalogues.catalogue import Catalogue, ClipRef
from shardwriter.audio import Cut

LABELS = ("dog", "cat", "rain")
_CODES = {"alive": Code.OK, "gone": Code.PRIVATE, "gated": Code.AGE_GATED}


def clip(number: int, *, split: str = "train", labels: tuple[str, ...] = ("dog",)) -> ClipRef:
    """A ten-second clip from second 30 of a video of its own."""
    return ClipRef(
        id=f"toy/-{number:04d}_30000",
        file=None,
        split=split,
        labels=labels,
        video_id=f"-{number:04d}",
        cut=Cut(start_seconds=30.0, stop_seconds=40.0),
    )


def catalogue(*clips: ClipRef, labels: tuple[str, ...] = LABELS, title: str = "Toy") -> Catalogue:
    return Catalogue(
        name="toy",
        title=title,
        labels=labels,
        clips=clips,
        rejections=(),
        expected_num_clips=len(clips) + 1,
        licence="CC0",
        citation="nobody",
    )


def snapshot(states: Mapping[str, str] | Sequence[tuple[str, str]], **columns: Any) -> pa.Table:
    """A snapshot of clips by id; `columns` gives further values by id."""
    rows = []
    for clip_id, state in dict(states).items():
        row: dict[str, Any] = {"clip_id": clip_id, "state": state, "num_attempts": 1}
        row["code"] = _CODES.get(state, Code.TIMEOUT).value
        row["last_attempt"] = "2026-11-22T16:00:00.000Z"
        row["pcm_sha256"] = "ab" * 32 if state == "alive" else None
        row |= {name: values[clip_id] for name, values in columns.items() if clip_id in values}
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=SNAPSHOT_SCHEMA)


@st.composite
def catalogues(draw: st.DrawFn, *, max_clips: int = 30) -> Catalogue:
    """Catalogues of up to three splits and three classes, with several labels a clip."""
    some_labels = st.lists(st.sampled_from(LABELS), max_size=3, unique=True).map(tuple)
    kinds = st.tuples(st.sampled_from(["train", "eval", "valid"]), some_labels)
    rows = draw(st.lists(kinds, max_size=max_clips))
    return catalogue(
        *(clip(number, split=split, labels=labels) for number, (split, labels) in enumerate(rows))
    )


def snapshots(*, max_clips: int = 40) -> st.SearchStrategy[pa.Table]:
    """Snapshots over the same ids as `clip` gives, in any order, with some audio changed."""
    ids = st.integers(0, max_clips - 1).map(lambda number: clip(number).id)
    audio = st.sampled_from([None, "aa" * 32, "bb" * 32])
    rows = st.dictionaries(ids, st.tuples(st.sampled_from(STATES), audio), max_size=max_clips)
    return rows.map(
        lambda rows: snapshot(
            {clip_id: state for clip_id, (state, _) in rows.items()},
            pcm_sha256={clip_id: sha256 for clip_id, (_, sha256) in rows.items()},
        )
    )

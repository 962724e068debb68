"""Lists of clip ids with a digest, so that two papers can say they scored the same clips.

The canonical form of a list: each id once, in order of its UTF-8 bytes, each followed by one
newline. The digest is the SHA-256 of that text, so `sha256sum` of the file gives it too, and
`LC_ALL=C sort -u ids.txt | sha256sum` that of any list with an id a line.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from jobs.availability.standing import ALIVE, STATES, flat, unique_ids


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IdList:
    """Clip ids in canonical order."""

    ids: pa.Array
    data: bytes
    """The canonical form, as it lies in the file."""

    @property
    def sha256(self) -> str:
        """Digest of the canonical form, in hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()


def id_list(ids: pa.Array | pa.ChunkedArray | Sequence[str]) -> IdList:
    """Return ids in canonical form, whatever their order.

    Raises:
        ValueError: an id holds a line break.
    """
    unique = pc.unique(pa.array(ids, pa.string()) if isinstance(ids, list | tuple) else flat(ids))
    ordered = unique.take(pc.sort_indices(unique))
    broken = ordered.filter(pc.match_substring_regex(ordered, "[\r\n]"))
    if len(broken):
        raise ValueError(f"clip id {broken[0].as_py()!r} holds a line break: it can't be listed")
    return IdList(ids=ordered, data=_lines(ordered))


def alive_ids(snapshot: pa.Table) -> pa.Array:
    """Return the ids of the clips that are alive in a table of `SNAPSHOT_SCHEMA`."""
    return flat(snapshot.filter(pc.field("state") == STATES[ALIVE])["clip_id"])


def common_alive(snapshots: Sequence[pa.Table], *, same_audio: bool = False) -> IdList:
    """Return the clips that are alive in every one of the snapshots.

    Args:
        snapshots: Tables of `SNAPSHOT_SCHEMA`, at least one.
        same_audio: Leave out clips whose samples' hashes differ, or are not known.

    Raises:
        ShardFormatError: a clip is twice in a snapshot.
        ValueError: no snapshot, or an id that can't be listed.
    """
    if not snapshots:
        raise ValueError("expected at least one snapshot")
    for number, snapshot in enumerate(snapshots, start=1):
        unique_ids(snapshot, where=f"snapshot {number}")
    common, *others = (
        snapshot.filter(pc.field("state") == STATES[ALIVE]).select(["clip_id", "pcm_sha256"])
        for snapshot in snapshots
    )
    for alive in others:
        place = pc.index_in(flat(common["clip_id"]), value_set=flat(alive["clip_id"]))
        keep = pc.is_valid(place)
        if same_audio:
            other = alive["pcm_sha256"].take(place)
            equal = pc.equal(common["pcm_sha256"], other)
            keep = pc.and_(keep, pc.fill_null(equal, fill_value=False))
        common = common.filter(keep)
    return id_list(common["clip_id"])


def _lines(ids: pa.Array) -> bytes:
    """Return the ids with a newline after each, without making two million Python strings."""
    lines = pc.binary_join_element_wise(ids, "\n", "")
    num_bytes = pc.sum(pc.binary_length(lines)).as_py() or 0
    text = lines.buffers()[2]  # an array of strings keeps their bytes one after another
    return text.to_pybytes()[:num_bytes] if num_bytes else b""

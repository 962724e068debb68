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
    lines = [*ordered.to_pylist(), ""]
    return IdList(ids=ordered, data="\n".join(lines).encode())


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
    common = snapshots[0].filter(pc.field("state") == STATES[ALIVE])
    for snapshot in snapshots[1:]:
        alive = snapshot.filter(pc.field("state") == STATES[ALIVE])
        place = pc.index_in(flat(common["clip_id"]), value_set=flat(alive["clip_id"]))
        keep = pc.is_valid(place)
        if same_audio:
            other = alive["pcm_sha256"].take(place)
            equal = pc.equal(common["pcm_sha256"], other)
            keep = pc.and_(keep, pc.fill_null(equal, fill_value=False))
        common = common.filter(keep)
    return id_list(common["clip_id"])

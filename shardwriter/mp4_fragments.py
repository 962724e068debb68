"""Where the packets of an MP4 in fragments lie (ISO/IEC 14496-12, 8.8)."""

from collections.abc import Iterator, Set
from dataclasses import dataclass

import numpy as np

from shardwriter.mp4_boxes import (
    Children,
    PlacedBox,
    UnusualMp4Error,
    number,
    numbers,
    version_and_flags,
)
from shardwriter.mp4_packets import GROUPS, MAX_PACKETS, Packets, sums_before

_READ = frozenset((b"tfhd", b"tfdt", b"trun"))

# Flags of a fragment's header, and the bytes of the fields that they announce, in their order.
_HAS_BASE, _HAS_DESCRIPTION, _HAS_DURATION, _HAS_SIZE, _HAS_FLAGS = 1, 2, 8, 16, 32
_HEADER_FIELDS = (
    (_HAS_BASE, 8),
    (_HAS_DESCRIPTION, 4),
    (_HAS_DURATION, 4),
    (_HAS_SIZE, 4),
    (_HAS_FLAGS, 4),
)
_BASE_IS_MOOF = 0x20000
_HEADER_FLAGS = sum(flag for flag, _ in _HEADER_FIELDS) | _BASE_IS_MOOF
# Flags of a run, likewise; the last three are columns, with a number for each packet.
_RUN_HAS_OFFSET, _RUN_HAS_FIRST_FLAGS = 1, 4
_RUN_HAS_DURATIONS, _RUN_HAS_SIZES, _RUN_HAS_FLAGS = 0x100, 0x200, 0x400
_RUN_COLUMNS = _RUN_HAS_DURATIONS | _RUN_HAS_SIZES | _RUN_HAS_FLAGS
_MAX = 1 << 62
"""Of offsets and times, so that sums of them don't overflow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Defaults:
    base: int
    """From where runs count their offsets."""
    duration: int
    size: int


def read_fragments(fragments: list[PlacedBox], extends: Children, *, track_id: int) -> Packets:
    """Read the fragments of a track.

    Args:
        fragments: The file's `moof` boxes.
        extends: The movie's `mvex` box.
        track_id: The track that is wanted.

    Raises:
        UnusualMp4Error: a fragment is broken, or says something beyond what is read.
    """
    tracks = {number(box, 4): box for box in extends.all(b"trex")}
    own = tracks.get(track_id)
    if own is None or len(tracks) < len(extends.all(b"trex")):
        raise UnusualMp4Error("a track without defaults, or with several")
    defaults = _Defaults(base=0, duration=number(own, 12), size=number(own, 16))
    runs: list[Packets] = []
    num_packets = 0
    for fragment in fragments:
        for run in _runs(fragment, defaults, track_id, tracks.keys() - {track_id}):
            runs.append(run)
            num_packets += len(run.sizes_P)
            if num_packets > MAX_PACKETS:
                raise UnusualMp4Error(f"over {MAX_PACKETS} packets")
    if not runs:
        raise UnusualMp4Error("no packets")
    packets = Packets(
        offsets_P=np.concatenate([run.offsets_P for run in runs]),
        sizes_P=np.concatenate([run.sizes_P for run in runs]),
        starts_P=np.concatenate([run.starts_P for run in runs]),
        durations_P=np.concatenate([run.durations_P for run in runs]),
    )
    packets.check()
    return packets


def _runs(
    fragment: PlacedBox, defaults: _Defaults, track_id: int, others: Set[int]
) -> Iterator[Packets]:
    for place, box in enumerate(Children(fragment.content).all(b"traf")):
        part = Children(box)
        header = part.one(b"tfhd")
        if number(header, 4) in others:
            continue
        if number(header, 4) != track_id:
            raise UnusualMp4Error("a fragment of no track")
        if not part.kinds() <= _READ | GROUPS:
            raise UnusualMp4Error(f"a fragment with {part.kinds() - _READ - GROUPS}")
        own = _own_defaults(header, defaults, fragment, is_first=not place)
        time = _time(part.one(b"tfdt"))
        for run_box in part.all(b"trun"):
            run = _run(run_box, own, time)
            time += int(run.durations_P.sum())
            yield run


def _own_defaults(
    header: memoryview, defaults: _Defaults, fragment: PlacedBox, *, is_first: bool
) -> _Defaults:
    version, flags = version_and_flags(header)
    if version or flags & ~_HEADER_FLAGS:
        raise UnusualMp4Error(f"a fragment of version {version} with flags {flags:#x}")
    fields = {}
    at = 8
    for flag, num_bytes in _HEADER_FIELDS:
        if flags & flag:
            fields[flag] = number(header, at, num_bytes)
            at += num_bytes
    if fields.get(_HAS_DESCRIPTION, 1) != 1:
        raise UnusualMp4Error("a second codec")
    if not flags & (_HAS_BASE | _BASE_IS_MOOF) and not is_first:
        raise UnusualMp4Error("packets that follow on those of another track")
    base = fields.get(_HAS_BASE, fragment.start)
    if base >= _MAX:
        raise UnusualMp4Error("packets beyond any file")
    return _Defaults(
        base=base,
        duration=fields.get(_HAS_DURATION, defaults.duration),
        size=fields.get(_HAS_SIZE, defaults.size),
    )


def _time(box: memoryview) -> int:
    version, _ = version_and_flags(box)
    time = number(box, 4, 8 if version == 1 else 4)
    if version > 1 or time >= _MAX:
        raise UnusualMp4Error(f"a time of version {version} at {time}")
    return time


def _run(box: memoryview, defaults: _Defaults, time: int) -> Packets:
    version, flags = version_and_flags(box)
    known = _RUN_COLUMNS | _RUN_HAS_OFFSET | _RUN_HAS_FIRST_FLAGS
    count = number(box, 4)
    is_known = version <= 1 and not flags & ~known and flags & _RUN_HAS_OFFSET
    if not is_known or not 0 < count <= MAX_PACKETS:
        raise UnusualMp4Error(f"a run of version {version} with flags {flags:#x}, {count} packets")
    offset = defaults.base + _signed(number(box, 8))
    if offset < 0:
        raise UnusualMp4Error("a run before the file")
    at = 16 if flags & _RUN_HAS_FIRST_FLAGS else 12
    rows = numbers(box, at, num_rows=count, num_columns=(flags & _RUN_COLUMNS).bit_count())
    columns = iter(rows.T)
    has_durations, has_sizes = flags & _RUN_HAS_DURATIONS, flags & _RUN_HAS_SIZES
    durations_P = next(columns) if has_durations else np.full(count, defaults.duration)
    sizes_P = next(columns) if has_sizes else np.full(count, defaults.size)
    return Packets(
        offsets_P=offset + sums_before(sizes_P),
        sizes_P=sizes_P,
        starts_P=time + sums_before(durations_P),
        durations_P=durations_P,
    )


def _signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value

"""The volumes of a split zip (`.z01`, `.z02`, ..., `.zip`) as one file that `zipfile` reads.

A split zip, as `zip -s` makes it, is not a zip that was cut: its directory gives each member as a
volume and an offset in that volume. Python's `zipfile` refuses it, and reading the volumes joined
finds no member. Here the volumes stay as they are, and a directory with offsets over all of them
is put behind, in the zip64 form. A member may lie across volumes. Layout: PKWARE APPNOTE 6.3.10,
4.3.12 (directory entry), 4.3.14 to 4.3.16 (its end), 4.5.3 (zip64 field).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs.sources.joined import JoinedFile
from shardwriter.errors import ConfigError

MAX_DIRECTORY_BYTES = 1 << 29
"""Of a directory; one of four million members takes half of it."""
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s4B4HL2L5H2L")
_END_MAGIC, _END64_MAGIC, _LOCATOR64_MAGIC = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_ENTRY_MAGIC = b"PK\1\2"
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_ZIP64_FIELD = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Directory:
    """What the end of a zip says of its directory."""

    last_volume: int
    volume: int
    """The volume in which the directory begins, from 0."""
    offset: int
    num_bytes: int
    num_members: int


def join_volumes(paths: Sequence[Path]) -> JoinedFile:
    """Return the volumes as one zip.

    Args:
        paths: All volumes in order, the `.zip` last.

    Raises:
        ConfigError: a volume is missing, cut or of another archive, or the directory is damaged.
    """
    where = str(paths[-1])
    with JoinedFile(paths) as volumes:
        try:
            found = _find_directory(volumes)
            _check_number(found, paths)
            data = _read_at(volumes, found.volume, found.offset, found.num_bytes)
            directory = _joined_directory(data, found, volumes)
        except ValueError as err:
            raise ConfigError(f"{where} is not a readable split zip: {err}") from err
        start = volumes.num_bytes
    end = _end_of_directory(start=start, num_bytes=len(directory), num_members=found.num_members)
    return JoinedFile([*paths, directory + end])


def check_whole(path: Path) -> None:
    """Refuse the last volume of a split zip without the others.

    Raises:
        ConfigError: it is one. What is no zip at all passes: reading it will tell.
    """
    with JoinedFile([path]) as file:
        try:
            found = _find_directory(file)
        except ValueError:
            return
    try:
        _check_number(found, [path])
    except ValueError as err:
        raise ConfigError(f"{path} is not a readable zip: {err}") from err


def _check_number(found: _Directory, paths: Sequence[Path]) -> None:
    if found.last_volume != len(paths) - 1:
        raise ValueError(
            f"it is volume {found.last_volume + 1} of its archive, and {len(paths)} are here; get "
            "every volume as published, and keep them together"
        )


def _find_directory(volumes: JoinedFile) -> _Directory:
    tail_bytes = min(volumes.num_bytes, _LOCATOR64.size + _END.size + _FULL16)
    volumes.seek(volumes.num_bytes - tail_bytes)
    tail = _read(volumes, tail_bytes)
    at = tail.rfind(_END_MAGIC)
    if at < 0 or len(tail) - at < _END.size:
        raise ValueError("it has no end of directory; is it cut, or no zip?")
    _, last, volume, _, num_members, num_bytes, offset, _ = _END.unpack_from(tail, at)
    locator = tail[max(0, at - _LOCATOR64.size) : at]
    if not locator.startswith(_LOCATOR64_MAGIC):
        return _Directory(
            last_volume=last,
            volume=volume,
            offset=offset,
            num_bytes=num_bytes,
            num_members=num_members,
        )
    _, end_volume, end_offset, num_volumes = _LOCATOR64.unpack(locator)
    if num_volumes != len(volumes.starts):
        raise ValueError(f"it says there are {num_volumes} volumes, {len(volumes.starts)} are here")
    end64 = _read_at(volumes, end_volume, end_offset, _END64.size)
    if not end64.startswith(_END64_MAGIC):
        raise ValueError("its zip64 end of directory is not where it should be")
    _, _, _, _, last, volume, _, num_members, num_bytes, offset = _END64.unpack(end64)
    return _Directory(
        last_volume=last,
        volume=volume,
        offset=offset,
        num_bytes=num_bytes,
        num_members=num_members,
    )


def _joined_directory(data: bytes, found: _Directory, volumes: JoinedFile) -> bytes:
    """Return the directory with each member's offset counted from the first volume."""
    entries = []
    position = 0
    for number in range(found.num_members):
        if data[position : position + 4] != _ENTRY_MAGIC or len(data) - position < _ENTRY.size:
            raise ValueError(f"its directory is damaged at member {number + 1}")
        fields = list(_ENTRY.unpack_from(data, position))
        name_bytes, extra_bytes, comment_bytes = fields[12:15]
        name_at = position + _ENTRY.size
        extra_at = name_at + name_bytes
        position = extra_at + extra_bytes + comment_bytes
        name, extra = data[name_at:extra_at], data[extra_at : extra_at + extra_bytes]
        entries.append(_joined_entry(fields, name, extra, volumes))
    if position != len(data):
        raise ValueError(f"its directory holds more than the {found.num_members} members it says")
    return b"".join(entries)


def _joined_entry(fields: list[int], name: bytes, extra: bytes, volumes: JoinedFile) -> bytes:
    """Return one entry: sizes and offset in the zip64 field, all on one volume."""
    others, zip64 = _take_zip64(extra)
    num_packed, num_bytes, volume, offset = fields[10], fields[11], fields[15], fields[18]
    # In this order, and only those that don't fit into the entry.
    if num_bytes == _FULL32:
        num_bytes, zip64 = _number(zip64, 8)
    if num_packed == _FULL32:
        num_packed, zip64 = _number(zip64, 8)
    if offset == _FULL32:
        offset, zip64 = _number(zip64, 8)
    if volume == _FULL16:
        volume, zip64 = _number(zip64, 4)
    start = _position(volumes, volume, offset, num_packed)
    field = struct.pack("<2H3Q", _ZIP64_FIELD, 24, num_bytes, num_packed, start)
    fields[10] = fields[11] = fields[18] = _FULL32
    fields[13:16] = [len(others) + len(field), 0, 0]  # extra fields, no comment, first volume
    return _ENTRY.pack(*fields) + name + others + field


def _take_zip64(extra: bytes) -> tuple[bytes, bytes]:
    """Return the other extra fields, and what is in the zip64 one."""
    others, zip64 = b"", b""
    position = 0
    while position + 4 <= len(extra):
        kind, num_bytes = struct.unpack_from("<2H", extra, position)
        field = extra[position : position + 4 + num_bytes]
        position += 4 + num_bytes
        if kind == _ZIP64_FIELD:
            zip64 = field[4:]
        else:
            others += field
    return others, zip64


def _number(field: bytes, num_bytes: int) -> tuple[int, bytes]:
    if len(field) < num_bytes:
        raise ValueError("a member's zip64 field is too short")
    return int.from_bytes(field[:num_bytes], "little"), field[num_bytes:]


def _position(volumes: JoinedFile, volume: int, offset: int, num_bytes: int) -> int:
    if volume >= len(volumes.starts):
        raise ValueError(f"it points into volume {volume + 1}, there are {len(volumes.starts)}")
    start = volumes.starts[volume] + offset
    if start + num_bytes > volumes.num_bytes:
        raise ValueError(
            f"it points to byte {offset + num_bytes} from the start of volume {volume + 1}, which "
            "is not there; a volume is cut: get it again"
        )
    return start


def _read_at(volumes: JoinedFile, volume: int, offset: int, num_bytes: int) -> bytes:
    if num_bytes > MAX_DIRECTORY_BYTES:
        raise ValueError(f"its directory says {num_bytes} bytes, at most {MAX_DIRECTORY_BYTES}")
    volumes.seek(_position(volumes, volume, offset, num_bytes))
    return _read(volumes, num_bytes)


def _read(volumes: JoinedFile, num_bytes: int) -> bytes:
    pieces = []
    while num_bytes and (piece := volumes.read(num_bytes)):
        pieces.append(piece)
        num_bytes -= len(piece)
    return b"".join(pieces)


def _end_of_directory(*, start: int, num_bytes: int, num_members: int) -> bytes:
    end64 = _END64.pack(
        _END64_MAGIC, _END64.size - 12, 45, 45, 0, 0, num_members, num_members, num_bytes, start
    )
    locator = _LOCATOR64.pack(_LOCATOR64_MAGIC, 0, start + num_bytes, 1)
    end = _END.pack(_END_MAGIC, 0, 0, _FULL16, _FULL16, _FULL32, _FULL32, 0)
    return end64 + locator + end

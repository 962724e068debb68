"""The 512 bytes before each member of a tar: ustar, and what pax and GNU tar put around it.

Python's `tarfile` is not used to read: it ends in silence at a damaged header, recurses over
chained extended headers, and takes declared sizes on trust. Layout (POSIX.1-2017, pax, "ustar
Interchange Format")::

    name 0..100   mode 100..108   uid ..116   gid ..124   size 124..136   mtime 136..148
    checksum 148..156   type 156   link 157..257   magic 257..265   ...   prefix 345..500
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

BLOCK_BYTES = 512

_USTAR_MAGIC = b"ustar\x0000"
_GNU_MAGIC = b"ustar  \x00"
_OLD_MAGIC = bytes(8)
_NUM_SIZE_DIGITS = 20
"""More decimal digits than any size has; Python refuses to convert thousands of them."""
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
}


class MemberKind(StrEnum):
    """What a header announces."""

    FILE = "a file"
    FOLDER = "a folder"
    HARD_LINK = "a hard link"
    SYMBOLIC_LINK = "a symbolic link"
    CHARACTER_DEVICE = "a character device"
    BLOCK_DEVICE = "a block device"
    FIFO = "a FIFO"
    SPARSE = "a sparse file"
    PAX = "a pax extended header"
    PAX_GLOBAL = "a pax global header"
    LONG_NAME = "a GNU long name"
    LONG_LINK = "a GNU long link name"


_KINDS = {
    b"0": MemberKind.FILE,
    b"\0": MemberKind.FILE,
    b"7": MemberKind.FILE,
    b"1": MemberKind.HARD_LINK,
    b"2": MemberKind.SYMBOLIC_LINK,
    b"3": MemberKind.CHARACTER_DEVICE,
    b"4": MemberKind.BLOCK_DEVICE,
    b"5": MemberKind.FOLDER,
    b"6": MemberKind.FIFO,
    b"L": MemberKind.LONG_NAME,
    b"K": MemberKind.LONG_LINK,
    b"S": MemberKind.SPARSE,
    b"x": MemberKind.PAX,
    b"g": MemberKind.PAX_GLOBAL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TarHeader:
    """One header block."""

    raw_name: bytes
    num_bytes: int
    kind: MemberKind
    is_ustar: bool
    """Plain POSIX ustar, as our own writer makes it."""


def parse_header(block: bytes) -> TarHeader:
    """Read a header block of 512 bytes.

    Raises:
        ValueError: it is none; the message says why.
    """
    _check_sum(block)
    magic = block[257:265]
    if magic not in (_USTAR_MAGIC, _GNU_MAGIC, _OLD_MAGIC):
        raise ValueError(f"the magic is {magic!r}, expected ustar's")
    kind = _KINDS.get(block[156:157])
    if kind is None:
        raise ValueError(f"unknown member type {block[156:157]!r}")
    raw_name = _text(block[0:100])
    prefix = _text(block[345:500]) if magic == _USTAR_MAGIC else b""
    if kind is MemberKind.FILE and magic == _OLD_MAGIC and raw_name.endswith(b"/"):
        kind = MemberKind.FOLDER  # how tars before POSIX spelled one
    return TarHeader(
        raw_name=prefix + b"/" + raw_name if prefix else raw_name,
        num_bytes=_number(block[124:136]),
        kind=kind,
        is_ustar=magic == _USTAR_MAGIC,
    )


def compression_of(start: bytes) -> str | None:
    """Name the compression that a file's first bytes give away."""
    return next((name for magic, name in _COMPRESSED.items() if start.startswith(magic)), None)


def parse_pax(data: bytes) -> dict[str, bytes]:
    """Read the records `<length> <key>=<value>` of a pax header.

    Raises:
        ValueError: they don't add up.
    """
    records = {}
    position = 0
    while position < len(data):
        match = re.compile(rb"([1-9][0-9]{0,8}) ([^=\0]{1,256})=").match(data, position)
        if match is None:
            raise ValueError(f"its record at byte {position} is no `length key=value`")
        stop = position + int(match[1])
        if not match.end() < stop <= len(data) or data[stop - 1 : stop] != b"\n":
            raise ValueError(f"its record at byte {position} has a wrong length")
        records[match[2].decode("utf-8", "backslashreplace")] = data[match.end() : stop - 1]
        position = stop
    return records


def pax_size(records: Mapping[str, bytes]) -> int | None:
    """Return the size that pax records give, if they give one; not a number is a `ValueError`."""
    size = records.get("size")
    if size is None:
        return None
    if not size.isdigit() or len(size) > _NUM_SIZE_DIGITS:
        raise ValueError(f"its size is {size[:40]!r}")
    return int(size)


def safe_name(raw_name: bytes) -> str:
    """Return a member's name as text.

    Raises:
        ValueError: it is empty, not UTF-8, holds a NUL, or leads out of the folder it is in.
    """
    try:
        name = raw_name.decode()
    except UnicodeDecodeError as err:
        raise ValueError(f"its name {raw_name[:200]!r} is not UTF-8") from err
    if not name or "\0" in name:
        raise ValueError(f"its name {name[:200]!r} is empty or holds a NUL")
    if name.startswith("/") or ".." in name.split("/"):
        raise ValueError(f"its name {name[:200]!r} is not relative to the shard")
    return name


def _check_sum(block: bytes) -> None:
    stated = _number(block[148:156])
    rest = block[:148] + b" " * 8 + block[156:]
    unsigned = sum(rest)
    # Some old programs added up signed bytes.
    if stated not in (unsigned, unsigned - 256 * sum(byte > 127 for byte in rest)):
        raise ValueError(f"its checksum is {stated}, its bytes add up to {unsigned}")


def _number(field: bytes) -> int:
    """Read octal digits, or GNU's binary form: 0x80, then a big-endian number."""
    if field[0] in (0x80, 0xFF):
        number = int.from_bytes(field[1:], "big")
        if field[0] == 0xFF:
            raise ValueError(f"a number in it is negative: {number - (1 << 8 * len(field[1:]))}")
        return number
    digits = _text(field).strip(b" ")
    if not re.fullmatch(rb"[0-7]*", digits):
        raise ValueError(f"{field!r} is not an octal number")
    return int(digits or b"0", 8)


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]

"""The boxes that MP4 is made of (ISO/IEC 14496-12, 4.2), and the tables in them.

A box is the memoryview of its content: what is read of it can't lie outside of it.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_HEADER = struct.Struct(">I4s")
_LARGE_SIZE = struct.Struct(">Q")
_MAX_BOXES = 1 << 16
"""Beside each other. An hour and a half of fragments that last a second has 20,000."""


class UnusualMp4Error(Exception):
    """A file that is left to FFmpeg: broken, or beyond what is read here."""


class PlacedBox(NamedTuple):  # a file has dozens, and these are made in half the time
    """A box, and where it stands in its container."""

    kind: bytes
    start: int
    """First byte of its header."""
    content: memoryview


def walk(container: memoryview, *, may_be_cut: bool = False) -> list[PlacedBox]:
    """Return the boxes beside each other in a container.

    Args:
        container: The content of a box, or a file.
        may_be_cut: Whether a last box that is not whole is left out, as of a file that is only a
            beginning.

    Raises:
        UnusualMp4Error: a box doesn't fit, or there are too many.
    """
    boxes: list[PlacedBox] = []
    for kind, start, content, end in headers(container):
        if end > len(container):
            if may_be_cut:
                break
            raise UnusualMp4Error("a box is longer than what holds it")
        boxes.append(PlacedBox(kind, start, container[content:end]))
    return boxes


def headers(container: memoryview) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield the kind of each box, its first byte, that of its content, and where it ends.

    The last one may end behind the container; it has no kind if its header is cut.

    Raises:
        UnusualMp4Error: a box is shorter than its header, or there are too many.
    """
    start = 0
    for _ in range(_MAX_BOXES):
        if start >= len(container):
            return
        size, header, kind = _read_header(container, start)
        yield kind, start, start + header, start + size
        start += size
    if start < len(container):
        raise UnusualMp4Error(f"over {_MAX_BOXES} boxes")


def _read_header(container: memoryview, start: int) -> tuple[int, int, bytes]:
    """Return a box's size, that of its header, and its kind; where it is cut, a size beyond."""
    left = len(container) - start
    if left < _HEADER.size:
        return left + 1, 0, b""
    size, kind = _HEADER.unpack_from(container, start)
    header = _HEADER.size
    if size == 0:  # it lasts to the end
        size = left
    elif size == 1:
        header += _LARGE_SIZE.size
        if left < header:
            return left + 1, 0, b""
        size = _LARGE_SIZE.unpack_from(container, start + _HEADER.size)[0]
    if size < header:
        raise UnusualMp4Error("a box is shorter than its header")
    return size, header, kind


class Children:
    """The boxes in a box, by kind."""

    def __init__(self, container: memoryview) -> None:
        """Walk them.

        Raises:
            UnusualMp4Error: as `walk`.
        """
        self._boxes = walk(container)

    def kinds(self) -> set[bytes]:
        """Return the kinds there are."""
        return {box.kind for box in self._boxes}

    def all(self, kind: bytes) -> list[memoryview]:
        """Return the boxes of a kind, in their order."""
        return [box.content for box in self._boxes if box.kind == kind]

    def maybe(self, kind: bytes) -> memoryview | None:
        """Return the box of a kind, if there is one.

        Raises:
            UnusualMp4Error: there are several.
        """
        found = self.all(kind)
        if len(found) > 1:
            raise UnusualMp4Error(f"{len(found)} boxes {kind!r}")
        return found[0] if found else None

    def one(self, kind: bytes) -> memoryview:
        """Return the box of a kind.

        Raises:
            UnusualMp4Error: there is none, or several.
        """
        box = self.maybe(kind)
        if box is None:
            raise UnusualMp4Error(f"no box {kind!r}")
        return box

    def descend(self, *kinds: bytes) -> "Children":
        """Return what is in the box of a kind, and in the next kind in that ...

        Raises:
            UnusualMp4Error: as `one`.
        """
        children = self
        for kind in kinds:
            children = Children(children.one(kind))
        return children


def number(box: memoryview, at: int, num_bytes: int = 4) -> int:
    """Return the unsigned integer at a place in a box.

    Raises:
        UnusualMp4Error: the box ends before.
    """
    if at + num_bytes > len(box):
        raise UnusualMp4Error("a box ends within a field")
    return int.from_bytes(box[at : at + num_bytes], "big")


def version_and_flags(box: memoryview) -> tuple[int, int]:
    """Return what the first four bytes of many boxes say.

    Raises:
        UnusualMp4Error: the box is shorter.
    """
    both = number(box, 0)
    return both >> 24, both & 0xFFFFFF


def numbers(box: memoryview, at: int, *, num_rows: int, num_columns: int) -> NDArray[np.int64]:
    """Return the rows of unsigned 32-bit numbers that a box ends in, from a place on.

    Returns:
        Of shape (rows, columns).

    Raises:
        UnusualMp4Error: the box ends before or behind them.
    """
    if at + num_rows * num_columns * 4 != len(box):
        raise UnusualMp4Error("a table is not as long as it says")
    values = np.frombuffer(box[at:], ">u4")
    return values.astype(np.int64).reshape(num_rows, num_columns)


def table(box: memoryview, *, num_columns: int, at: int = 4) -> NDArray[np.int64]:
    """Return the `numbers` behind their count, which stands at a place in a box.

    Raises:
        UnusualMp4Error: the count is not that of the rows.
    """
    return numbers(box, at + 4, num_rows=number(box, at), num_columns=num_columns)

"""A file on a server as a demuxer reads it: what it looks at is fetched, and kept."""

import io

from jobs.fetching.youtube_ranges import MediaRanges, Piece

BLOCK_BYTES = 1 << 16
"""Asked for at least: headers and indices are about as large."""
_MAX_BLOCK_BYTES = 1 << 20


class ScatteredError(Exception):
    """What is looked at lies in so many places that the beginning of the file would cost less."""


class RangedFile(io.RawIOBase):
    """Read and seek over ranged requests.

    No call of it raises for a failure of the network: FFmpeg, which calls it, would lose the
    exception or raise it at a later file. It reads as if the file ended, and `error` says why.
    """

    def __init__(self, ranges: MediaRanges, *, max_requests: int) -> None:
        """Take a file, and fetch its first block.

        Args:
            ranges: Asks for its bytes.
            max_requests: More are not made.

        Raises:
            MediaError: and what else `MediaRanges.extend` raises, for the first block.
        """
        super().__init__()
        self._ranges = ranges
        self._max_requests = max_requests
        first = Piece(start=0)
        ranges.extend(first, BLOCK_BYTES)
        self._pieces = [first]
        self._position = 0
        self._block_bytes = BLOCK_BYTES
        self.jump_bytes = BLOCK_BYTES
        """Asked for at a place that doesn't follow what is there."""
        self.error: Exception | None = None
        """What went wrong."""

    @property
    def head(self) -> bytes:
        """The first bytes."""
        return bytes(self._pieces[0].data[:BLOCK_BYTES])

    @property
    def whole(self) -> bytes | None:
        """The whole file, where that has come: the file is small, or the server has no ranges."""
        first = self._pieces[0]
        is_whole = first.start == 0 and first.stop == self._ranges.total
        return bytes(first.data) if is_whole else None

    def readable(self) -> bool:
        """Say that it is."""
        return True

    def seekable(self) -> bool:
        """Say that it is."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go somewhere; nothing is fetched."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._ranges.total or 0}
        self._position = max(base[whence] + offset, 0)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # a memoryview is what comes
        """Fill a buffer, or so much of it as lies there; 0 at the end, and after a failure."""
        if self.error is not None:
            return 0
        try:
            piece = self._piece_at(self._position, len(buffer))
        except Exception as err:  # noqa: BLE001 - whatever it is, who opened the file raises it
            self.error = err
            return 0
        start = self._position - piece.start
        data = piece.data[start : start + len(buffer)]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _piece_at(self, position: int, num_bytes: int) -> Piece:
        """Return the piece that holds a position, fetched if it isn't there."""
        total = self._ranges.total
        if total is not None and position >= total:
            return Piece(start=position)
        for piece in self._pieces:
            if piece.start <= position < piece.stop:
                return piece
        if self._ranges.num_requests >= self._max_requests:
            raise ScatteredError(f"over {self._max_requests} requests")
        grown = next((piece for piece in self._pieces if piece.stop == position), None)
        if grown is None:
            grown = Piece(start=position)
            self._pieces.append(grown)
            wanted, self._block_bytes = self.jump_bytes, BLOCK_BYTES
        else:
            wanted, self._block_bytes = self._block_bytes, 2 * self._block_bytes
        following = [piece.start for piece in self._pieces if piece.start > position]
        wanted = max(min(wanted, _MAX_BLOCK_BYTES), num_bytes)
        start = grown.start
        self._ranges.extend(grown, min([wanted, *(place - position for place in following)]))
        if grown.start != start:  # the server has no ranges, after all: the whole file came
            self._pieces = [grown]
        return grown

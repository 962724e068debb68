"""Several pieces read as one file: parts of an archive, volumes of a zip."""

import bisect
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from shardwriter.errors import ConfigError


class JoinedFile(io.RawIOBase):
    """The bytes of all pieces, one after the other, read only; nothing is copied or kept."""

    def __init__(self, pieces: Sequence[Path | bytes]) -> None:
        """Open the pieces.

        Raises:
            ConfigError: one of them can't be read.
        """
        super().__init__()
        self._pieces: list[BinaryIO | bytes] = []
        self.starts: list[int] = []
        """Where each piece begins."""
        self.num_bytes = 0
        self._position = 0
        for piece in pieces:
            self.starts.append(self.num_bytes)
            if isinstance(piece, bytes):
                self._pieces.append(piece)
                self.num_bytes += len(piece)
            else:
                self.num_bytes += self._open(piece)

    def _open(self, path: Path) -> int:
        try:
            file = path.open("rb", buffering=0)
            self._pieces.append(file)
            return os.fstat(file.fileno()).st_size
        except OSError as err:
            self.close()
            raise ConfigError(f"{path}: {err.strerror}") from err

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move; before the start is an error, as of any file."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.num_bytes}[whence]
        if base + offset < 0:
            raise OSError(22, "Invalid argument")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]  # any Buffer
        """Fill the buffer from one piece; 0 at the end."""
        number = bisect.bisect_right(self.starts, self._position) - 1
        if self._position >= self.num_bytes:
            return 0
        piece = self._pieces[number]
        offset = self._position - self.starts[number]
        if isinstance(piece, bytes):
            data = piece[offset : offset + len(buffer)]
        else:
            data = os.pread(piece.fileno(), len(buffer), offset)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        """Close the pieces."""
        for piece in self._pieces:
            if not isinstance(piece, bytes):
                piece.close()
        super().close()

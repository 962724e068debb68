"""Read a tar once from front to back, strictly, in memory bounded by its largest member."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from shardwriter.errors import ShardFormatError
from shardwriter.tarheader import (
    BLOCK_BYTES,
    MemberKind,
    TarHeader,
    compression_of,
    parse_header,
    parse_pax,
    pax_size,
    safe_name,
)

MAX_MEMBER_BYTES = 1 << 30
"""A member of more is not read into memory; it may be skipped."""
MAX_MEMBERS = 1_000_000
"""Names are kept, to find those that are there twice."""
_MAX_EXTENSION_BYTES = 1 << 20
_MAX_NAME_BYTES = 4096
_SKIP_BYTES = 1 << 20
_END_BLOCKS = 2
_OVERRIDING = ("path", "linkpath", "size", "hdrcharset")
"""Pax fields that a global header may not set: they would rename or resize all members."""

_OUR_KINDS = (MemberKind.FILE, MemberKind.PAX)
_FOREIGN_KINDS = (
    *_OUR_KINDS,
    MemberKind.FOLDER,
    MemberKind.PAX_GLOBAL,
    MemberKind.LONG_NAME,
)


class ByteSource(Protocol):
    """What a tar is read from."""

    def read(self, num_bytes: int, /) -> bytes:
        """Return the next bytes; fewer than asked for only at the end."""


@runtime_checkable
class SkippingByteSource(ByteSource, Protocol):
    """One that can pass over bytes without reading them, as a local file can."""

    def skip(self, num_bytes: int, /) -> None:
        """Pass over the next bytes; over the end, the next read returns nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TarMember:
    """A file in a tar."""

    name: str
    offset: int
    """Of its first data byte."""
    num_bytes: int


class TarReader:
    """The files of a tar in order: iterate, and call `data` for the member at hand.

    `tarfile` and webdataset end in silence where a tar is cut at a header; here the two zero
    blocks at the end must be there, and nothing but zeros may follow them. Nothing is extracted.
    """

    def __init__(
        self, source: ByteSource, *, num_bytes: int, where: str, is_foreign: bool = False
    ) -> None:
        """Prepare to read.

        Args:
            source: The tar's bytes.
            num_bytes: Its length; no member may declare more.
            where: The shard, for messages.
            is_foreign: Also take what our own writer never makes: folders (passed over), GNU
                headers, pax headers with more in them than a long name, tars without magic.
        """
        self._source = source
        self._num_bytes = num_bytes
        self._where = where
        self._is_foreign = is_foreign
        self._position = 0
        self._num_data_bytes = 0
        self._unread = 0
        self._names: set[str] = set()

    def __iter__(self) -> Iterator[TarMember]:
        """Yield the files.

        Raises:
            ShardFormatError: not a tar, compressed, cut, garbage behind its end, a member that
                is no plain file, an unsafe name, or one that is there twice.
        """
        while (found := self._next_header()) is not None:
            header, start = found
            if header.kind is MemberKind.FOLDER:
                if header.num_bytes:
                    raise self._error(start, f"a folder that declares {header.num_bytes} bytes")
                continue
            yield self._file(header, start)

    def data(self) -> bytes:
        """Return the bytes of the member that was yielded last; call it at most once for each."""
        if self._num_data_bytes > MAX_MEMBER_BYTES:
            raise self._error(
                self._position,
                f"a member of {self._num_data_bytes} bytes, at most {MAX_MEMBER_BYTES} are read",
            )
        data = self._read(self._num_data_bytes, what="the data of a member")
        self._unread -= len(data)
        return data

    def _file(self, header: TarHeader, start: int) -> TarMember:
        name = self._name(header, start)
        if name in self._names:
            raise self._error(start, f"member {name!r} is there twice")
        if len(self._names) == MAX_MEMBERS:
            raise self._error(start, f"over {MAX_MEMBERS} members; cut the shard up")
        self._names.add(name)
        self._num_data_bytes = header.num_bytes
        self._unread = _padded(header.num_bytes)
        return TarMember(name=name, offset=self._position, num_bytes=header.num_bytes)

    def _name(self, header: TarHeader, start: int) -> str:
        try:
            return safe_name(header.raw_name)
        except ValueError as err:
            raise self._error(start, f"a member is refused: {err}") from err

    def _next_header(self) -> tuple[TarHeader, int] | None:
        """Return the next file's or folder's header, with what extended headers say worked in."""
        self._skip(self._unread)
        self._unread = 0
        path: bytes | None = None
        size: int | None = None
        is_extended = False
        while True:
            start = self._position
            header = self._read_header()
            if header is None:
                if is_extended:
                    raise self._error(start, "the archive ends after an extended header")
                return None
            self._refuse_by_kind(header, start, is_extended=is_extended)
            if header.kind in (MemberKind.FILE, MemberKind.FOLDER):
                break
            new_path, new_size = self._extension(header, start)
            path, size = new_path or path, size if new_size is None else new_size
            is_extended |= header.kind is not MemberKind.PAX_GLOBAL
        num_bytes = header.num_bytes if size is None else size
        left = self._num_bytes - self._position
        if num_bytes > left:
            name = (path or header.raw_name)[:200].decode(errors="backslashreplace")
            raise self._error(
                start,
                f"member {name!r} declares {num_bytes} bytes, only "
                f"{left} are left; the shard is truncated or damaged",
            )
        raw_name = header.raw_name if path is None else path
        return (
            TarHeader(
                raw_name=raw_name, num_bytes=num_bytes, kind=header.kind, is_ustar=header.is_ustar
            ),
            start,
        )

    def _refuse_by_kind(self, header: TarHeader, start: int, *, is_extended: bool) -> None:
        kind = header.kind
        is_ours = kind in _OUR_KINDS and header.is_ustar
        if not is_ours and not (self._is_foreign and kind in _FOREIGN_KINDS):
            raise self._error(
                start,
                f"member {header.raw_name[:200]!r} is {kind.value}"
                f"{'' if header.is_ustar else ', not ustar'}; "
                "a shard holds plain files with relative names only",
            )
        if is_extended and kind in (MemberKind.PAX, MemberKind.LONG_NAME):
            raise self._error(start, f"{kind.value} directly after another extended header")

    def _extension(self, header: TarHeader, start: int) -> tuple[bytes | None, int | None]:
        """Read an extended header; return the path and the size that it gives."""
        limit = _MAX_NAME_BYTES if header.kind is MemberKind.LONG_NAME else _MAX_EXTENSION_BYTES
        if header.num_bytes > min(limit, self._num_bytes - self._position):
            raise self._error(start, f"{header.kind.value} of {header.num_bytes} bytes")
        data = self._read(header.num_bytes, what=header.kind.value)
        self._skip(_padded(header.num_bytes) - header.num_bytes)
        if header.kind is MemberKind.LONG_NAME:
            return data.removesuffix(b"\0"), None
        try:
            records = parse_pax(data)
            size = pax_size(records)
        except ValueError as err:
            raise self._error(start, f"{header.kind.value} is damaged: {err}") from err
        if not self._is_foreign and records.keys() != {"path"}:
            raise self._error(start, f"a pax header with {sorted(records)}, expected only a path")
        if any(key.startswith("GNU.sparse.") for key in records):
            raise self._error(start, "a sparse file; a shard holds plain files only")
        if header.kind is MemberKind.PAX_GLOBAL and any(key in records for key in _OVERRIDING):
            raise self._error(start, f"a pax global header that sets one of {_OVERRIDING}")
        path = records.get("path")
        if path is not None and len(path) > _MAX_NAME_BYTES:
            raise self._error(start, f"a name of {len(path)} bytes")
        return path, size

    def _read_header(self) -> TarHeader | None:
        start = self._position
        block = self._read(BLOCK_BYTES, what="a header or the end of the archive")
        if not any(block):
            self._check_end(start)
            return None
        compression = compression_of(block) if start == 0 else None
        try:
            return parse_header(block)
        except ValueError as err:
            hint = f"; it looks {compression}-compressed: decompress it" if compression else ""
            raise self._error(start, f"no readable tar header: {err}{hint}") from err

    def _check_end(self, start: int) -> None:
        expected = _END_BLOCKS * BLOCK_BYTES
        if self._num_bytes - start < expected:
            raise self._error(
                start,
                f"expected the end of the archive ({expected} zero bytes or more), got "
                f"{self._num_bytes - start} bytes; the shard is truncated",
            )
        while piece := self._source.read(_SKIP_BYTES):
            if piece.count(0) != len(piece):
                raise self._error(
                    self._position, "there are bytes other than zero after the end of the archive"
                )
            self._position += len(piece)

    def _skip(self, num_bytes: int) -> None:
        if isinstance(self._source, SkippingByteSource):
            self._source.skip(num_bytes)
            self._position += num_bytes
            return
        while num_bytes > 0:
            num_bytes -= len(self._read(min(num_bytes, _SKIP_BYTES), what="a member's padding"))

    def _read(self, num_bytes: int, *, what: str) -> bytes:
        data = self._source.read(num_bytes)
        if len(data) != num_bytes:
            raise self._error(
                self._position,
                f"expected {num_bytes} bytes of {what}, got {len(data)}; the shard is truncated",
            )
        self._position += num_bytes
        return data

    def _error(self, position: int, problem: str) -> ShardFormatError:
        return ShardFormatError(f"{self._where} at byte {position}: {problem}")


def _padded(num_bytes: int) -> int:
    return -(-num_bytes // BLOCK_BYTES) * BLOCK_BYTES

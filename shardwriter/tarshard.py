"""One shard as a tar: POSIX ustar, byte for byte a function of its members and their order.

Python's own `tarfile` writes it. webdataset's TarWriter would do as well, but carries a time
stamp and a user name by default and buys nothing here.
"""

import contextlib
import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from shardwriter.errors import ShardFormatError
from shardwriter.index import IndexRow, crc32c
from shardwriter.schema import JSON_SUFFIX, EncodedSample

_HEADER_BYTES = tarfile.BLOCKSIZE
_END_BYTES = 2 * tarfile.BLOCKSIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file in a tar."""

    name: str
    offset: int
    """Of its first data byte."""
    data: bytes


class TarShard:
    """A shard that is being written to a local file, and the index rows of its samples."""

    def __init__(self, path: Path, *, audio_suffix: str) -> None:
        self.path = path
        self.rows: list[IndexRow] = []
        self.num_audio_samples = 0
        self._suffix = audio_suffix
        self._file = _HashingFile(path.open("wb"))
        self._tar = tarfile.open(  # noqa: SIM115  # closed in close() and discard()
            fileobj=self._file, mode="w", format=tarfile.USTAR_FORMAT
        )

    @property
    def num_bytes(self) -> int:
        """Bytes so far, without the end of the archive."""
        return self._tar.offset

    def add(self, sample: EncodedSample) -> None:
        """Append a sample's two members."""
        record = sample.record
        label = record.to_json_bytes()
        audio_offset = self._append(f"{record.key}.{self._suffix}", sample.audio)
        json_offset = self._append(f"{record.key}.{JSON_SUFFIX}", label)
        self.num_audio_samples += record.num_samples
        self.rows.append(
            IndexRow(
                key=record.key,
                audio_offset=audio_offset,
                audio_num_bytes=len(sample.audio),
                audio_crc32c=crc32c(sample.audio),
                json_offset=json_offset,
                json_num_bytes=len(label),
                json_crc32c=crc32c(label),
                num_samples=record.num_samples,
                sample_rate_hz=record.sample_rate_hz,
                label_ids=record.label_ids,
                fold=record.fold,
                group=record.group,
                frame_offsets=sample.frame_offsets,
            )
        )

    def close(self) -> str:
        """Write the end of the archive; return the SHA-256 of the whole file in hexadecimal."""
        self._tar.close()
        self._file.close()
        return self._file.hexdigest()

    def discard(self) -> None:
        """Close and remove the file."""
        with contextlib.suppress(OSError):  # on a full disk, closing fails as writing did
            self._file.close()
        self.path.unlink(missing_ok=True)

    def _append(self, name: str, data: bytes) -> int:
        member = tarfile.TarInfo(name)  # owner 0 without a name, time 0: nothing of this machine
        member.size = len(data)
        member.mode = 0o644
        offset = self._tar.offset + _HEADER_BYTES
        self._tar.addfile(member, io.BytesIO(data))
        return offset


def read_members(data: bytes, *, where: str) -> Iterator[Member]:
    """Yield the members of a shard in order, and check that the archive is whole.

    `tarfile` and webdataset end in silence where a tar is cut at a header; here the two zero
    blocks at the end must be there.

    Raises:
        ShardFormatError: not a tar, cut, a member that is no plain file, or an unsafe name.
    """
    end = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for info in tar:
                if not _is_plain(info):
                    raise ShardFormatError(
                        f"{where}: member {info.name!r} at byte {info.offset} is not a plain file "
                        "with a relative name"
                    )
                body = data[info.offset_data : info.offset_data + info.size]
                if len(body) != info.size:
                    raise ShardFormatError(
                        f"{where}: member {info.name!r} at byte {info.offset_data}: expected "
                        f"{info.size} bytes, got {len(body)}; the shard is truncated"
                    )
                end = info.offset_data + -(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                yield Member(name=info.name, offset=info.offset_data, data=body)
    except (tarfile.TarError, ValueError, OverflowError) as err:  # sizes no file can have
        raise ShardFormatError(f"{where}: not a readable tar: {err}") from err
    tail = data[end:]
    if len(tail) < _END_BYTES or tail.count(0) != len(tail):
        raise ShardFormatError(
            f"{where}: expected the end of the archive ({_END_BYTES} zero bytes or more) at byte "
            f"{end}, got {len(tail)} bytes; the shard is truncated or damaged"
        )


def _is_plain(info: tarfile.TarInfo) -> bool:
    is_file = info.isreg() and not info.issparse()
    return is_file and not info.name.startswith("/") and ".." not in info.name.split("/")


class _HashingFile(io.RawIOBase):
    """A file that is only appended to, hashed as it is written."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._hash = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # tarfile writes bytes only
        self._hash.update(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        try:
            self._file.close()
        finally:
            super().close()

    def hexdigest(self) -> str:
        return self._hash.hexdigest()

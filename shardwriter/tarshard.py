"""One shard as a tar: POSIX ustar, byte for byte a function of its members and their order.

Python's own `tarfile` makes a header without name and size, once; what differs between members
is filled in here, in a quarter of the time. webdataset's TarWriter would do as well, but carries a
time stamp and a user name by default and buys nothing here.
"""

import contextlib
import functools
import hashlib
import io
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shardwriter.errors import StorageError
from shardwriter.index import IndexRow, crc32c, pcm_hash
from shardwriter.schema import JSON_SUFFIX, EncodedSample
from shardwriter.targets import index_values
from shardwriter.untar import ByteSource, TarReader

_BLOCK_BYTES = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK_BYTES)
_NAME, _SIZE, _CHECKSUM = slice(0, 100), slice(124, 136), slice(148, 156)
"""Fields of a header."""
_MAX_NUM_BYTES = 8**11


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file in a tar."""

    name: str
    offset: int
    """Of its first data byte."""
    data: bytes


class TarShard:
    """A shard that is being written to a local file, and the index rows of its samples."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[IndexRow] = []
        self._num_samples_by_rate: Counter[int] = Counter()
        self._file = _HashingFile(path)

    @property
    def num_bytes(self) -> int:
        """Bytes so far, without the end of the archive."""
        return self._file.num_bytes

    @property
    def duration_seconds(self) -> float:
        """Length of the clips so far."""
        return sum(num / rate for rate, num in sorted(self._num_samples_by_rate.items()))

    def add(self, sample: EncodedSample) -> None:
        """Append a sample's two members.

        Raises:
            StorageError: the disk is full, or fails.
        """
        record = sample.record
        label = record.to_json_bytes()
        audio = _member(f"{record.key}.{record.audio_suffix}", sample.audio)
        json = _member(f"{record.key}.{JSON_SUFFIX}", label)
        audio_offset = self.num_bytes + len(audio[0])
        json_offset = self.num_bytes + sum(map(len, audio)) + len(json[0])
        self._file.append(b"".join((*audio, *json)))
        self._num_samples_by_rate[record.sample_rate_hz] += record.num_samples
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
                pcm_hash=pcm_hash(record.pcm_sha256),
                targets=index_values(record.targets, record.target_ids),
            )
        )

    def close(self) -> str:
        """Write the end of the archive; return the SHA-256 of the whole file in hexadecimal."""
        self._file.append(_END + bytes(-(self.num_bytes + len(_END)) % tarfile.RECORDSIZE))
        self._file.close()
        return self._file.hexdigest()

    def discard(self) -> None:
        """Close and remove the file."""
        with contextlib.suppress(OSError):  # on a full disk, closing fails as writing did
            self._file.close()
        self.path.unlink(missing_ok=True)


def _member(name: str, data: bytes) -> tuple[bytes, bytes, bytes]:
    """Return a member's header, data and padding."""
    return _header(name, len(data)), data, bytes(-len(data) % _BLOCK_BYTES)


def _header(name: str, num_bytes: int) -> bytes:
    """Return a member's header; its fields are in POSIX.1-1988, "ustar Interchange Format".

    A name over 100 bytes, as the longest keys have with the suffix of features, stands in a pax
    header before it (POSIX.1-2001).
    """
    ascii_name = name.encode("ascii")
    if not ascii_name or not 0 <= num_bytes < _MAX_NUM_BYTES:
        raise ValueError(f"no ustar header holds {name!r} of {num_bytes} bytes")
    if len(ascii_name) > _NAME.stop:
        member = tarfile.TarInfo(name)
        member.size, member.mode = num_bytes, 0o644
        return member.tobuf(tarfile.PAX_FORMAT)
    header = bytearray(_blank_header())
    header[: len(ascii_name)] = ascii_name
    header[_SIZE] = b"%011o\0" % num_bytes
    header[_CHECKSUM] = b"%06o\0 " % sum(header)
    return bytes(header)


@functools.cache
def _blank_header() -> bytes:
    """Return a header without name and size, and spaces for the sum, as it is summed with them."""
    member = tarfile.TarInfo("")  # owner 0 without a name, time 0: nothing of this machine
    member.mode = 0o644
    header = bytearray(member.tobuf(tarfile.USTAR_FORMAT))
    header[_SIZE] = bytes(12)
    header[_CHECKSUM] = b" " * 8
    return bytes(header)


def read_members(data: bytes, *, where: str) -> Iterator[Member]:
    """Yield the members of a shard of ours that lies in memory; see `stream_members`."""
    return stream_members(io.BytesIO(data), num_bytes=len(data), where=where)


def stream_members(source: ByteSource, *, num_bytes: int, where: str) -> Iterator[Member]:
    """Yield the members of a shard of ours in order, and check that the archive is whole.

    Args:
        source: The tar's bytes, read once from front to back.
        num_bytes: Its length.
        where: The shard, for messages.

    Raises:
        ShardFormatError: not a tar, cut, a member that is no plain file, an unsafe name, or one
            that is there twice.
    """
    reader = TarReader(source, num_bytes=num_bytes, where=where)
    for member in reader:
        yield Member(name=member.name, offset=member.offset, data=reader.data())


@contextlib.contextmanager
def _reporting(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise StorageError(
            f"{path}: {err.strerror}; what is published is whole: free some space or mend the "
            "disk, and run the same command again, it goes on from there"
        ) from err


class _HashingFile:
    """A file that is only appended to, hashed as it is written; failures are `StorageError`s.

    It is unbuffered, so that closing it after a failure does not try to write once more.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with _reporting(path):
            self._file = path.open("wb", buffering=0)
        self._hash = hashlib.sha256()
        self.num_bytes = 0

    def append(self, data: bytes) -> None:
        left = memoryview(data)
        with _reporting(self._path):
            while left:
                left = left[self._file.write(left) :]
        self._hash.update(data)
        self.num_bytes += len(data)

    def close(self) -> None:
        with _reporting(self._path):
            self._file.close()

    def hexdigest(self) -> str:
        return self._hash.hexdigest()

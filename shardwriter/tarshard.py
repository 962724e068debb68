"""One shard as a tar: POSIX ustar, byte for byte a function of its members and their order.

Python's own `tarfile` writes it. webdataset's TarWriter would do as well, but carries a time
stamp and a user name by default and buys nothing here.
"""

import contextlib
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

_HEADER_BYTES = tarfile.BLOCKSIZE


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
        self._tar = tarfile.open(  # noqa: SIM115  # closed in close() and discard()
            fileobj=self._file, mode="w", format=tarfile.USTAR_FORMAT
        )

    @property
    def num_bytes(self) -> int:
        """Bytes so far, without the end of the archive."""
        return self._tar.offset

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
        audio_offset = self._append(f"{record.key}.{record.audio_suffix}", sample.audio)
        json_offset = self._append(f"{record.key}.{JSON_SUFFIX}", label)
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


class _HashingFile(io.RawIOBase):
    """A file that is only appended to, hashed as it is written; failures are `StorageError`s.

    It is unbuffered, so that closing it after a failure does not try to write once more.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        with _reporting(path):
            self._file = path.open("wb", buffering=0)
        self._hash = hashlib.sha256()
        self._num_bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # tarfile writes bytes only
        left = memoryview(data)
        with _reporting(self._path):
            while left:
                left = left[self._file.write(left) :]
        self._hash.update(data)
        self._num_bytes += len(data)
        return len(data)

    def tell(self) -> int:
        return self._num_bytes

    def close(self) -> None:
        try:
            with _reporting(self._path):
                self._file.close()
        finally:
            super().close()

    def hexdigest(self) -> str:
        return self._hash.hexdigest()

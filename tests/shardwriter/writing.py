"""Writers that end well or badly, and what is read of what they wrote."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from shardwriter import CleanClip, SampleRecord, ShardWriter
from shardwriter.errors import StorageError
from shardwriter.index import read_idx
from shardwriter.storage import LocalStore
from shardwriter.tarshard import read_members
from tests.audio import decoded
from tests.shardwriter.builders import SETTINGS


class UserCodeError(Exception):
    """What goes wrong in the user's own code."""


class FailingStore(LocalStore):
    """A store whose n-th publication fails, as a full disk or a lost connection would."""

    def __init__(self, root: Path, *, fail_at: int) -> None:
        super().__init__(root)
        self.num_left = fail_at

    def put(self, name: str, data: bytes, *, replace: bool = False) -> None:
        self._count(name)
        super().put(name, data, replace=replace)

    def put_file(self, name: str, path: Path) -> None:
        self._count(name)
        super().put_file(name, path)

    def _count(self, name: str) -> None:
        self.num_left -= 1
        if self.num_left == 0:
            raise StorageError(f"{name}: No space left on device")


def writer_on(target: Path | LocalStore) -> ShardWriter:
    store = target if isinstance(target, LocalStore) else str(target)
    return ShardWriter(store, SETTINGS, max_samples_per_shard=3)


def write_all(writer: ShardWriter, clips: Iterable[CleanClip]) -> None:
    with writer:
        for clip in clips:
            writer.write_clip(clip)


def write_and_fail(writer: ShardWriter, clips: Iterable[CleanClip]) -> None:
    """Write clips, then leave the block by an exception."""
    with contextlib.suppress(UserCodeError), writer:
        for clip in clips:
            writer.write_clip(clip)
        raise UserCodeError


def read_split(folder: Path, split: str) -> Iterator[tuple[SampleRecord, np.ndarray]]:
    """The samples of a split, in order, without the indexes."""
    for tar in sorted((folder / split).glob("*.tar")):
        members = list(read_members(tar.read_bytes(), where=str(tar)))
        for audio, label in zip(members[::2], members[1::2], strict=True):
            yield SampleRecord.from_json_bytes(label.data, where=label.name), decoded(audio.data)[0]


def shard_keys(folder: Path) -> dict[str, list[str]]:
    return {
        path.relative_to(folder).as_posix(): read_idx(path.read_bytes(), where=str(path))
        .column("key")
        .to_pylist()
        for path in sorted(folder.rglob("*.idx"))
    }

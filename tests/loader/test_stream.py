import contextlib
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from loader.dataset import DatasetIndex, open_dataset
from loader.resampling_buffer import PlannedStep, Source
from loader.step_reader import StepReader
from loader.stream import SampleReader
from loader.stripe import StepPlan
from shardwriter.errors import ShardFormatError, StorageError
from shardwriter.storage import LocalStore, Store, open_store
from tests.loader.builders import NUM_CLIPS, clip_key


class FarStore:
    """A store that is not a local folder, as far as the loader can see."""

    def __init__(self, near: Store) -> None:
        self._near = near
        self.num_reads = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._near, name)

    def read_range(self, name: str, start: int, num_bytes: int) -> bytes:
        self.num_reads += 1
        return self._near.read_range(name, start, num_bytes)


def make_reader(
    store: Store, *, max_open_shards: int = 2, verify_checksums: bool = True
) -> tuple[SampleReader, DatasetIndex]:
    index = open_dataset(store, split="train", folds=None)
    reader = SampleReader(index, max_open_shards=max_open_shards, verify_checksums=verify_checksums)
    return reader, index


def step_reader(reader: SampleReader, *, rows: list[int]) -> StepReader:
    zeros_B = np.zeros(len(rows), np.int64)
    plan = StepPlan(rows_B=np.array(rows), copies_B=zeros_B, is_padding_B=zeros_B.astype(np.bool_))
    step = PlannedStep(plan=plan, sources=[Source()] * len(rows))
    with contextlib.ExitStack() as on_end:
        [(_, made)] = reader.read_ahead([step], order_N=plan.rows_B, on_end=on_end)
    assert np.array_equal(made.num_bytes_B, reader._index.audio_num_bytes_N[rows])
    return made


def read_part(places: StepReader, place: int) -> np.ndarray | None:
    """All bytes of a place; None where they can't be read."""
    at, num_bytes = np.array([place]), places.num_bytes_B[[place]]
    room = np.zeros(int(num_bytes[0]), np.uint8)
    (is_read,) = places.read_parts(at, np.zeros(1, np.int64), num_bytes, room)
    return room if is_read else None


def audio_of(store: Store, index: DatasetIndex, row: int) -> bytes:
    data = store.read(index.tars[index.shard_N[row]])
    start = int(index.audio_offset_N[row])
    return data[start : start + int(index.audio_num_bytes_N[row])]


def num_open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - one count, no paths wanted


def test_many_threads_read_every_sample_with_few_files_open(dataset_url: str) -> None:
    store = open_store(dataset_url)
    reader, index = make_reader(store, max_open_shards=2)
    rows = [row * 7 % NUM_CLIPS for row in range(40 * NUM_CLIPS)]
    num_before = num_open_files()
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(reader.read, rows))
    assert num_open_files() <= num_before + 2
    expected = [audio_of(store, index, row) for row in range(NUM_CLIPS)]
    assert read == [expected[row] for row in rows]
    assert len(read) == 40 * NUM_CLIPS


def test_reader_closes_its_files_when_it_goes(dataset_url: str) -> None:
    num_before = num_open_files()
    reader, _ = make_reader(open_store(dataset_url))
    reader.read(0)
    assert num_open_files() == num_before + 1
    del reader
    assert num_open_files() == num_before


def test_other_stores_are_read_by_range(dataset_url: str) -> None:
    store = FarStore(open_store(dataset_url))
    reader, index = make_reader(store)
    assert reader.read(20) == audio_of(store, index, 20)
    assert store.num_reads == 1


def test_flipped_bit_is_an_error_that_names_shard_key_offset_and_checksums(
    own_dataset_url: str,
) -> None:
    store = open_store(own_dataset_url)
    assert isinstance(store, LocalStore)
    reader, index = make_reader(store)
    offset = int(index.audio_offset_N[4])
    path = store.path(index.tars[1])
    data = bytearray(path.read_bytes())
    data[offset + 60] ^= 1
    path.write_bytes(data)
    message = (
        rf"train/made-000001\.tar: sample {re.escape(clip_key(4))}, audio at byte {offset}: "
        rf"expected \d+ bytes with CRC-32C {index.audio_crc32c_N[4]:08x}, got [0-9a-f]{{8}}"
    )
    with pytest.raises(ShardFormatError, match=message):
        reader.read(4)
    assert reader.read(3)
    unchecked, _ = make_reader(store, verify_checksums=False)
    assert unchecked.read(4) == bytes(data[offset : offset + int(index.audio_num_bytes_N[4])])


@pytest.mark.parametrize("is_far", [False, True])
@pytest.mark.parametrize("num_left", [10, 0, -5000])
def test_cut_off_shard_is_an_error_that_names_shard_key_offset_and_lengths(
    own_dataset_url: str, is_far: bool, num_left: int
) -> None:
    near = open_store(own_dataset_url)
    assert isinstance(near, LocalStore)
    reader, index = make_reader(FarStore(near) if is_far else near, verify_checksums=False)
    offset, num_bytes = int(index.audio_offset_N[5]), int(index.audio_num_bytes_N[5])
    path = near.path(index.tars[1])
    length = max(0, offset + num_left)
    os.truncate(path, length)
    message = (
        rf"made-000001\.tar: sample {re.escape(clip_key(5))}, audio at byte {offset}: "
        rf"expected {num_bytes} bytes, got {max(0, num_left)}: the shard is cut off, "
        rf"it has {length} bytes"
    )
    with pytest.raises(ShardFormatError, match=message):
        reader.read(5)


@pytest.mark.parametrize("num_left", [10, 0, -5000])
def test_cut_off_shard_gives_no_part_and_the_same_error_when_it_is_read_again(
    own_dataset_url: str, num_left: int
) -> None:
    near = open_store(own_dataset_url)
    assert isinstance(near, LocalStore)
    reader, index = make_reader(near, verify_checksums=False)
    num_bytes = int(index.audio_num_bytes_N[5])
    places = step_reader(reader, rows=[4, 5])
    room = read_part(places, 1)
    assert room is not None
    assert room.tobytes() == audio_of(near, index, 5)
    os.truncate(near.path(index.tars[1]), max(0, int(index.audio_offset_N[5]) + num_left))
    assert read_part(places, 1) is None
    message = rf"{re.escape(clip_key(5))}.*expected {num_bytes} bytes, got {max(0, num_left)}: the"
    with pytest.raises(ShardFormatError, match=message):
        places.read_again(1)


def test_flipped_bit_is_noticed_in_a_part_and_the_same_error_when_it_is_read_again(
    own_dataset_url: str,
) -> None:
    store = open_store(own_dataset_url)
    assert isinstance(store, LocalStore)
    reader, index = make_reader(store)
    path = store.path(index.tars[1])
    sound = path.read_bytes()
    data = bytearray(sound)
    data[int(index.audio_offset_N[4]) + 60] ^= 1
    places = step_reader(reader, rows=[4])
    for content, is_whole in ((sound, True), (data, False)):
        path.write_bytes(content)
        got = read_part(places, 0)
        assert got is not None
        assert places.is_whole(0, got) == is_whole
    message = (
        rf"{re.escape(clip_key(4))}.* CRC-32C {index.audio_crc32c_N[4]:08x}, got [0-9a-f]{{8}}"
    )
    with pytest.raises(ShardFormatError, match=message):
        places.read_again(0)


def test_missing_shard_is_an_error_that_names_it(own_dataset_url: str) -> None:
    reader, index = make_reader(open_store(own_dataset_url))
    Path(own_dataset_url, index.tars[1]).unlink()
    with pytest.raises(StorageError, match=r"train/made-000001\.tar: No such file"):
        reader.read(4)
    places = step_reader(reader, rows=[4])
    assert read_part(places, 0) is None
    with pytest.raises(StorageError, match=rf"{re.escape(clip_key(4))}.*000001\.tar: No such file"):
        places.read_again(0)

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.file_reads_kernel import read_files

CONTENT = bytes(range(256)) * 8


def read(path: Path, reads: list[tuple[int, int]], *, room_bytes: int) -> tuple[list[int], bytes]:
    room = np.full(room_bytes, 0xEE, np.uint8)
    counts = np.full(len(reads), -1, np.int64)
    with path.open("rb") as file:
        table = [(file.fileno(), start, num_bytes) for start, num_bytes in reads]
        read_files(room, np.array(table, np.int64), counts)
    return counts.tolist(), room.tobytes()


@settings(deadline=None)  # the first call loads what is compiled
@given(
    reads=st.lists(
        st.tuples(st.integers(0, len(CONTENT) - 1), st.integers(0, 300)), min_size=1, max_size=20
    )
)
def test_reads_lie_one_behind_the_other_as_pread_gives_them(
    tmp_path_factory: pytest.TempPathFactory, reads: list[tuple[int, int]]
) -> None:
    path = tmp_path_factory.mktemp("reads") / "shard"
    path.write_bytes(CONTENT)
    total = sum(num_bytes for _, num_bytes in reads)
    counts, room = read(path, reads, room_bytes=total + 8)
    at = 0
    for (start, num_bytes), count in zip(reads, counts, strict=True):
        expected = CONTENT[start : start + num_bytes]
        assert (count, room[at : at + count]) == (len(expected), expected)
        at += num_bytes
    assert room[total:] == b"\xee" * 8


def test_what_the_room_has_no_place_for_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "shard"
    path.write_bytes(CONTENT)
    for num_bytes in (61, 1 << 62, -1):
        counts, room = read(path, [(0, 40), (40, num_bytes), (0, 1)], room_bytes=100)
        assert counts == [40, -1, -1]
        assert room == CONTENT[:40] + b"\xee" * 60


def test_a_file_that_is_closed_or_short_gives_no_bytes_and_harms_no_other(tmp_path: Path) -> None:
    path = tmp_path / "shard"
    path.write_bytes(CONTENT)
    room, counts = np.full(30, 0xEE, np.uint8), np.full(3, -1, np.int64)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        table = [(-1, 0, 10), (descriptor, len(CONTENT) - 4, 10), (descriptor, 5, 10)]
        read_files(room, np.array(table, np.int64), counts)
    finally:
        os.close(descriptor)
    assert counts.tolist() == [-1, 4, 10]
    assert room.tobytes() == b"\xee" * 10 + CONTENT[-4:] + b"\xee" * 6 + CONTENT[5:15]

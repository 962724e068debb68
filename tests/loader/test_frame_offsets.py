"""Where frames begin, by the shards' `.idx`; and what happens where that is missing or wrong."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.dataset import DatasetIndex, open_dataset
from loader.encoded_clips import WHOLE
from loader.frame_offsets import FrameOffsets, FramesAhead, ShardFrames
from shardwriter.shard_names import idx_name
from shardwriter.storage import open_store
from tests.loader.builders import NUM_CLIPS, clip_pcm, make_dataset
from tests.loader.idx_edits import move_frames

MANY_BYTES = 1_000_000


def frames_of_clips(
    *offsets: list[int], num_bytes: int = MANY_BYTES, first_row: int = 0
) -> ShardFrames:
    """Clips that lie at 0, 10, 20 and so on, with one between them that isn't selected."""
    at = np.arange(len(offsets), dtype=np.int64) * 10
    return ShardFrames.of(
        slice(first_row, first_row + len(offsets)),
        at,
        np.full(len(at), num_bytes, dtype=np.int64),
        idx_audio_offsets=np.append(at, 5),
        idx_num_bytes=np.full(len(at) + 1, num_bytes, dtype=np.int64),
        frame_starts=np.cumsum([0, *map(len, offsets), 2], dtype=np.int64),
        frame_offsets=np.array(
            [offset for each in (*offsets, [42, 43]) for offset in each], dtype=np.int32
        ),
    )


class MadeUpIndex(SimpleNamespace):
    """What is asked of an index here."""

    def __len__(self) -> int:
        return len(self.shard_N)


def offsets_with(
    *shards: ShardFrames | None, num_samples: int = 100, num_bytes: int = MANY_BYTES
) -> FrameOffsets:
    """What finds frames of clips that are all as long and as large."""
    num_rows = 1 + max(0 if frames is None else frames.rows.stop for frames in shards)
    index: Any = MadeUpIndex(
        shard_N=np.zeros(num_rows, np.int32),
        tars=("a.tar",),
        features=None,
        num_samples_N=np.full(num_rows, num_samples),
        audio_num_bytes_N=np.full(num_rows, num_bytes),
    )
    offsets = FrameOffsets(index, max_shards=9)
    for shard, frames in enumerate(shards):
        offsets._add(shard, frames)
    return offsets


def find(
    frames: ShardFrames | None,
    clip: int,
    num_samples: int,
    start: int,
    stop: int,
    *,
    num_bytes: int = MANY_BYTES,
) -> tuple[int, int, int, int] | None:
    """Return numbers and bytes of a clip's frames; None where all of it is to be read."""
    offsets = offsets_with(frames, num_samples=num_samples, num_bytes=num_bytes)
    found = offsets.find(np.array([clip]), np.array([start]), np.array([stop]))
    first, last, byte_start, byte_stop = (int(each[0]) for each in found)
    if first == WHOLE:
        assert (last, byte_start, byte_stop) == (0, 0, num_bytes)
        return None
    return first, last, byte_start, byte_stop


@given(
    num_samples=st.integers(2, 200_000),
    block=st.integers(1, 70_000),
    cut=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_the_range_holds_the_window_and_two_frames_more_at_most(
    num_samples: int, block: int, cut: tuple[float, float]
) -> None:
    num_frames = -(-num_samples // block)
    start = int(cut[0] * (num_samples - 1))
    stop = start + 1 + int(cut[1] * (num_samples - start - 1))
    frames = frames_of_clips([5, 8], list(range(42, 42 + 2 * num_frames, 2)))
    found = find(frames, 1, num_samples, start, stop)
    if num_frames < 2 or stop - start == num_samples:
        assert found is None
        return
    if found is None:  # the last frame's bytes are most of this clip's
        assert stop > (num_frames - 2) * block
        return
    first, last, byte_start, byte_stop = found
    assert 0 <= first <= num_frames - 2
    assert first * block <= start
    assert last == num_frames or stop <= last * block
    assert first >= min(start // block, num_frames - 2) - 1
    assert last <= (stop - 1) // block + 2
    assert byte_start == 42 + 2 * first
    assert byte_stop == (MANY_BYTES if last == num_frames else 42 + 2 * last)


def test_a_clip_is_read_whole_where_that_takes_little_more() -> None:
    offsets = [100 * frame for frame in range(1000)]
    frames = frames_of_clips(offsets, num_bytes=100_000)
    assert find(frames, 0, 64_000, 0, 600 * 64, num_bytes=100_000) is not None
    assert find(frames, 0, 64_000, 0, 601 * 64, num_bytes=100_000) is None
    short = frames_of_clips(offsets[:300], num_bytes=30_000)
    assert find(short, 0, 19_200, 0, 64, num_bytes=30_000) is None


def test_a_clip_without_offsets_that_fit_is_read_whole() -> None:
    frames = frames_of_clips([42, 90, 200], [], [42], [42, 50_000])
    assert find(frames, 0, 100, 0, 5) is not None
    assert find(frames, 4, 100, 0, 5) is None  # a row of another shard
    for clip in (1, 2):
        assert find(frames, clip, 100, 0, 5) is None
    for num_samples in (1, 2):  # fewer than there are frames
        assert find(frames, 0, num_samples, 0, 1) is None
    for num_samples in (3, 5):
        assert find(frames, 0, num_samples, 0, 1) == (0, 1, 42, 90)


@pytest.mark.parametrize(("at", "num_bytes"), [(7, MANY_BYTES), (99, MANY_BYTES), (10, 999)])
def test_a_clip_that_the_shard_s_index_has_elsewhere_or_otherwise_is_read_whole(
    at: int, num_bytes: int
) -> None:
    frames = ShardFrames.of(
        slice(0, 2),
        np.array([0, at]),
        np.array([MANY_BYTES, num_bytes]),
        idx_audio_offsets=np.array([10, 0]),
        idx_num_bytes=np.array([MANY_BYTES, MANY_BYTES]),
        frame_starts=np.array([0, 3, 6]),
        frame_offsets=np.array([42, 90, 200, 43, 91, 201], np.int32),
    )
    assert find(frames, 0, 100, 0, 5) == (0, 1, 43, 91)
    assert find(frames, 1, 100, 0, 5, num_bytes=num_bytes) is None


def test_clips_of_several_shards_are_found_together_as_alone() -> None:
    offsets = offsets_with(
        frames_of_clips([42, 90, 200], [50, 60, 70, 80]),
        None,
        frames_of_clips([44, 77, 99], first_row=5),
    )
    rows = [1, 0, 2, 4, 5, 1]
    found = offsets.find(np.array(rows), np.full(6, 34), np.full(6, 40))
    assert np.stack(found).T.tolist() == [
        [1, 2, 60, 70],
        [0, 2, 42, 200],
        [WHOLE, 0, 0, MANY_BYTES],
        [WHOLE, 0, 0, MANY_BYTES],
        [0, 2, 44, 99],
        [1, 2, 60, 70],
    ]


@pytest.mark.parametrize(
    "offsets",
    [[42, 42, 90], [90, 42], [-1, 42], [42, MANY_BYTES], [42, 2**31 - 1], [-(2**31), 2**31 - 1]],
)
def test_offsets_that_point_elsewhere_are_refused(offsets: list[int]) -> None:
    with pytest.raises(ValueError, match="not ascending, or outside"):
        frames_of_clips([42, 99], [], offsets, [], [42])
    frames_of_clips([42, 99], [], [42, 43], [], [42])


@pytest.fixture
def url(tmp_path: Path) -> str:
    """2 shards of 10 clips and one of 3."""
    return make_dataset(tmp_path / "dataset", clips_per_shard=10)


def opened(url: str) -> DatasetIndex:
    return open_dataset(open_store(url), split="train", folds=None)


def test_frames_are_those_of_the_shard_s_own_index(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loader.frame_offsets._LEAST_SAVED_BYTES", 0)
    index = opened(url)
    offsets = FrameOffsets(index, max_shards=2)
    row = next(row for row in range(NUM_CLIPS) if len(clip_pcm(row)) > 300)
    offsets.load(int(index.shard_N[row]))
    found = offsets.find(np.array([row]), np.array([70]), np.array([120]))
    assert (found.first_P[0], found.stop_P[0]) == (0, 2)
    tar = Path(url, index.tars[index.shard_N[row]]).read_bytes()
    for number, byte in ((0, found.byte_start_P[0]), (2, found.byte_stop_P[0])):
        at = int(index.audio_offset_N[row] + byte)
        assert tar[at : at + 5] == bytes([0xFF, 0xF8, 0x64, 0x08, number])


def test_few_clips_of_a_shard_are_not_worth_its_index(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    offsets = FrameOffsets(opened(url), max_shards=2)
    assert not can_be_had(offsets, 2)
    assert caplog.records == []


def can_be_had(offsets: FrameOffsets, shard: int) -> bool:
    """Whether the frames of a shard are known, once it was asked for."""
    offsets.load(shard)
    assert offsets.has(shard)
    return offsets._known.shards[shard]


def missing(path: Path) -> None:
    path.unlink()


def other(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


@pytest.mark.parametrize(
    ("damage", "message"),
    [(missing, "made-000000.idx is not there"), (other, "its SHA-256 differs")],
)
def test_without_a_sound_index_there_are_no_frames_and_one_warning(
    url: str,
    damage: Callable[[Path], None],
    message: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    index = opened(url)
    for tar in index.tars:
        damage(Path(url, idx_name(tar)))
    offsets = FrameOffsets(index, max_shards=2)
    with caplog.at_level(logging.WARNING):
        assert not any(can_be_had(offsets, shard) for shard in (0, 1, 0, 1))
    (record,) = caplog.records
    assert message in record.getMessage()
    assert "crops are read out of whole clips" in record.getMessage()


def test_a_shard_s_index_with_wrong_offsets_is_not_used(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    index = move_frames(url, opened(url), lambda row: row[::-1])
    offsets = FrameOffsets(index, max_shards=2)
    assert not can_be_had(offsets, 0)
    assert "not ascending" in caplog.text
    assert can_be_had(offsets, 1)


@pytest.fixture
def ten_shards(tmp_path: Path) -> DatasetIndex:
    return opened(make_dataset(tmp_path / "many", num_clips=80, clips_per_shard=8))


def room_for(index: DatasetIndex, num_shards: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first shards' offsets have place, and no more."""
    offsets = FrameOffsets(index, max_shards=1)
    assert all(can_be_had(offsets, shard) for shard in range(num_shards))
    monkeypatch.setattr("loader.frame_offsets._MAX_BYTES", 4 * (offsets._known.num_used + 1))


def first_crops(offsets: FrameOffsets, shard: int) -> list[bool]:
    """Whether a part is enough of each clip of a shard."""
    rows = np.arange(8 * shard, 8 * shard + 8)
    return (offsets.find(rows, rows * 0, rows * 0 + 20).first_P != WHOLE).tolist()


def test_frames_of_all_shards_stay_while_there_is_memory(
    ten_shards: DatasetIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loader.frame_offsets._LEAST_SAVED_BYTES", 0)
    offsets = FrameOffsets(ten_shards, max_shards=2)
    for shard in range(10):
        assert not offsets.has(shard)
        assert not any(first_crops(offsets, shard))
        offsets.load(shard)
        assert all(offsets.has(before) and any(first_crops(offsets, before))
                   for before in range(shard + 1))  # fmt: skip


def test_frames_are_asked_for_again_once_there_is_no_more_memory(
    ten_shards: DatasetIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loader.frame_offsets._LEAST_SAVED_BYTES", 0)
    room_for(ten_shards, 4, monkeypatch)
    offsets = FrameOffsets(ten_shards, max_shards=1)
    for shard in (0, 1, 2, 3, 2, 0, 4, 0, 5):
        assert can_be_had(offsets, shard)
        assert any(first_crops(offsets, shard))
        assert offsets._known.num_used < len(offsets._known.offsets)
    assert [offsets.has(shard) for shard in range(6)] == [True, False, False, False, True, True]
    assert not any(first_crops(offsets, 3))


def test_frames_that_were_dropped_are_fetched_ahead_again(
    ten_shards: DatasetIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_for(ten_shards, 3, monkeypatch)
    offsets = FrameOffsets(ten_shards, max_shards=1)
    ahead = FramesAhead(offsets)
    try:
        for shard in (0, 1, 2, 3, 4, 0):
            assert not offsets.has(shard)
            ahead.load(shard)
            deadline = time.monotonic() + 20
            while not offsets.has(shard):
                assert time.monotonic() < deadline
                time.sleep(0.005)
    finally:
        ahead.close()


def test_frames_of_shards_in_use_are_not_dropped_for_those_of_others(
    ten_shards: DatasetIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_for(ten_shards, 2, monkeypatch)
    offsets = FrameOffsets(ten_shards, max_shards=4)
    kept = [can_be_had(offsets, shard) for shard in range(8)]
    assert kept == [True] * 2 + [False] * 6
    assert [can_be_had(offsets, shard) for shard in range(8)] == kept
    assert can_be_had(offsets, 8)  # more than are in use at a time
    assert [offsets.has(shard) for shard in range(9)] == [False] * 8 + [True]

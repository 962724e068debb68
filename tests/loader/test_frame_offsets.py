"""Where frames begin, by the shards' `.idx`; and what happens where that is missing or wrong."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.dataset import DatasetIndex, open_dataset
from loader.frame_offsets import FrameOffsets, FramesAhead, ShardFrames
from shardwriter.shard_names import idx_name
from shardwriter.storage import open_store
from tests.loader.builders import NUM_CLIPS, clip_pcm, make_dataset
from tests.loader.idx_edits import move_frames

MANY_BYTES = 1_000_000


def frames_of_clips(*offsets: list[int], num_bytes: int = MANY_BYTES) -> ShardFrames:
    """Clips that lie at 0, 10, 20 and so on."""
    return ShardFrames(
        np.arange(len(offsets), dtype=np.int64) * 10,
        np.full(len(offsets), num_bytes, dtype=np.int64),
        np.cumsum([0, *map(len, offsets)], dtype=np.int64),
        np.array([offset for each in offsets for offset in each], dtype=np.int32),
    )


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
    found = frames.find(10, MANY_BYTES, num_samples, start, stop)
    if num_frames < 2:
        assert found is None
        return
    if found is None:  # the last frame's bytes are most of this clip's
        assert stop > (num_frames - 2) * block
        return
    assert 0 <= found.first <= num_frames - 2
    assert found.first * block <= start
    assert found.stop == num_frames or stop <= found.stop * block
    assert found.first >= min(start // block, num_frames - 2) - 1
    assert found.stop <= (stop - 1) // block + 2
    assert found.byte_start == 42 + 2 * found.first
    assert found.byte_stop == 42 + 2 * found.stop
    assert found.num_bytes == 2 * (found.stop - found.first)


def test_a_clip_is_read_whole_where_that_takes_little_more() -> None:
    offsets = [100 * frame for frame in range(1000)]
    frames = frames_of_clips(offsets, num_bytes=100_000)
    assert frames.find(0, 100_000, 64_000, 0, 600 * 64) is not None
    assert frames.find(0, 100_000, 64_000, 0, 601 * 64) is None
    assert frames_of_clips(offsets[:300], num_bytes=30_000).find(0, 30_000, 19_200, 0, 64) is None


def test_a_clip_without_offsets_that_fit_is_read_whole() -> None:
    frames = frames_of_clips([42, 90, 200], [], [42], [42, 50_000])
    assert frames.find(0, MANY_BYTES, 100, 0, 5) is not None
    assert frames.find(0, MANY_BYTES - 1, 100, 0, 5) is None
    assert frames.find(5, MANY_BYTES, 100, 0, 5) is None  # no clip begins there
    assert frames.find(10, MANY_BYTES, 100, 0, 5) is None
    assert frames.find(20, MANY_BYTES, 100, 0, 5) is None
    for num_samples in (1, 2):  # fewer than there are frames
        assert frames.find(0, MANY_BYTES, num_samples, 0, 1) is None
    for num_samples in (3, 5):
        assert frames.find(0, MANY_BYTES, num_samples, 0, 1) == (0, 1, 42, 90)


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
    frames = offsets.of_shard(int(index.shard_N[row]))
    assert frames is not None
    at, num_bytes = int(index.audio_offset_N[row]), int(index.audio_num_bytes_N[row])
    found = frames.find(at, num_bytes, int(index.num_samples_N[row]), 70, 120)
    assert found is not None
    assert (found.first, found.stop) == (0, 2)
    tar = Path(url, index.tars[index.shard_N[row]]).read_bytes()
    for number, byte in ((0, found.byte_start), (2, found.byte_stop)):
        assert tar[at + byte :][:5] == bytes([0xFF, 0xF8, 0x64, 0x08, number])


def test_few_clips_of_a_shard_are_not_worth_its_index(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    offsets = FrameOffsets(opened(url), max_shards=2)
    assert offsets.of_shard(2) is None
    assert caplog.records == []


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
        assert [offsets.of_shard(shard) for shard in (0, 1, 0, 1)] == [None] * 4
    (record,) = caplog.records
    assert message in record.getMessage()
    assert "crops are read out of whole clips" in record.getMessage()


def test_a_shard_s_index_with_wrong_offsets_is_not_used(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    index = move_frames(url, opened(url), lambda row: row[::-1])
    offsets = FrameOffsets(index, max_shards=2)
    assert offsets.of_shard(0) is None
    assert "not ascending" in caplog.text
    assert offsets.of_shard(1) is not None


@pytest.fixture
def ten_shards(tmp_path: Path) -> DatasetIndex:
    return opened(make_dataset(tmp_path / "many", num_clips=80, clips_per_shard=8))


def sizes(index: DatasetIndex) -> list[int]:
    offsets = FrameOffsets(index, max_shards=1)
    return [frames.num_bytes for frames in map(offsets.of_shard, range(10)) if frames is not None]


def test_frames_of_all_shards_stay_while_there_is_memory(ten_shards: DatasetIndex) -> None:
    offsets = FrameOffsets(ten_shards, max_shards=2)
    kept = [offsets.of_shard(shard) for shard in range(10)]
    assert None not in kept
    assert all(offsets.of_shard(shard) is kept[shard] for shard in range(10))
    assert all(offsets.found(shard) is kept[shard] for shard in range(10))


def test_frames_that_were_asked_for_longest_ago_make_room(
    ten_shards: DatasetIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    max_bytes = sum(sizes(ten_shards)[:6])
    monkeypatch.setattr("loader.frame_offsets._MAX_BYTES", max_bytes)
    offsets = FrameOffsets(ten_shards, max_shards=1)
    for shard in (0, 1, 2, 3, 4, 5, 0, 1, 6, 7):
        assert offsets.of_shard(shard) is not None
        assert offsets._num_bytes == sum(
            frames.num_bytes for frames in offsets._shards.values() if frames is not None
        )
        assert offsets._num_bytes <= max_bytes
    assert all(offsets.found(shard) is not None for shard in (0, 1, 6, 7))
    for dropped in (2, 3):
        with pytest.raises(KeyError):
            offsets.found(dropped)


def test_frames_that_were_dropped_are_fetched_ahead_again(
    ten_shards: DatasetIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loader.frame_offsets._MAX_BYTES", sum(sizes(ten_shards)[:3]))
    offsets = FrameOffsets(ten_shards, max_shards=1)
    ahead = FramesAhead(offsets)
    try:
        for shard in (0, 1, 2, 3, 4, 0):
            assert ahead.of_shard(shard) is None
            deadline = time.monotonic() + 20
            while ahead.of_shard(shard) is None:
                assert time.monotonic() < deadline
                time.sleep(0.005)
    finally:
        ahead.close()


def test_frames_of_shards_in_use_are_not_dropped_for_those_of_others(
    ten_shards: DatasetIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loader.frame_offsets._MAX_BYTES", sum(sizes(ten_shards)[:2]))
    offsets = FrameOffsets(ten_shards, max_shards=4)
    kept = [offsets.of_shard(shard) for shard in range(8)]
    assert [frames is None for frames in kept] == [False] * 2 + [True] * 6
    assert all(offsets.of_shard(shard) is kept[shard] for shard in range(8))

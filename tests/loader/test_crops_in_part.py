"""Crops of which only some frames are read: the same batches, and the same errors."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import InverseFrequency, ShardLoader
from loader.flac_decoder import wait_until_ready
from shardwriter.errors import ErrorBudgetError, ShardFormatError
from shardwriter.index import read_idx
from shardwriter.keys import to_key
from shardwriter.shard_names import idx_name
from tests.loader.builders import alive_threads_after_waiting, rows_by_content
from tests.loader.crop_builders import (
    CROP_SAMPLES,
    NUM_CLIPS,
    clip_pcm,
    loader_of,
    make_long_clips,
    whole_num_bytes,
    without_idx,
)
from tests.loader.idx_edits import move_all_frames


@pytest.fixture(scope="module", autouse=True)
def _ready() -> None:
    wait_until_ready()  # until then clips are read whole


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_long_clips(tmp_path_factory.mktemp("crops"))


@pytest.fixture
def own_url(tmp_path: Path) -> str:
    return make_long_clips(tmp_path / "own")


def num_bytes_read(loader: ShardLoader) -> int:
    return loader.stats().reader.num_bytes_local


@pytest.mark.parametrize("crop", ["random", "start", "center"])
@pytest.mark.parametrize("num_threads", [1, 3])
def test_batches_are_the_same_and_take_a_third_of_the_bytes(
    url: str, own_url: str, crop: str, num_threads: int
) -> None:
    in_part = loader_of(url, crop=crop, num_threads=num_threads)
    whole = loader_of(without_idx(own_url), crop=crop, num_threads=num_threads)
    for _ in range(2):
        assert rows_by_content(in_part) == rows_by_content(whole)
    assert num_bytes_read(whole) == 2 * whole_num_bytes(whole)
    assert 0.1 < num_bytes_read(in_part) / num_bytes_read(whole) < 0.35
    assert in_part.stats().num_encoded_bytes == num_bytes_read(in_part)
    assert in_part.stats().reader.num_retries == 0
    assert alive_threads_after_waiting() == []


def test_windows_are_those_of_the_source(url: str) -> None:
    sources = {to_key(f"made/{number:03d}"): clip_pcm(number) for number in range(NUM_CLIPS)}
    num_found = 0
    for batch in loader_of(url):
        for key, wave_T in zip(batch.keys, batch.wave_BT.numpy(), strict=True):
            windows = np.lib.stride_tricks.sliding_window_view(sources[key], CROP_SAMPLES)
            (starts,) = (windows[:, ::701] == wave_T[::701]).all(axis=1).nonzero()
            num_found += any(np.array_equal(windows[start], wave_T) for start in starts)
    assert num_found == NUM_CLIPS


def test_crops_of_most_of_a_clip_and_other_codecs_are_read_whole(url: str, tmp_path: Path) -> None:
    for loader in (
        loader_of(url, crop_seconds=7),
        loader_of(make_long_clips(tmp_path / "wav", codec="wav")),
    ):
        assert len(rows_by_content(loader)) == NUM_CLIPS
        assert num_bytes_read(loader) == whole_num_bytes(loader)


def test_clips_that_are_kept_for_their_next_copy_are_read_whole(url: str, own_url: str) -> None:
    settings: dict[str, Any] = {"balance": InverseFrequency(), "min_spread": 4}
    kept = loader_of(url, **settings)
    read_each_time = loader_of(url, **settings, resampling_buffer_bytes=0)
    whole = loader_of(without_idx(own_url), **settings)
    expected = rows_by_content(whole)
    assert rows_by_content(kept) == expected
    assert rows_by_content(read_each_time) == expected
    assert kept.stats().buffer.num_hits > 0
    assert num_bytes_read(read_each_time) < num_bytes_read(kept) < num_bytes_read(whole)


def damage(loader: ShardLoader, row: int, at: float) -> str:
    """Change a byte at a share of a clip's audio; return the key."""
    return damage_byte(loader, row, int(loader.index.audio_num_bytes_N[row] * at))


def damage_byte(loader: ShardLoader, row: int, at: int) -> str:
    index = loader.index
    path = Path(index.stores[0].url, index.tars[index.shard_N[row]])
    data = bytearray(path.read_bytes())
    data[int(index.audio_offset_N[row]) + at] ^= 0x10
    path.write_bytes(data)
    return str(index.keys[row])


def test_damage_in_a_crop_is_the_error_of_the_whole_clip(own_url: str) -> None:
    loader = loader_of(own_url, crop="start")
    key, crc32c = damage(loader, 4, 0.15), int(loader.index.audio_crc32c_N[4])
    message = (
        rf"made-000000\.tar: sample {re.escape(key)}, audio at byte \d+: expected \d+ bytes with "
        rf"CRC-32C {crc32c:08x}, got [0-9a-f]{{8}}"
    )
    with pytest.raises(ShardFormatError, match=message):
        list(loader)
    assert loader.stats().reader.num_retries == 1


def test_damage_outside_of_a_crop_goes_unread(own_url: str) -> None:
    loader = loader_of(own_url, crop="start")
    expected = rows_by_content(loader)
    damage(loader, 4, 0.9)
    assert rows_by_content(loader_of(own_url, crop="start")) == expected
    with pytest.raises(ShardFormatError, match="CRC-32C"):
        list(loader_of(own_url, crop_seconds=None))


def test_a_budget_replaces_clips_that_are_damaged_in_their_crop(own_url: str) -> None:
    loader = loader_of(own_url, crop="start", error_budget=2)
    keys = {damage(loader, row, 0.15) for row in (4, 9)}
    batches = list(loader)
    assert len(batches) == NUM_CLIPS // 4
    assert sum(int(batch.is_padding_B.sum()) for batch in batches) == 2
    assert {sample.key for sample in loader.quarantine()} == keys
    assert {sample.reason for sample in loader.quarantine()} == {"damaged"}
    with pytest.raises(ErrorBudgetError):
        list(loader_of(own_url, crop="start", error_budget=1))


@pytest.mark.parametrize("has_budget", [False, True])
def test_a_cut_off_shard_is_the_error_of_the_whole_clip(own_url: str, has_budget: bool) -> None:
    loader = loader_of(own_url, error_budget=8 if has_budget else 0)
    path = Path(own_url, loader.index.tars[1])
    path.write_bytes(path.read_bytes()[: int(loader.index.audio_offset_N[13]) + 9])
    if has_budget:
        assert sum(int(batch.is_padding_B.sum()) for batch in loader) == 3
        message = loader.quarantine()[0].message
    else:
        with pytest.raises(ShardFormatError) as caught:
            list(loader)
        message = str(caught.value)
    assert re.search(r"made-000001\.tar: sample .* the shard is cut off, it has \d+ bytes", message)


@pytest.mark.parametrize(
    ("move", "is_believed"),
    [
        (lambda row: [offset + 1 for offset in row], True),
        (lambda row: row[1:], True),
        (lambda row: row[::2], True),
        (lambda row: list(range(len(row))), True),
        (lambda row: [0, *row], True),
        (lambda row: [42, row[-1]], False),  # a part of two frames is most of a clip
    ],
)
def test_wrong_offsets_change_no_batch(
    url: str, own_url: str, move: Callable[[list[int]], list[int]], is_believed: bool
) -> None:
    move_all_frames(own_url, loader_of(own_url).index, move)
    wrong = loader_of(own_url)
    assert rows_by_content(wrong) == rows_by_content(loader_of(url))
    assert (wrong.stats().reader.num_retries > 0) == is_believed


def test_a_pass_that_goes_on_elsewhere_has_the_rest_of_the_batches(url: str, own_url: str) -> None:
    loader = loader_of(url)
    expected = rows_by_content(loader_of(url))
    batches = iter(loader)
    first = [next(batches) for _ in range(2)]
    state = loader.state_dict()
    other = loader_of(without_idx(own_url), num_threads=1)
    other.load_state_dict(state)
    assert rows_by_content(first) + rows_by_content(other) == expected


def test_without_the_kernel_clips_are_read_whole(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = rows_by_content(loader_of(url))
    monkeypatch.setattr("loader.part_reader.is_ready", lambda: False)
    loader = loader_of(url)
    assert rows_by_content(loader) == expected
    assert num_bytes_read(loader) == whole_num_bytes(loader)
    monkeypatch.undo()
    monkeypatch.setattr("loader.decode.is_ready", lambda: False)
    assert rows_by_content(loader_of(url)) == expected


def test_checksums_of_frames_are_checked_or_left_out_as_asked(own_url: str) -> None:
    unchecked: dict[str, Any] = {"crop": "start", "verify_checksums": False}
    expected = rows_by_content(loader_of(own_url, **unchecked))
    index = loader_of(own_url).index
    idx = Path(own_url, idx_name(index.tars[0])).read_bytes()
    frame_offsets = read_idx(idx, where="")["frame_offsets"][4].as_py()
    damage_byte(loader_of(own_url), 4, frame_offsets[3] - 1)  # of the CRC-16 itself
    assert rows_by_content(loader_of(own_url, **unchecked)) == expected
    with pytest.raises(ShardFormatError, match="CRC-32C"):
        list(loader_of(own_url, crop="start"))

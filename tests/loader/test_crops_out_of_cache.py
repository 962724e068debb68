"""Crops of which only some frames are read out of the node's cache."""

import errno
from pathlib import Path
from typing import Any

import pytest

from loader import ShardLoader
from loader.flac_decoder import wait_until_ready
from tests.loader.builders import alive_threads_after_waiting, rows_by_content
from tests.loader.crop_builders import (
    SECONDS,
    loader_of,
    make_long_clips,
    whole_num_bytes,
    without_idx,
)
from tests.loader.remote_folder import RemoteFolder, remote_loader


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    wait_until_ready()  # until then clips are read whole
    return make_long_clips(tmp_path_factory.mktemp("crops"))


def cached_loader(url: str, cache: Path) -> ShardLoader:
    return remote_loader(
        RemoteFolder(url), batch_size=4, crop_seconds=SECONDS, cache_dir=str(cache)
    )


def epoch_with_offsets_there(loader: ShardLoader) -> list[tuple[Any, ...]]:
    """The second epoch, for which threads have fetched the offsets of all shards."""
    list(loader)
    for shard in range(len(loader.index.tars)):
        loader._pipeline.reader._frame_offsets.load(shard)
    return rows_by_content(loader)


def test_crops_are_read_in_part_out_of_the_cache(url: str, tmp_path: Path) -> None:
    local = loader_of(url)
    list(local)
    expected = rows_by_content(local)
    loader = cached_loader(url, tmp_path / "cache")
    assert epoch_with_offsets_there(loader) == expected
    num_bytes_before = loader.stats().reader.num_bytes_cache
    list(loader)
    num_bytes = loader.stats().reader.num_bytes_cache - num_bytes_before
    assert 0.1 < num_bytes / whole_num_bytes(loader) < 0.35
    assert alive_threads_after_waiting() == []


def test_threads_fetch_the_offsets_of_cached_shards(url: str, tmp_path: Path) -> None:
    loader = cached_loader(url, tmp_path / "cache")
    offsets = loader._pipeline.reader._frame_offsets
    for _ in range(100):
        list(loader)
        if all(offsets._known.shards.get(shard) for shard in range(3)):
            break
    else:
        pytest.fail("they never came")


def test_whole_clips_ask_for_no_offsets(url: str, tmp_path: Path) -> None:
    loader = remote_loader(
        RemoteFolder(url), batch_size=4, crop_seconds=60.0, cache_dir=str(tmp_path / "cache")
    )
    for _ in range(20):
        list(loader)
    assert not any(loader._pipeline.reader._frame_offsets.has(shard) for shard in range(3))


def test_damage_in_the_cache_is_read_past(url: str, tmp_path: Path) -> None:
    local = loader_of(url)
    list(local)
    list(local)
    expected = rows_by_content(local)
    loader = cached_loader(url, tmp_path / "cache")
    epoch_with_offsets_there(loader)
    damage(tmp_path / "cache")
    assert rows_by_content(loader) == expected
    assert loader.stats().reader.num_cache_fallbacks > 0


def test_damage_in_the_cache_is_read_past_where_clips_are_read_whole(
    url: str, tmp_path: Path
) -> None:
    local = loader_of(url, crop_seconds=60.0)
    list(local)
    expected = rows_by_content(local)
    loader = remote_loader(
        RemoteFolder(url), batch_size=4, crop_seconds=60.0, cache_dir=str(tmp_path / "cache")
    )
    list(loader)
    damage(tmp_path / "cache")
    assert rows_by_content(loader) == expected
    assert loader.stats().reader.num_cache_fallbacks > 0


def test_a_cache_whose_disk_fails_is_read_past(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    local, loader = loader_of(url), cached_loader(url, tmp_path / "cache")
    list(local)
    list(loader)
    for module in ("local_shards", "read_ahead"):
        monkeypatch.setattr(f"loader.{module}.read_open", fail)
    monkeypatch.setattr("loader.part_reader.is_ready", lambda: False)  # it reads by itself
    got = rows_by_content(loader)
    assert loader.stats().reader.num_cache_fallbacks > 0
    monkeypatch.undo()
    assert got == rows_by_content(local)


def damage(cache: Path) -> None:
    """Write zeros over the shards, which the loader has open."""
    for path in cache.glob("*.tar"):
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.write(bytes(size))


def test_a_store_without_idx_files_changes_no_batch(url: str, tmp_path: Path) -> None:
    own_url = make_long_clips(tmp_path / "own")
    local, loader = loader_of(url), cached_loader(without_idx(own_url), tmp_path / "cache")
    for _ in range(2):
        assert rows_by_content(loader) == rows_by_content(local)
    assert loader.stats().reader.num_cache_fallbacks == 0

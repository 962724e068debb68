"""Datasets that are not local: the same batches, from the network, from memory or from a cache."""

import re
from pathlib import Path
from typing import Any

import pytest

from loader import ShardLoader
from loader.ranges import NetworkCost
from loader.stream import FetchSettings, SampleReader
from shardwriter.errors import ShardFormatError, StorageError, TransientStorageError
from tests.loader.builders import (
    NUM_CLIPS,
    alive_threads_after_waiting,
    make_dataset,
    make_loader,
    real_keys,
)
from tests.loader.remote_folder import RemoteFolder, remote_loader


def epochs_of(loader: ShardLoader, *, num: int = 2) -> list[tuple[tuple[str, ...], bytes]]:
    return [(batch.keys, batch.wave_BT.numpy().tobytes()) for _ in range(num) for batch in loader]


@pytest.fixture
def big_url(tmp_path: Path) -> str:
    """40 clips in 8 shards: enough in each that whole shards are cheaper."""
    return make_dataset(tmp_path / "big", num_clips=40, clips_per_shard=5)


@pytest.mark.parametrize("has_cache", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_threads": 1, "fetch_connections": 1, "fetch_memory_bytes": 1},
        {"num_threads": 4, "fetch_connections": 8, "fetch_memory_bytes": 900},
        {"open_shards": 2, "cache_bytes": 12_000},
        {"cache_bytes": 1},
        {"shuffle": False},
    ],
)
def test_batches_are_those_of_the_local_dataset(
    big_url: str, tmp_path: Path, settings: dict[str, Any], has_cache: bool
) -> None:
    cache = {"cache_dir": str(tmp_path / "cache")} if has_cache else {}
    local = {name: settings[name] for name in settings if not name.startswith(("fetch", "cache"))}
    expected = epochs_of(make_loader(big_url, tail="pad", **local))
    loader = remote_loader(RemoteFolder(big_url), **settings, **cache)
    assert epochs_of(loader) == expected
    assert loader.stats().reader.num_bytes_held == 0
    assert alive_threads_after_waiting() == []


def test_without_cache_each_clip_is_fetched_once_and_little_else(dataset_url: str) -> None:
    store = RemoteFolder(dataset_url)
    loader = remote_loader(store)
    assert len(real_keys(loader)) == NUM_CLIPS
    needed = int(loader.index.audio_num_bytes_N.sum())
    stats = loader.stats().reader
    # 24 rows in 8 steps of 3: the row that pads is fetched as well.
    assert needed < stats.num_bytes_fetched == store.num_bytes <= 1.1 * needed
    assert stats.num_requests == len(store.ranges) == NUM_CLIPS + 1
    assert stats.num_bytes_memory + stats.num_bytes_network == stats.num_bytes_fetched
    assert (stats.num_retries, stats.num_throttled, stats.num_bytes_local) == (0, 0, 0)


def test_with_a_cache_each_shard_is_downloaded_once_for_all_epochs_and_readers(
    big_url: str, tmp_path: Path
) -> None:
    store = RemoteFolder(big_url)
    loader = remote_loader(store, cache_dir=str(tmp_path / "cache"))
    epochs_of(loader, num=3)
    shards_num_bytes = sum(loader.index.tar_num_bytes)
    stats = loader.stats().reader
    assert stats.num_shards_downloaded == 8
    streamed = stats.num_bytes_memory + stats.num_bytes_network
    assert streamed <= 0.05 * 3 * int(loader.index.audio_num_bytes_N.sum())
    assert stats.num_bytes_fetched == store.num_bytes == shards_num_bytes + streamed
    other = RemoteFolder(big_url)
    assert real_keys(remote_loader(other, cache_dir=str(tmp_path / "cache")))
    assert other.ranges == []


def test_shards_of_which_little_is_needed_are_not_downloaded(big_url: str, tmp_path: Path) -> None:
    loader = remote_loader(RemoteFolder(big_url), folds=(2,), cache_dir=str(tmp_path / "cache"))
    # One clip a shard is needed: one request for it costs what the shard would.
    reader = SampleReader(
        loader.index,
        max_open_shards=4,
        verify_checksums=True,
        settings=FetchSettings(
            cache_folder=tmp_path / "cache", cost=NetworkCost(bytes_per_second=1e5)
        ),
    )
    loader._pipeline.reader = reader
    assert len(real_keys(loader)) == 8
    assert reader.stats().num_shards_downloaded == 0
    assert reader.stats().num_requests >= 8


def test_a_damaged_cache_entry_is_read_past_and_forgotten(big_url: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    expected = epochs_of(make_loader(big_url, tail="pad"), num=1)
    epochs_of(remote_loader(RemoteFolder(big_url), cache_dir=str(cache)))
    for path in cache.glob("*.tar"):
        path.write_bytes(bytes(path.stat().st_size))
    loader = remote_loader(RemoteFolder(big_url), cache_dir=str(cache))
    assert epochs_of(loader, num=1) == expected
    assert loader.stats().reader.num_cache_fallbacks >= 8
    assert list(cache.glob("*.tar")) == []


def test_a_shard_that_is_not_what_the_manifest_says_is_an_error(
    big_url: str, tmp_path: Path
) -> None:
    loader = remote_loader(
        RemoteFolder(big_url), cache_dir=str(tmp_path / "cache"), verify_checksums=False
    )
    for tar in loader.index.tars:
        path = Path(big_url, tar)
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ShardFormatError, match=r"train/made-\d+\.tar: expected \d+ bytes with SHA"):
        epochs_of(loader)
    assert alive_threads_after_waiting() == []


def test_a_full_cache_disk_falls_back_to_streaming_and_is_counted(
    big_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    expected = epochs_of(make_loader(big_url, tail="pad"))
    loader = remote_loader(RemoteFolder(big_url), cache_dir=str(tmp_path / "cache"))
    monkeypatch.setattr("loader.node_cache.os.truncate", full)
    assert epochs_of(loader) == expected
    assert loader.stats().reader.num_cache_fallbacks == 16
    said = [record.getMessage() for record in caplog.records if "no room" in record.getMessage()]
    assert len(said) == 2  # one for each epoch
    assert re.search(
        r"train/made-\d+\.tar without cache: the cache or its disk has no room for its \d+ bytes, "
        r"cache_dir='\S+/cache' with cache_bytes=\d+; give it room for 2 \* open_shards",
        said[0],
    )


def test_failures_that_pass_change_no_batch(dataset_url: str) -> None:
    store = RemoteFolder(dataset_url)
    store.problems = [TransientStorageError("reset")] * 9
    loader = remote_loader(store)
    assert epochs_of(loader) == epochs_of(make_loader(dataset_url, tail="pad"))
    assert loader.stats().reader.num_retries == 9


def test_a_failure_that_stays_names_the_sample_and_ends_all_threads(dataset_url: str) -> None:
    store = RemoteFolder(dataset_url)
    store.problems = [StorageError("denied")] * 99
    with pytest.raises(
        StorageError, match=r"train/made-\d+\.tar: sample \S+, audio at byte \d+: denied"
    ):
        epochs_of(remote_loader(store))
    assert alive_threads_after_waiting() == []


@pytest.mark.parametrize("has_cache", [False, True])
def test_leaving_a_loop_early_ends_all_threads_and_the_next_goes_on(
    dataset_url: str, tmp_path: Path, has_cache: bool
) -> None:
    cache = {"cache_dir": str(tmp_path / "cache")} if has_cache else {}
    expected = real_keys(make_loader(dataset_url, tail="pad"))
    loader = remote_loader(RemoteFolder(dataset_url), **cache)
    got: list[str] = []
    while len(got) < NUM_CLIPS:
        got += real_keys([next(iter(loader))])
    assert got == expected
    loader.close()
    assert alive_threads_after_waiting() == []

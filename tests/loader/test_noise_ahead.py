"""Remote noise is on its way before it is mixed, and is the same noise."""

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import LoaderConfig, ShardLoader, World
from loader.dataset_config import DatasetConfig
from loader.mixture import open_datasets
from loader.noise_clips import NoiseClips
from loader.stream import FetchSettings, SampleReader
from shardwriter.errors import StorageError
from shardwriter.storage import LocalStore, Part
from tests.loader.builders import alive_threads_after_waiting, interleave
from tests.loader.remote_folder import RemoteFolder
from tests.loader.test_noise import config, content, make_noise, run

ROWS = np.array([3, 1, 3, 0])


class GatedFolder(RemoteFolder):
    """A remote store that answers when it is let, and counts its answers."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.may_answer = threading.Event()
        self.asked = threading.Semaphore(0)

    def read_part(self, name: str, **request: Any) -> Part:
        self.asked.release()
        assert self.may_answer.wait(20)
        return super().read_part(name, **request)


@pytest.fixture(scope="module")
def noise_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_noise(tmp_path_factory.mktemp("noise"))


@pytest.fixture
def store(noise_url: str) -> Iterator[GatedFolder]:
    store = GatedFolder(noise_url)
    yield store
    store.may_answer.set()
    assert alive_threads_after_waiting() == []


def clips_of(store: GatedFolder, *, max_bytes: int = 1 << 20) -> NoiseClips:
    index = open_datasets([store], [DatasetConfig(url=store.url, split="train")])  # type: ignore[list-item]
    settings = FetchSettings(num_connections=4)
    reader = SampleReader(index, max_open_shards=4, verify_checksums=True, settings=settings)
    return NoiseClips(index, reader, settings=settings, max_bytes=max_bytes)


@pytest.mark.parametrize(
    "settings",
    [{}, {"num_threads": 1, "fetch_connections": 1}, {"num_threads": 4, "prefetch_batches": 1}],
)
@pytest.mark.parametrize("memory_bytes", [0, 1500, 1 << 20])
def test_remote_noise_is_the_noise_of_the_local_dataset(
    dataset_url: str, noise_url: str, settings: dict[str, Any], memory_bytes: int
) -> None:
    expected = run(dataset_url, noise=config(noise_url), batch_size=3)
    far = RemoteFolder(noise_url)
    loader = ShardLoader(
        LoaderConfig(
            url=dataset_url,
            split="train",
            batch_size=3,
            crop_seconds=0.02,
            tail="pad",
            noise=config(far.url, memory_bytes=memory_bytes),
            **settings,
        ),
        world=World(),
        noise_store=far,  # type: ignore[arg-type]
    )
    assert content(interleave([list(loader)])) == expected
    list(loader)
    if memory_bytes == 1 << 20:
        assert len(far.ranges) == len(set(far.ranges)) > 0
    assert alive_threads_after_waiting() == []


def test_what_is_announced_is_fetched_once_and_before_it_is_asked_for(store: GatedFolder) -> None:
    clips = clips_of(store)
    with contextlib.ExitStack() as on_end, ThreadPoolExecutor(1) as pool:
        clips.begin(on_end)
        clips.announce(ROWS)
        for _ in range(3):
            assert store.asked.acquire(timeout=20)
        clips.announce(ROWS)  # it is on its way already
        waiting = pool.submit(clips.get, 3)  # shares the request that is under way
        store.may_answer.set()
        data = {row: clips.get(row) for row in (3, 1, 0)}
        assert waiting.result() == data[3]
        clips.announce(ROWS)  # it is there already
        assert data == {row: clips.get(row) for row in (3, 1, 0)}
        assert len(store.ranges) == 3


def test_what_was_not_announced_is_read_at_once(store: GatedFolder) -> None:
    store.may_answer.set()
    clips = clips_of(store)
    assert clips.get(2) == clips.get(2)
    assert len(store.ranges) == 1


def test_an_error_in_fetching_ahead_is_raised_to_who_needs_the_clip(store: GatedFolder) -> None:
    clips = clips_of(store)
    with contextlib.ExitStack() as on_end:
        clips.begin(on_end)
        store.problems = [StorageError("it burns")] * 9
        clips.announce(np.array([1]))
        assert store.asked.acquire(timeout=20)
        store.may_answer.set()
        with pytest.raises(StorageError, match="it burns"):
            clips.get(1)


def test_the_end_of_a_pass_frees_who_waits(store: GatedFolder) -> None:
    clips = clips_of(store)
    with contextlib.ExitStack() as on_end, ThreadPoolExecutor(1) as pool:
        clips.begin(on_end)
        clips.announce(np.array([1]))
        assert store.asked.acquire(timeout=20)
        waiting = pool.submit(clips.get, 1)
        on_end.close()
        with pytest.raises(CancelledError):
            waiting.result(timeout=20)
        store.may_answer.set()


def test_local_noise_is_not_fetched_ahead(noise_url: str) -> None:
    index = open_datasets(
        [LocalStore(Path(noise_url))], [DatasetConfig(url=noise_url, split="train")]
    )
    reader = SampleReader(index, max_open_shards=4, verify_checksums=True)
    clips = NoiseClips(index, reader, settings=FetchSettings(), max_bytes=1000)
    assert clips.max_bytes_ahead == 0

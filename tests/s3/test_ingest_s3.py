"""A dataset on S3 is the dataset that a folder would hold, whatever happened on the way."""

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from jobs.cli import main
from loader import LoaderConfig, ShardLoader, World
from shardwriter.errors import StorageError
from shardwriter.s3 import S3Store
from shardwriter.schema import MANIFEST_NAME
from shardwriter.shard_names import idx_name
from shardwriter.storage import LocalStore, Store, open_store
from tests.s3.builders import (
    CLIPS_PER_SHARD,
    FAST,
    NUM_CLIPS,
    content,
    ingest_sample,
    make_samples,
    s3_store,
    write_sample,
)
from tests.s3.fault_proxy import FaultProxy, Request
from tests.s3.weed import BUCKET

NUM_SHARDS = -(-NUM_CLIPS // CLIPS_PER_SHARD)
NUM_REQUESTS = 4 + 3 * NUM_SHARDS + 5
"""Of an ingest, about: to look and probe, three puts a shard, then logs, indexes and manifest."""


@pytest.fixture(scope="session")
def expected(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an ingest into a folder publishes, undisturbed."""
    folder = tmp_path_factory.mktemp("expected") / "dataset"
    ingest_sample(source, str(folder))
    return content(LocalStore(folder))


def test_an_ingest_to_s3_gives_the_bytes_of_a_local_one(
    source: Path, expected: dict[str, bytes], near: S3Store, url: str
) -> None:
    summary = ingest_sample(source, url)
    assert summary.num_written == NUM_CLIPS
    assert content(near) == expected
    assert main(["verify", url]) == 0
    assert main(["inspect", url]) == 0
    assert ingest_sample(source, url).num_written == 0
    assert content(near) == expected


def test_the_loader_reads_the_same_from_s3(
    source: Path, expected: dict[str, bytes], url: str, tmp_path: Path
) -> None:
    ingest_sample(source, url)
    local = LocalStore(tmp_path / "local")
    for name, data in expected.items():
        local.put(name, data)

    def batches(store: Store) -> Iterator[np.ndarray]:
        config = LoaderConfig(url=store.url, split="train", batch_size=4, crop_seconds=0.5, seed=3)
        for batch in ShardLoader(config, world=World(rank=0, size=1), store=store):
            yield batch.wave_BT.numpy()

    far, near = list(batches(open_store(url, FAST))), list(batches(local))
    assert len(far) == len(near) == NUM_CLIPS // 4
    for one, other in zip(far, near, strict=True):
        assert np.array_equal(one, other)


def command(source: Path, url: str) -> list[str]:
    flags = ["--subset", "esc10", "--sample-rate", "8000", "--workers", "0"]
    flags += ["--shard-clips", str(CLIPS_PER_SHARD)]
    return [sys.executable, "-m", "jobs.cli", "ingest", "esc50", "--source", str(source),
            "--out", url, *flags]  # fmt: skip


def check_readers_see_whole_shards_only(store: Store, expected: dict[str, bytes]) -> int:
    """Check what a killed writer left; return how many objects that is."""
    held = content(store)
    for name, data in held.items():
        if name in (MANIFEST_NAME, "availability/rejections.jsonl"):
            assert data == expected[name]
        elif not name.startswith("index/"):
            assert data == expected[name], f"{name} is half there"
        if name.startswith("parts/"):
            tar = name.removeprefix("parts/").removesuffix(".json") + ".tar"
            assert {tar, idx_name(tar)} <= held.keys()
    return len(held)


def ingest_and_kill(
    source: Path, url: str, proxy: FaultProxy, *, at_request: int, after_seconds: float
) -> bool:
    """Run the command through the proxy, and kill it a moment after a request has come in.

    Tell whether it was killed; it may have been done before.
    """
    reached = threading.Event()

    def on_request(request: Request) -> None:
        if len(proxy.requests) >= at_request:
            reached.set()

    proxy.script()
    proxy.on_request = on_request
    process = subprocess.Popen(
        [*command(source, url), "--endpoint-url", proxy.url],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        while process.poll() is None and not reached.wait(0.05):
            pass
        threading.Event().wait(after_seconds)
    finally:
        process.kill()
        process.wait()
        proxy.on_request = lambda request: None
    return process.returncode == -signal.SIGKILL


def kill_often(
    runs: int, seed: int, source: Path, expected: dict[str, bytes], prefix: str, proxy: FaultProxy
) -> int:
    """Kill ingests at random requests, some twice, and let each be finished; count the kills."""
    rng = random.Random(seed)
    num_kills = 0
    for run in range(runs):
        store = s3_store(f"{prefix}/{run}")
        num_held = 0
        for at_request in rng.sample(range(1, NUM_REQUESTS), k=rng.choice((1, 2))):
            num_kills += ingest_and_kill(
                source, store.url, proxy, at_request=at_request, after_seconds=rng.uniform(0, 0.02)
            )
            num_before = num_held
            num_held = check_readers_see_whole_shards_only(store, expected)
            assert num_held >= num_before
        ingest_sample(source, store.url)
        assert content(store) == expected
    return num_kills


def test_an_ingest_killed_at_any_moment_ends_in_the_same_bytes(
    source: Path, expected: dict[str, bytes], prefix: str, proxy: FaultProxy
) -> None:
    assert kill_often(2, 0, source, expected, prefix, proxy) >= 2


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_an_ingest_killed_at_200_moments_ends_in_the_same_bytes(
    source: Path, expected: dict[str, bytes], prefix: str, proxy: FaultProxy
) -> None:
    num_kills = kill_often(150, 1, source, expected, prefix, proxy)
    assert num_kills >= 200


class BreakingStore:
    """A store of which one call fails: the n-th, before or after it was done."""

    def __init__(self, store: Store, *, fails_at: int, is_done_first: bool) -> None:
        self._store = store
        self._fails_at = fails_at
        self._is_done_first = is_done_first
        self.num_calls = 0

    def __getattr__(self, name: str) -> object:
        value = getattr(self._store, name)
        if name not in ("exists", "names", "read", "read_range", "put", "put_file", "sha256"):
            return value

        def call(*args: object, **named: object) -> object:
            self.num_calls += 1
            is_broken = self.num_calls == self._fails_at
            if is_broken and not self._is_done_first:
                raise StorageError(f"call {self.num_calls} failed: {name}{args[:1]}")
            result = value(*args, **named)
            if is_broken:
                raise StorageError(f"call {self.num_calls} failed after it was done: {name}")
            return result

        return call


@pytest.mark.parametrize("is_done_first", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", ["local", "s3"])
def test_a_store_that_fails_at_each_call_in_turn_loses_nothing(
    kind: str, is_done_first: bool, prefix: str, tmp_path: Path
) -> None:
    samples = make_samples(3)
    reference = LocalStore(tmp_path / "reference")
    write_sample(reference, samples)
    expected = content(reference)

    def open_fresh(number: int) -> Store:
        if kind == "local":
            return LocalStore(tmp_path / str(number))
        return s3_store(f"{prefix}/{number}")

    counting = BreakingStore(open_fresh(0), fails_at=0, is_done_first=False)
    write_sample(counting, samples)  # type: ignore[arg-type]
    assert counting.num_calls > 10
    for call in range(1, counting.num_calls + 1):
        store = open_fresh(call)
        broken = BreakingStore(store, fails_at=call, is_done_first=is_done_first)
        with pytest.raises(StorageError, match=f"call {call} failed"):
            write_sample(broken, samples)  # type: ignore[arg-type]
        held = content(store)
        assert all(held[name] == expected[name] for name in held)
        write_sample(store, samples)
        assert content(store) == expected


def test_writers_of_the_same_dataset_at_once_end_in_the_same_bytes(
    prefix: str, tmp_path: Path
) -> None:
    samples = make_samples(12)
    reference = LocalStore(tmp_path / "reference")
    write_sample(reference, samples)
    stores = [s3_store(prefix) for _ in range(4)]
    with ThreadPoolExecutor(len(stores)) as pool:
        list(pool.map(lambda store: write_sample(store, samples), stores))
    assert content(stores[0]) == content(reference)


def test_writers_of_different_datasets_at_once_never_mix(prefix: str) -> None:
    outcomes = run_both(
        lambda: write_sample(s3_store(prefix), make_samples(12, seed=1)),
        lambda: write_sample(s3_store(prefix), make_samples(12, seed=2)),
    )
    assert sum(outcome is None for outcome in outcomes) <= 1
    for outcome in outcomes:
        assert outcome is None or "other content" in str(outcome)
    if None in outcomes:
        assert main(["verify", f"s3://{BUCKET}/{prefix}"]) == 0


def run_both(*jobs: Callable[[], None]) -> list[BaseException | None]:
    with ThreadPoolExecutor(len(jobs)) as pool:
        return [future.exception() for future in [pool.submit(job) for job in jobs]]


def test_a_writers_fall_back_stands_in_the_manifest(proxy: FaultProxy, prefix: str) -> None:
    from tests.s3.test_s3_publish import refusing

    store = refusing(proxy, prefix)
    write_sample(store, make_samples(3))
    assert "If-None-Match" in open_store(store.url).read(MANIFEST_NAME).decode()

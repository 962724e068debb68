"""Training from S3 while things go wrong: the batches of the local dataset, or a clear error."""

import contextlib
import dataclasses
import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from loader import LoaderConfig, ShardLoader, World
from shardwriter.errors import (
    ErrorBudgetError,
    ReplacedError,
    ShardFormatError,
    StorageError,
    TransientStorageError,
)
from tests.loader.builders import alive_threads_after_waiting, make_dataset, make_loader
from tests.s3.builders import s3_store, through
from tests.s3.fault_proxy import Fault, FaultProxy, Request
from tests.s3.weed import ACCESS_KEY, BUCKET, SECRET_KEY

NUM_SHARDS = 5
CLIPS_PER_SHARD = 6
Batches = list[tuple[tuple[str, ...], bytes]]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(
        make_dataset(
            tmp_path_factory.mktemp("far") / "dataset",
            num_clips=NUM_SHARDS * CLIPS_PER_SHARD,
            clips_per_shard=CLIPS_PER_SHARD,
        )
    )


@pytest.fixture
def far(folder: Path, prefix: str) -> str:
    """The prefix of a copy of the dataset in S3."""
    near = s3_store(prefix)
    for path in [folder / "dataset.json", *folder.glob("index/*"), *folder.glob("train/*.tar")]:
        near.put(path.relative_to(folder).as_posix(), path.read_bytes())
    return prefix


def loader_of(
    proxy: FaultProxy, prefix: str, *, world: World | None = None, **settings: Any
) -> ShardLoader:
    """A loader whose every request goes through the proxy."""
    defaults: dict[str, Any] = {
        "split": "train", "batch_size": 4, "crop_seconds": 0.02, "tail": "pad",
        "fetch_connections": 4, "fetch_timeout_seconds": 30.0,
    }  # fmt: skip
    config = LoaderConfig(url=f"s3://{BUCKET}/{prefix}", **{**defaults, **settings})
    store = through(proxy, prefix, read_timeout_seconds=1)
    return ShardLoader(config, world=world or World(), store=store)


def with_clients_of_its_own(loader: ShardLoader) -> ShardLoader:
    """Those that tests share have the credentials of the environment, and must keep them."""
    loader._pipeline.reader._shards[0].store._bucket._clients = {}  # type: ignore[attr-defined]
    return loader


def batches_of(loader: ShardLoader) -> Batches:
    return [(batch.keys, batch.wave_BT.numpy().tobytes()) for batch in loader]


@pytest.fixture(scope="session")
def expected(folder: Path) -> Batches:
    return batches_of(make_loader(str(folder), batch_size=4, tail="pad"))


def shard_requests(proxy: FaultProxy) -> list[str]:
    return [request for request in proxy.requests if ".tar" in request]


@pytest.mark.parametrize("has_cache", [False, True], ids=["streamed", "cached"])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="cut", path=".tar", num_bytes=100, times=4),
        Fault(kind="reset", path=".tar", num_bytes=0, times=4),
        Fault(kind="shorten", path=".tar", num_bytes=50, times=3),
        Fault(kind="refuse", path=".tar", times=4),
        Fault(kind="stall", path=".tar", num_bytes=70, seconds=3, times=2),
        Fault(kind="answer", path=".tar", status=503, times=6),
        Fault(kind="answer", path=".tar", status=500, code="InternalError", times=4),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
def test_batches_are_the_same_whatever_passes(
    proxy: FaultProxy, far: str, expected: Batches, tmp_path: Path, fault: Fault, has_cache: bool
) -> None:
    cache = {"cache_dir": str(tmp_path / "cache")} if has_cache else {}
    loader = loader_of(proxy, far, **cache)
    proxy.script(fault)
    assert batches_of(loader) == expected
    assert proxy.num_left == 0
    stats = loader.stats().reader
    assert stats.num_retries >= fault.times
    assert stats.num_throttled == (fault.times if fault.status == 503 and fault.code == "SlowDown"
                                   and fault.kind == "answer" else 0)  # fmt: skip
    assert alive_threads_after_waiting() == []


def test_latency_changes_nothing_but_the_time(
    proxy: FaultProxy, far: str, expected: Batches
) -> None:
    loader = loader_of(proxy, far, fetch_connections=16)
    proxy.script()
    proxy.latency_seconds = 0.03
    try:
        assert batches_of(loader) == expected
    finally:
        proxy.latency_seconds = 0.0
    # The two rows that pad are fetched again.
    assert len(shard_requests(proxy)) == NUM_SHARDS * CLIPS_PER_SHARD + 2


def test_a_store_that_stays_away_is_an_error_within_the_budget(proxy: FaultProxy, far: str) -> None:
    loader = loader_of(proxy, far, fetch_timeout_seconds=0.3)
    proxy.script(Fault(kind="answer", path=".tar", status=503, times=10_000))
    with pytest.raises(
        TransientStorageError,
        match=r"made-\d+\.tar: sample \S+, audio at byte \d+: .*expected \d+ bytes from byte \d+, "
        r"got 0 within 0\.3 s and \d+ attempts; .*SlowDown, 503",
    ):
        batches_of(loader)
    assert loader.stats().reader.max_connections == 1
    assert alive_threads_after_waiting() == []


def test_a_shard_that_is_not_there_is_an_error_that_names_it(proxy: FaultProxy, far: str) -> None:
    loader = loader_of(proxy, far)
    proxy.script(Fault(kind="answer", path="2.tar", status=404, code="NoSuchKey", times=99))
    with pytest.raises(
        StorageError, match=r"made-000002\.tar: sample \S+, audio at byte \d+: .*is not there"
    ):
        batches_of(loader)


def test_a_byte_flipped_on_the_way_is_asked_for_once_more(
    proxy: FaultProxy, far: str, expected: Batches
) -> None:
    loader = loader_of(proxy, far)
    proxy.script(Fault(kind="flip", path=".tar", num_bytes=60))
    assert batches_of(loader) == expected
    assert loader.stats().reader.num_retries == 1


def test_with_a_budget_a_lost_shard_costs_its_samples_and_no_step(
    proxy: FaultProxy, far: str, expected: Batches
) -> None:
    loader = loader_of(proxy, far, error_budget=CLIPS_PER_SHARD)
    proxy.script(Fault(kind="answer", path="2.tar", status=404, code="NoSuchKey", times=999))
    batches = list(loader)
    assert len(batches) == len(expected)
    lost = [sample.key for sample in loader.quarantine()]
    assert len(lost) == CLIPS_PER_SHARD
    got = [
        key
        for batch in batches
        for key, is_padding in zip(batch.keys, batch.is_padding_B.tolist(), strict=True)
        if not is_padding
    ]
    every = dict.fromkeys(key for keys, _ in expected for key in keys)
    assert got == [key for key in every if key not in lost]
    assert {sample.reason for sample in loader.quarantine()} == {"missing"}
    # A second epoch asks for nothing of it: it is in quarantine.
    proxy.script()
    assert len(list(loader)) == len(expected)
    assert not any("2.tar" in request for request in proxy.requests)
    assert alive_threads_after_waiting() == []


def test_a_store_that_stays_away_spends_the_budget_and_says_so(proxy: FaultProxy, far: str) -> None:
    loader = loader_of(proxy, far, fetch_timeout_seconds=0.05, error_budget=3)
    proxy.script(Fault(kind="answer", path=".tar", status=503, times=10_000))
    with pytest.raises(
        ErrorBudgetError, match=r"error_budget=3 allows 3; worst of \d shards: s3://"
    ):
        batches_of(loader)
    assert alive_threads_after_waiting() == []


def test_a_damaged_answer_is_an_error_that_names_the_sample(proxy: FaultProxy, far: str) -> None:
    loader = loader_of(proxy, far)
    proxy.script(Fault(kind="flip", path=".tar", num_bytes=60, times=999))
    with pytest.raises(ShardFormatError, match=r"sample \S+, audio at byte \d+: expected .*CRC"):
        batches_of(loader)


def test_a_shard_replaced_under_our_feet_is_an_error(
    proxy: FaultProxy, far: str, folder: Path
) -> None:
    loader = loader_of(proxy, far, batch_size=1, prefetch_batches=1, fetch_memory_bytes=1)
    batches = iter(loader)
    for _ in range(12):
        next(batches)
    near = s3_store(far)
    for path in folder.glob("train/*.tar"):
        name = path.relative_to(folder).as_posix()
        near.put(name, path.read_bytes() + b"more", replace=True)
    with pytest.raises(ReplacedError, match=r"made-\d+\.tar was replaced while it was read"):
        list(batches)


def test_many_readers_of_a_node_make_one_download(
    proxy: FaultProxy, far: str, expected: Batches, tmp_path: Path
) -> None:
    loaders = [loader_of(proxy, far, cache_dir=str(tmp_path / "cache")) for _ in range(4)]
    proxy.script()
    with ThreadPoolExecutor(4) as pool:
        for batches in pool.map(batches_of, loaders):
            assert batches == expected
    downloads = sum(loader.stats().reader.num_shards_downloaded for loader in loaders)
    assert downloads == NUM_SHARDS
    proxy.script()
    again = loader_of(proxy, far, cache_dir=str(tmp_path / "cache"))
    assert batches_of(again) == expected
    assert shard_requests(proxy) == []


def test_expired_credentials_are_read_anew_in_the_middle_of_a_run(
    proxy: FaultProxy,
    far: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "credentials"
    form = "[default]\naws_access_key_id={}\naws_secret_access_key={}\n"
    file.write_text(form.format(ACCESS_KEY, SECRET_KEY))
    renewed = tmp_path / "renewed"
    renewed.write_text(file.read_text() + "aws_session_token=renewed\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    loader = with_clients_of_its_own(loader_of(proxy, far))
    tokens: list[bool] = []

    def note(request: Request) -> None:
        tokens.append(request.has_header("x-amz-security-token"))
        # Another program renews the file meanwhile, as such programs do: in one step.
        with contextlib.suppress(FileNotFoundError):
            renewed.replace(file)

    proxy.script(Fault(kind="answer", path=".tar", status=400, code="ExpiredToken"))
    proxy.on_request = note
    # SeaweedFS knows no such token. What counts is that it is sent.
    with pytest.raises(StorageError, match=r"made-\d+\.tar: "):
        batches_of(loader)
    assert tokens[0] is False
    assert any(tokens)


def test_credentials_that_stay_expired_are_a_clear_error(proxy: FaultProxy, far: str) -> None:
    loader = with_clients_of_its_own(loader_of(proxy, far))
    proxy.script(Fault(kind="answer", path=".tar", status=400, code="ExpiredToken", times=99))
    with pytest.raises(StorageError, match=r"denied \(ExpiredToken, 400\); check the credentials"):
        batches_of(loader)


def test_no_message_or_statistic_tells_a_secret(proxy: FaultProxy, far: str) -> None:
    loader = loader_of(proxy, far, fetch_timeout_seconds=0.1)
    proxy.script(Fault(kind="answer", path=".tar", status=500, times=10_000))
    with pytest.raises(StorageError) as caught:
        batches_of(loader)
    told = str(caught.value) + json.dumps(dataclasses.asdict(loader.stats().reader))
    assert SECRET_KEY not in told
    assert "Signature" not in told


@pytest.mark.parametrize("num_steps", [0, 3, 7])
def test_a_run_from_s3_is_resumed_on_another_world_with_the_exact_rest(
    proxy: FaultProxy, far: str, expected: Batches, num_steps: int
) -> None:
    proxy.script(Fault(kind="cut", path=".tar", num_bytes=100, times=3))
    loader = loader_of(proxy, far)
    got = [key for batch in itertools.islice(loader, num_steps) for key in batch.keys]
    state = loader.state_dict()
    by_rank = []
    for rank in range(2):
        other = loader_of(proxy, far, world=World(rank=rank, size=2), batch_size=2)
        other.load_state_dict(state)
        by_rank.append(list(other))
    for first, second in zip(*by_rank, strict=True):
        for batch in (first, second):
            got += [
                key
                for key, pad in zip(batch.keys, batch.is_padding_B.tolist(), strict=True)
                if not pad
            ]
    assert sorted(got) == sorted({key for keys, _ in expected for key in keys})

"""A dataset on a web server: SeaweedFS's open bucket, asked without S3's protocol."""

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest

from loader import LoaderConfig, ShardLoader, World
from shardwriter.errors import (
    ConfigError,
    ReplacedError,
    StorageError,
    ThrottledError,
    TransientStorageError,
)
from shardwriter.http import HttpStore
from shardwriter.http_get import HttpOptions
from shardwriter.manifest import load_manifest
from shardwriter.storage import RemoteStore, open_store
from tests.loader.builders import make_dataset, make_loader, real_keys
from tests.s3.builders import s3_store
from tests.s3.fault_proxy import Fault, FaultProxy
from tests.s3.weed import OPEN_BUCKET

DATA = np.random.default_rng(0).bytes(1_200_000)
OPTIONS = HttpOptions(
    max_attempts=3, backoff_seconds=0.001, connect_timeout_seconds=2, read_timeout_seconds=2
)


@pytest.fixture
def web(proxy: FaultProxy, prefix: str) -> HttpStore:
    """A web store behind the proxy, with DATA in `train/a`."""
    s3_store(prefix, bucket=OPEN_BUCKET).put("train/a", DATA)
    return HttpStore(f"{proxy.url}/{OPEN_BUCKET}/{prefix}/", OPTIONS)


def test_objects_are_read_whole_and_in_parts(web: HttpStore, prefix: str) -> None:
    assert web.read("train/a") == DATA
    for start, num_bytes in [(0, 1), (5, 300), (len(DATA) - 3, 10), (len(DATA), 5), (17, 0)]:
        assert web.read_range("train/a", start, num_bytes) == DATA[start : start + num_bytes]
    assert (web.size("train/a"), web.exists("train/a"), web.exists("b")) == (len(DATA), True, False)
    near = s3_store(prefix, bucket=OPEN_BUCKET)
    assert web.sha256("train/a") == near.sha256("train/a")
    near.put("ümläut &x?y#z", b"odd name")
    assert web.read("ümläut &x?y#z") == b"odd name"
    assert isinstance(web, RemoteStore)
    assert pickle.loads(pickle.dumps(web)).read_range("train/a", 0, 9) == DATA[:9]


def test_what_is_not_there_is_said(web: HttpStore) -> None:
    for use in (web.read, web.size, lambda name: web.read_range(name, 0, 4)):
        with pytest.raises(StorageError, match=r"train/absent\.tar is not there"):
            use("train/absent.tar")
    assert web.sha256("train/absent.tar") is None
    with pytest.raises(ConfigError, match="no dataset at http://"):
        load_manifest(web)


def test_nothing_can_be_written_or_listed(web: HttpStore, tmp_path: Path) -> None:
    for use in (
        lambda: web.put("b", b"x"),
        lambda: web.put_file("b", tmp_path / "b"),
        lambda: web.names(""),
        web.lock_for_writing,
        lambda: web.scratch_folder,
    ):
        with pytest.raises(StorageError, match="a web server is only read from"):
            use()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="reset", num_bytes=0),
        Fault(kind="cut", num_bytes=700_001),
        Fault(kind="shorten", num_bytes=99_999),
        Fault(kind="refuse", times=2),
        Fault(kind="stall", num_bytes=300_000, seconds=4),
        Fault(kind="answer", status=503, times=2),
        Fault(kind="answer", status=500, times=2),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.num_bytes or fault.status}",
)
def test_a_read_survives_what_passes(web: HttpStore, proxy: FaultProxy, fault: Fault) -> None:
    proxy.script(fault)
    assert web.read_range("train/a", 1000, len(DATA) - 2000) == DATA[1000:-1000]
    assert proxy.num_left == 0
    assert len(proxy.requests) == fault.times + 1


def test_a_read_that_never_gets_on_is_an_error_with_all_figures(
    web: HttpStore, proxy: FaultProxy
) -> None:
    proxy.script(Fault(kind="cut", num_bytes=10, times=50))
    with pytest.raises(
        TransientStorageError, match=r"train/a: expected 90000 bytes from byte 7, got 30 in 3 att"
    ):
        web.read_range("train/a", 7, 90_000)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (503, ThrottledError),
        (429, ThrottledError),
        (502, TransientStorageError),
        (403, StorageError),
        (418, StorageError),
    ],
)
def test_answers_are_errors_of_their_kind(
    web: HttpStore, proxy: FaultProxy, status: int, error: type[StorageError]
) -> None:
    proxy.script(Fault(kind="answer", status=status, times=9))
    with pytest.raises(error, match=rf"train/a: .*{status}") as caught:
        web.read_part("train/a", start=0, stop=5, version=None, max_seconds=9)
    assert caught.type is error
    assert len(proxy.requests) == 1


def test_a_replaced_object_is_not_mixed(web: HttpStore, prefix: str) -> None:
    first = web.read_part("train/a", start=0, stop=9, version=None, max_seconds=9)
    assert (first.data, first.stop) == (DATA[:9], 9)
    s3_store(prefix, bucket=OPEN_BUCKET).put("train/a", DATA[::-1], replace=True)
    with pytest.raises(ReplacedError, match="was replaced while it was read"):
        web.read_part("train/a", start=9, stop=18, version=first.version, max_seconds=9)


def test_a_server_that_can_do_no_ranges_is_found_out(web: HttpStore, proxy: FaultProxy) -> None:
    proxy.script(Fault(kind="drop", code="Range", times=9))
    with pytest.raises(StorageError, match="can't serve ranges"):
        web.read_range("train/a", 5, 10)
    assert web.read("train/a") == DATA  # all of it needs none


@pytest.mark.parametrize(
    "url",
    ["https://", "http://user:secret@host/x", "https://host/x?y=secret", "http://host:secret/x",
     "https://host/#secret"],
)  # fmt: skip
def test_urls_that_make_no_folder_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="expected https://host/folder") as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


def test_a_dataset_is_loaded_over_http(proxy: FaultProxy, prefix: str, tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "dataset")
    near = s3_store(prefix, bucket=OPEN_BUCKET)
    for path in Path(folder).rglob("*.*"):
        near.put(path.relative_to(folder).as_posix(), path.read_bytes())
    config = LoaderConfig(
        url=f"{proxy.url}/{OPEN_BUCKET}/{prefix}", split="train", batch_size=3, crop_seconds=0.02,
        tail="pad", cache_dir=str(tmp_path / "cache"),
    )  # fmt: skip
    expected = real_keys(make_loader(folder, tail="pad"))
    assert real_keys(ShardLoader(config, world=World())) == expected
    streamed = dataclasses.replace(config, cache_dir=None)
    assert real_keys(ShardLoader(streamed, world=World())) == expected

"""Puts that never replace: conditional, in parts, and where the store knows no conditions."""

import logging
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from shardwriter.errors import StorageError, TransientStorageError
from shardwriter.s3 import S3Store
from tests.s3.builders import s3_store, through
from tests.s3.fault_proxy import Fault, FaultProxy
from tests.s3.weed import BUCKET, OPEN_BUCKET

PART = 5 << 20
DATA = np.random.default_rng(1).bytes(PART + 1000)
IN_PARTS = {"multipart_threshold_bytes": 1000, "part_bytes": PART, "stale_upload_hours": 0}


def put_file(store: S3Store, data: bytes = DATA, *, name: str = "train/a.tar") -> None:
    with store.lock_for_writing():
        path = store.scratch_folder / "a.tar"
        path.write_bytes(data)
        store.put_file(name, path)


def uploads(store: S3Store) -> list[str]:
    bucket = store._bucket
    listed = bucket.client.list_multipart_uploads(Bucket=BUCKET, Prefix=bucket.key_prefix)
    return [upload["Key"] for upload in listed.get("Uploads", [])]


def start_upload(store: S3Store, name: str) -> None:
    """Leave an upload unfinished, as a killed writer does."""
    bucket = store._bucket
    key = bucket.key(name)
    upload_id = bucket.client.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
    bucket.client.upload_part(
        Bucket=BUCKET, Key=key, UploadId=upload_id, PartNumber=1, Body=DATA[:100]
    )


@pytest.fixture
def far(proxy: FaultProxy, prefix: str) -> S3Store:
    store = through(proxy, prefix, **IN_PARTS)
    assert store.provenance() == {}  # the probe is behind us
    proxy.script()
    return store


def test_the_server_is_found_to_know_conditions_and_the_probe_is_removed(
    near: S3Store, caplog: pytest.LogCaptureFixture
) -> None:
    with near.lock_for_writing():
        assert near.provenance() == {}
    bucket = near._bucket
    assert "Contents" not in bucket.client.list_objects_v2(Bucket=BUCKET, Prefix=bucket.key_prefix)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_large_file_goes_up_in_parts(far: S3Store, proxy: FaultProxy) -> None:
    put_file(far)
    assert far.read("train/a.tar") == DATA
    assert sum("partNumber=" in request for request in proxy.requests) == 2
    assert uploads(far) == []
    put_file(far)  # the same again is no error, other content is
    with pytest.raises(StorageError, match="is there already with other content"):
        put_file(far, DATA[::-1])
    assert far.read("train/a.tar") == DATA
    assert uploads(far) == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="lose", method="POST", path="uploadId=", times=1),
        Fault(kind="lose", method="PUT", path="partNumber=2", times=2),
        Fault(kind="answer", method="PUT", path="partNumber=1", times=2),
        Fault(kind="answer", method="POST", path="uploadId=", times=2),
        Fault(kind="answer", path="uploadId=", status=409, code="ConditionalRequestConflict"),
        Fault(kind="answer", path="partNumber=2", status=404, code="NoSuchUpload"),
        Fault(kind="lose", method="POST", path="?uploads"),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.code}-{fault.path}",
)
def test_an_upload_in_parts_survives_what_passes(
    far: S3Store, proxy: FaultProxy, fault: Fault
) -> None:
    proxy.script(fault)
    put_file(far)
    assert proxy.num_left == 0
    assert far.read("train/a.tar") == DATA


@pytest.mark.parametrize("path", ["partNumber=1", "partNumber=2", "uploadId="])
def test_an_upload_that_fails_is_taken_back(far: S3Store, proxy: FaultProxy, path: str) -> None:
    method = "POST" if path == "uploadId=" else "PUT"
    proxy.script(Fault(kind="answer", method=method, path=path, times=3))
    with pytest.raises(TransientStorageError, match=r"train/a\.tar: the store answered SlowDown"):
        put_file(far)
    assert uploads(far) == []
    assert not far.exists("train/a.tar")
    put_file(far)
    assert far.read("train/a.tar") == DATA


def test_uploads_that_killed_writers_left_are_removed(far: S3Store, prefix: str) -> None:
    start_upload(far, "train/a.tar")
    start_upload(far, "train/b.tar")
    other = s3_store(f"{prefix}-other", options=far.options)
    start_upload(other, "train/a.tar")
    assert len(uploads(far)) == 2
    put_file(far)
    assert uploads(far) == []
    assert len(uploads(other)) == 1


def test_uploads_that_may_be_another_writers_stay(proxy: FaultProxy, prefix: str) -> None:
    careful = through(proxy, prefix, stale_upload_hours=24.0)
    start_upload(careful, "train/b.tar")
    put_file(careful)
    assert len(uploads(careful)) == 1


# Newer Pythons warn of a fork beside threads, which is what is tried here.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_scratch_folders_of_dead_processes_are_removed(
    near: S3Store, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with near.lock_for_writing():
        pid = os.fork()
        if not pid:
            with s3_store(f"{prefix}-other").lock_for_writing():
                os._exit(0)
        os.waitpid(pid, 0)
        in_use = near.scratch_folder
        assert len(folders_in(in_use.parent)) == 2
        with s3_store(f"{prefix}-third").lock_for_writing():
            assert len(folders_in(in_use.parent)) == 2
            assert in_use.is_dir()


def folders_in(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()]


def refusing(proxy: FaultProxy, prefix: str) -> S3Store:
    """A store that answers 501 to conditions."""
    proxy.script(
        Fault(kind="answer", header="If-None-Match", status=501, code="NotImplemented", times=99)
    )
    return through(proxy, prefix)


def ignoring(proxy: FaultProxy, prefix: str) -> S3Store:
    """A store that doesn't look at conditions: the proxy drops them, which no signature forbids."""
    proxy.script(Fault(kind="drop", header="If-None-Match", code="If-None-Match", times=99))
    return through(proxy, prefix, bucket=OPEN_BUCKET, anonymous=True)


@pytest.mark.parametrize("make", [refusing, ignoring])
def test_without_conditions_names_are_looked_up_and_it_is_said(
    make: object, proxy: FaultProxy, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = make(proxy, prefix)  # type: ignore[operator]
    put_file(store)
    assert "no conditional puts" in caplog.text
    assert store.provenance() == {
        "publishing": "look-up before each put: the store ignores If-None-Match"
    }
    put_file(store)
    for put in (store.put, lambda name, data: put_file(store, data, name=name)):
        with pytest.raises(StorageError, match="is there already with other content"):
            put("train/a.tar", b"other")
    assert store.read("train/a.tar") == DATA
    assert sorted(store.names("")) == ["train/a.tar"]


def test_a_store_that_may_not_be_written_says_so_before_work_starts(
    proxy: FaultProxy, prefix: str
) -> None:
    proxy.script(Fault(kind="answer", method="PUT", status=403, code="AccessDenied", times=9))
    with pytest.raises(StorageError, match="denied"), through(proxy, prefix).lock_for_writing():
        pytest.fail("the block was entered")


def test_of_writers_that_put_different_content_exactly_one_wins(prefix: str) -> None:
    def put(number: int) -> bool:
        store = s3_store(prefix)
        try:
            store.put("a", f"writer {number}".encode() * 1000)
        except StorageError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(put, range(8)))
    assert won.count(True) == 1
    assert s3_store(prefix).read("a") == f"writer {won.index(True)}".encode() * 1000

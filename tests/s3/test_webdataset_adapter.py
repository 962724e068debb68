"""Stock webdataset over our reader: every sample, whatever the connection does; or an error."""

import subprocess
import sys
import tarfile
import tracemalloc
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import webdataset

from loader.webdataset_adapter import open_object, register_with_webdataset
from shardwriter.errors import ConfigError, StorageError
from tests.loader.builders import make_dataset
from tests.s3.builders import FAST, s3_store
from tests.s3.fault_proxy import Fault, FaultProxy
from tests.s3.weed import BUCKET, OPEN_BUCKET

NUM_CLIPS = 12


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("wds") / "dataset"
    return Path(make_dataset(made, num_clips=NUM_CLIPS, clips_per_shard=6))


@pytest.fixture(params=[BUCKET, OPEN_BUCKET], ids=["s3", "http"])
def pattern(request: pytest.FixtureRequest, folder: Path, proxy: FaultProxy, prefix: str) -> str:
    """The URL of two shards behind the proxy, and the scheme made known to webdataset."""
    bucket = request.param
    store = s3_store(prefix, bucket=bucket)
    for path in folder.glob("train/*.tar"):
        store.put(path.relative_to(folder).as_posix(), path.read_bytes())
    options = {"endpoint_url": proxy.url, "read_timeout_seconds": 1}
    register_with_webdataset(
        type(FAST)(**options), timeout_seconds=5, piece_bytes=3000  # several for each shard
    )  # fmt: skip
    root = f"s3://{bucket}" if bucket == BUCKET else f"{proxy.url}/{bucket}"
    return f"melstream+{root}/{prefix}/train/made-{{000000..000001}}.tar"


def samples_of(url: str) -> list[dict[str, Any]]:
    """What stock webdataset gives."""
    dataset = webdataset.WebDataset(url, shardshuffle=False)
    return [{name: item[name] for name in ("__key__", "flac", "json")} for item in dataset]


def samples_by_tarfile(folder: Path) -> list[dict[str, Any]]:
    """What the local shards hold."""
    samples: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("train/*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, suffix = member.name.rpartition(".")
                content = tar.extractfile(member)
                assert content is not None
                samples.setdefault(key, {"__key__": key})[suffix] = content.read()
    return list(samples.values())


@pytest.mark.parametrize(
    "fault",
    [
        None,
        Fault(kind="cut", path=".tar", method="GET", num_bytes=700, times=3),
        Fault(kind="reset", path=".tar", method="GET", num_bytes=0, times=2),
        Fault(kind="answer", path=".tar", method="GET", status=503, times=3),
        Fault(kind="stall", path=".tar", method="GET", num_bytes=70, seconds=3),
    ],
    ids=lambda fault: "none" if fault is None else fault.kind,
)
def test_samples_are_those_of_the_local_shards(
    folder: Path, pattern: str, proxy: FaultProxy, fault: Fault | None
) -> None:
    expected = samples_by_tarfile(folder)
    assert len(expected) == NUM_CLIPS
    proxy.script(*([] if fault is None else [fault]))
    assert samples_of(pattern) == expected
    assert proxy.num_left == 0


def test_what_stays_broken_is_an_error_and_no_short_epoch(pattern: str, proxy: FaultProxy) -> None:
    proxy.script(Fault(kind="answer", path="1.tar", status=404, code="NoSuchKey", times=99))
    with pytest.raises(StorageError, match=r"made-000001\.tar is not there"):
        samples_of(pattern)


def test_local_folders_have_a_scheme_too(folder: Path) -> None:
    with open_object(f"melstream+file://{folder}/train/made-000000.tar") as file:
        assert file.read() == (folder / "train" / "made-000000.tar").read_bytes()


def test_of_a_local_shard_too_only_a_piece_is_in_memory(tmp_path: Path) -> None:
    with (tmp_path / "large.tar").open("wb") as file:
        file.truncate(64 << 20)
    tracemalloc.start()
    try:
        with open_object(f"melstream+file://{tmp_path}/large.tar", piece_bytes=1 << 20) as file:
            num_bytes = sum(len(piece) for piece in iter(partial(file.read, 1 << 16), b""))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert num_bytes == 64 << 20


@pytest.mark.parametrize("url", ["melstream+s3://bucket/folder/", "melstream+s3://name", "name"])
def test_what_names_no_object_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"names no object|can't open"):
        open_object(url)
    with pytest.raises(ValueError, match="for reading only"):
        open_object("melstream+s3://bucket/a/b.tar", "wb")


def test_webdataset_is_imported_only_when_it_is_wanted() -> None:
    code = "import loader.webdataset_adapter, sys; sys.exit('webdataset' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)

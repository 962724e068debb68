import dataclasses
import itertools
import subprocess
from pathlib import Path

import pytest

from jobs import copying
from jobs.cli import main
from jobs.s5cmd import S5cmd, find_s5cmd
from jobs.sync import SyncOptions, SyncSummary, sync
from shardwriter.errors import ConfigError, StorageError, TransientStorageError
from shardwriter.s3_put import stated_sha256
from shardwriter.schema import MANIFEST_NAME
from shardwriter.storage import LocalStore, S3Options, Store, open_store
from tests.s3.builders import FAST, content, make_samples, s3_store, write_sample
from tests.s3.fault_proxy import Fault, FaultProxy
from tests.s3.weed import BUCKET, SECRET_KEY

NUM_CLIPS = 9
NUM_SHARDS = 5


@pytest.fixture
def folder(tmp_path: Path) -> LocalStore:
    """A local dataset of five shards, and a log beside them."""
    store = LocalStore(tmp_path / "a b")
    write_sample(store, make_samples(NUM_CLIPS))
    store.put("availability/rejections.jsonl", b"{}\n")
    return store


def run(source: str, target: str, *, use_s5cmd: bool = False) -> SyncSummary:
    return sync(
        SyncOptions(
            source=source,
            target=target,
            source_s3=FAST,
            target_s3=FAST,
            use_s5cmd=use_s5cmd,
            quiet=True,
        )
    )


def test_between_folders_no_s3_tool_is_named(folder: LocalStore, tmp_path: Path) -> None:
    summary = run(folder.url, str(tmp_path / "copy"), use_s5cmd=True)
    assert (summary.tool, summary.num_copied) == ("plain copy", NUM_SHARDS)
    assert content(LocalStore(tmp_path / "copy")) == content(folder)


@pytest.mark.parametrize("use_s5cmd", [True, False], ids=["s5cmd", "boto3"])
def test_there_and_back_again_is_the_same(
    folder: LocalStore, prefix: str, tmp_path: Path, use_s5cmd: bool
) -> None:
    expected = content(folder)
    urls = [folder.url, f"s3://{BUCKET}/{prefix}", str(tmp_path / "back")]
    for source, target in itertools.pairwise(urls):
        summary = run(source, target, use_s5cmd=use_s5cmd)
        assert (summary.num_shards, summary.num_copied) == (NUM_SHARDS, NUM_SHARDS)
        assert summary.tool == ("s5cmd" if use_s5cmd else "boto3")
        assert content(open_store(target, FAST)) == expected
        again = run(source, target, use_s5cmd=use_s5cmd)
        assert (again.num_copied, again.num_bytes_copied) == (0, 0)


def test_from_s3_to_s3_and_from_folder_to_folder(
    folder: LocalStore, prefix: str, tmp_path: Path
) -> None:
    urls = [
        folder.url,
        str(tmp_path / "b"),
        f"s3://{BUCKET}/{prefix}/1",
        f"s3://{BUCKET}/{prefix}/2",
    ]
    for source, target in itertools.pairwise(urls):
        run(source, target, use_s5cmd=True)
        assert content(open_store(target, FAST)) == content(folder)


def test_s5cmd_puts_the_hash_beside_the_object(folder: LocalStore, prefix: str) -> None:
    run(folder.url, f"s3://{BUCKET}/{prefix}", use_s5cmd=True)
    store = s3_store(prefix)
    (tar, *_) = [name for name in content(folder) if name.endswith(".tar")]
    head = store._bucket.head(store._bucket.key(tar))
    assert head is not None
    assert stated_sha256(head) == folder.sha256(tar)


def test_the_command_says_what_it_did(
    folder: LocalStore, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"s3://{BUCKET}/{prefix}"
    assert main(["sync", folder.url, url]) == 0
    assert f"{url}: whole. {NUM_SHARDS} shards" in capsys.readouterr().out
    assert main(["sync", folder.url, folder.url]) == 2
    assert main(["sync", folder.url + "-absent", url]) == 2
    assert main(["sync", folder.url, "gs://other/x"]) == 2
    assert main(["sync", folder.url, "s3://no-such-bucket-here/x", "--anonymous"]) == 1
    assert main(["verify", url]) == 0


def test_the_target_may_be_at_another_endpoint(
    folder: LocalStore, prefix: str, proxy: FaultProxy
) -> None:
    one, other = f"s3://{BUCKET}/{prefix}/1", f"s3://{BUCKET}/{prefix}/2"
    assert main(["sync", folder.url, one]) == 0
    proxy.script()
    assert main(["sync", one, other, "--target-endpoint-url", proxy.url]) == 0
    assert any(f"{prefix}/2/train/" in request for request in proxy.requests)
    assert not any(f"{prefix}/1" in request for request in proxy.requests)
    assert content(s3_store(f"{prefix}/2")) == content(folder)


def test_a_copy_that_is_interrupted_goes_on(
    folder: LocalStore, prefix: str, proxy: FaultProxy
) -> None:
    url = f"s3://{BUCKET}/{prefix}"
    store = s3_store(prefix)
    proxy.script(Fault(kind="answer", method="PUT", path="train/made-000002.tar", times=99))
    through_proxy = SyncOptions(
        source=folder.url,
        target=url,
        target_s3=s3_options_at(proxy),
        use_s5cmd=False,
        quiet=True,
    )
    summary = sync(through_proxy)
    assert len(summary.problems) == 1
    assert "made-000002.tar: the store answered SlowDown" in summary.problems[0]
    assert summary.num_copied == NUM_SHARDS - 1
    assert not store.exists(MANIFEST_NAME)
    assert not store.exists("parts/train/made-000002.json")
    assert main(["verify", url]) == 2  # there is no dataset yet
    proxy.script()
    assert sync(through_proxy).num_copied == 1
    assert content(store) == content(folder)


def s3_options_at(proxy: FaultProxy) -> S3Options:
    return dataclasses.replace(FAST, endpoint_url=proxy.url)


@pytest.mark.parametrize("use_s5cmd", [True, False], ids=["s5cmd", "boto3"])
@pytest.mark.parametrize("name", ["train/made-000001.tar", "train/made-000001.idx"])
def test_a_damaged_source_is_not_copied(
    folder: LocalStore,
    prefix: str,
    name: str,
    use_s5cmd: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(folder, name)
    url = f"s3://{BUCKET}/{prefix}"
    flags = [] if use_s5cmd else ["--no-s5cmd"]
    assert main(["sync", folder.url, url, *flags]) == 1
    assert f"{name}: expected SHA-256" in capsys.readouterr().err
    assert not s3_store(prefix).exists(name)
    assert not s3_store(prefix).exists(MANIFEST_NAME)


def test_a_damaged_index_leaves_no_manifest(folder: LocalStore, prefix: str) -> None:
    damage(folder, "index/train.parquet")
    assert main(["sync", folder.url, f"s3://{BUCKET}/{prefix}"]) == 1
    assert not s3_store(prefix).exists(MANIFEST_NAME)


def damage(folder: LocalStore, name: str) -> None:
    data = bytearray(folder.read(name))
    data[len(data) // 2] ^= 1
    folder.path(name).write_bytes(data)


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_a_damaged_object_in_the_target_is_named_and_kept(
    folder: LocalStore, prefix: str, tmp_path: Path, kind: str
) -> None:
    target: Store = LocalStore(tmp_path / "b") if kind == "local" else s3_store(prefix)
    target.put("train/made-000003.tar", b"not what it should be")
    summary = run(folder.url, target.url)
    (problem,) = summary.problems
    assert f"{target.url}/train/made-000003.tar: expected SHA-256" in problem
    assert "remove it and sync again" in problem
    assert target.read("train/made-000003.tar") == b"not what it should be"
    assert not target.exists(MANIFEST_NAME)


def test_an_object_that_arrives_damaged_is_found_by_reading_it_back(
    folder: LocalStore, prefix: str, proxy: FaultProxy
) -> None:
    proxy.script(Fault(kind="flip", method="GET", path="made-000002.tar", num_bytes=700))
    options = SyncOptions(
        source=folder.url,
        target=f"s3://{BUCKET}/{prefix}",
        target_s3=s3_options_at(proxy),
        use_s5cmd=False,
        quiet=True,
    )
    (problem,) = sync(options).problems
    assert "made-000002.tar: expected" in problem
    assert "read back" in problem


def test_a_source_that_sends_wrong_bytes_is_not_published(
    folder: LocalStore, prefix: str, proxy: FaultProxy, tmp_path: Path
) -> None:
    run(folder.url, f"s3://{BUCKET}/{prefix}")
    proxy.script(Fault(kind="flip", method="GET", path="made-000002.tar", num_bytes=700))
    options = SyncOptions(
        source=f"s3://{BUCKET}/{prefix}",
        target=str(tmp_path / "b"),
        source_s3=s3_options_at(proxy),
        use_s5cmd=False,
        quiet=True,
    )
    (problem,) = sync(options).problems
    assert "made-000002.tar: expected SHA-256" in problem
    assert not (tmp_path / "b" / "train" / "made-000002.tar").exists()
    assert sync(options).problems == ()
    assert content(LocalStore(tmp_path / "b")) == content(folder)


def test_a_topped_up_source_tops_up_its_copy(folder: LocalStore, tmp_path: Path) -> None:
    target = str(tmp_path / "b")
    run(folder.url, target)
    write_sample(folder, make_samples(NUM_CLIPS + 4))
    assert run(folder.url, target).num_copied == 2
    assert content(LocalStore(tmp_path / "b")) == content(folder)


def test_an_older_source_does_not_replace_a_newer_copy(folder: LocalStore, tmp_path: Path) -> None:
    newer = LocalStore(tmp_path / "b")
    write_sample(newer, make_samples(NUM_CLIPS + 5))
    with pytest.raises(ConfigError, match="it is newer, or was written on its own"):
        run(folder.url, newer.url)


def test_s5cmd_that_fails_is_done_without(
    folder: LocalStore,
    prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken(store: object) -> S5cmd:
        return S5cmd(Path("/bin/false"), store)  # type: ignore[arg-type]

    monkeypatch.setattr(copying, "find_s5cmd", broken)
    summary = run(folder.url, f"s3://{BUCKET}/{prefix}", use_s5cmd=True)
    assert (summary.tool, summary.problems) == ("boto3", ())
    assert capsys.readouterr().err.count("going on with boto3: s5cmd ended with status 1") == 1
    assert content(s3_store(prefix)) == content(folder)


def test_s5cmd_gets_no_secret_on_its_command_line_and_tells_none(
    folder: LocalStore, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    real = subprocess.run

    def spy(command: list[str], **named: object) -> object:
        seen.extend(command)
        return real(command, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", spy)
    store = s3_store(prefix)
    s5cmd = find_s5cmd(store)
    assert s5cmd is not None
    with pytest.raises(TransientStorageError, match="s5cmd ended with status 1") as caught:
        s5cmd.download("absent", folder.path("x"), num_bytes=1)
    assert "--endpoint-url" in seen
    assert not [text for text in [*seen, str(caught.value)] if SECRET_KEY in text]


def test_a_target_that_may_not_be_written_is_said_before_anything_is_copied(
    folder: LocalStore, prefix: str, proxy: FaultProxy
) -> None:
    proxy.script(Fault(kind="answer", method="PUT", status=403, code="AccessDenied", times=99))
    options = SyncOptions(
        source=folder.url,
        target=f"s3://{BUCKET}/{prefix}",
        target_s3=s3_options_at(proxy),
        quiet=True,
    )
    with pytest.raises(StorageError, match="denied"):
        sync(options)

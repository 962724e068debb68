"""What LocalStore says and leaves where the file system fails, or can't do all."""

import errno
import os
from pathlib import Path

import pytest

from shardwriter.errors import StorageError, TransientStorageError
from shardwriter.storage import LocalStore
from tests.shardwriter.builders import tree
from tests.shardwriter.disk import full_disk
from tests.shardwriter.system_calls import failing

NO_HARD_LINKS = sorted({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})


@pytest.mark.parametrize("replace", [False, True])
def test_write_that_fails_leaves_nothing(store: LocalStore, replace: bool) -> None:
    message = f"{store.url}/train/a.tar: File too large"
    with pytest.raises(StorageError, match=message), full_disk(max_file_bytes=4096):
        store.put("train/a.tar", bytes(10_000), replace=replace)
    assert tree(Path(store.url)) == {}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("call", ["link", "fsync"])
def test_publishing_that_fails_leaves_nothing(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    monkeypatch.setattr(os, call, failing(number))
    with pytest.raises(StorageError, match=f"{store.url}/a: {os.strerror(number)}"):
        store.put("a", b"1")
    assert tree(Path(store.url)) == {}


def test_replacing_that_fails_leaves_what_was_there(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("a", b"1")
    monkeypatch.setattr(os, "rename", failing(errno.EIO))
    monkeypatch.setattr(os, "replace", failing(errno.EIO))
    with pytest.raises(StorageError, match=f"{store.url}/a: Input/output error"):
        store.put("a", b"2", replace=True)
    assert tree(Path(store.url)).keys() == {"a"}
    assert store.read("a") == b"1"


@pytest.mark.parametrize("number", [errno.EINTR, errno.EAGAIN, errno.ETIMEDOUT, errno.ESTALE])
def test_failure_that_may_pass_is_told_apart(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "link", failing(number))
    with pytest.raises(TransientStorageError):
        store.put("a", b"1")


def test_failure_that_stays_is_not_called_transient(store: LocalStore) -> None:
    with pytest.raises(StorageError) as caught, full_disk(max_file_bytes=4096):
        store.put("a", bytes(10_000))
    assert not isinstance(caught.value, TransientStorageError)


def test_name_that_is_too_long_is_a_storage_error(store: LocalStore) -> None:
    with pytest.raises(StorageError, match="File name too long"):
        store.put("a" * 300, b"1")
    with pytest.raises(StorageError, match="File name too long"):
        store.read("a" * 300)


@pytest.mark.parametrize("number", NO_HARD_LINKS)
def test_put_works_without_hard_links(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "link", failing(number))
    store.put("a", b"1")
    store.put("a", b"1")
    with pytest.raises(StorageError, match="other content"):
        store.put("a", b"2")
    assert store.read("a") == b"1"
    assert set(tree(Path(store.url))) == {"a"}


def test_put_file_works_without_hard_links(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    with store.lock_for_writing():
        for content, is_taken in [(b"1", True), (b"1", True), (b"2", False)]:
            path = store.scratch_folder / "shard"
            path.write_bytes(content)
            if is_taken:
                store.put_file("a", path)
            else:
                with pytest.raises(StorageError, match="other content"):
                    store.put_file("a", path)
    assert store.read("a") == b"1"


def test_folder_that_cannot_be_listed_is_an_error_not_an_empty_one(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts that are overlooked would be left out of the next manifest."""
    store.put("parts/train/a.json", b"1")
    monkeypatch.setattr(os, "scandir", failing(errno.EACCES))
    with pytest.raises(StorageError, match=f"{store.url}/parts: Permission denied"):
        list(store.names("parts/"))

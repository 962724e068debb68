"""LocalStore: whole objects or none, one writer, no way out of the folder."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from shardwriter.errors import ConfigError, StorageError, TransientStorageError
from shardwriter.object_names import TEMPORARY_PREFIX
from shardwriter.storage import LocalStore, open_store
from tests.shardwriter.builders import tree
from tests.shardwriter.disk import full_disk

NO_HARD_LINKS = sorted({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "root")


def failing(number: int) -> Callable[..., NoReturn]:
    """A system call that fails as the kernel makes it fail."""

    def fail(*_args: object, **_options: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail


# Put and read


def test_what_is_put_is_read(store: LocalStore) -> None:
    store.put("a/b/c.bin", b"\0\1\2")
    assert store.read("a/b/c.bin") == b"\0\1\2"
    assert store.size("a/b/c.bin") == 3
    assert store.exists("a/b/c.bin")


def test_empty_object_is_an_object(store: LocalStore) -> None:
    store.put("a", b"")
    assert store.read("a") == b""
    assert store.exists("a")


@pytest.mark.parametrize(
    ("start", "num_bytes", "expected"),
    [(0, 3, b"012"), (7, 3, b"789"), (8, 9, b"89"), (10, 1, b""), (99, 1, b""), (4, 0, b"")],
)
def test_range_is_short_only_at_the_end(
    store: LocalStore, start: int, num_bytes: int, expected: bytes
) -> None:
    store.put("a", b"0123456789")
    assert store.read_range("a", start, num_bytes) == expected


def test_what_is_not_there_does_not_exist(store: LocalStore) -> None:
    assert not store.exists("a")
    store.put("folder/a", b"1")
    assert not store.exists("folder")


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.read("train/a.tar"),
        lambda store: store.size("train/a.tar"),
        lambda store: store.read_range("train/a.tar", 0, 1),
    ],
)
def test_missing_object_is_named(store: LocalStore, use: Callable[[LocalStore], object]) -> None:
    with pytest.raises(StorageError, match=f"{store.url}/train/a.tar is not there"):
        use(store)


def test_put_file_moves_the_file_in(store: LocalStore) -> None:
    with store.lock_for_writing():
        path = store.scratch_folder / "shard"
        path.write_bytes(b"shard")
        store.put_file("train/a.tar", path)
        assert not path.exists()
    assert store.read("train/a.tar") == b"shard"


def test_put_leaves_nothing_but_the_object(store: LocalStore) -> None:
    store.put("a/b", b"1")
    store.put("a/b", b"2", replace=True)
    store.put("a/b", b"2")
    assert set(tree(Path(store.url))) == {"a/b"}


# No replacing


def test_same_content_may_be_put_again(store: LocalStore) -> None:
    store.put("a", b"1" * 3_000_000)
    store.put("a", b"1" * 3_000_000)
    assert store.size("a") == 3_000_000


@pytest.mark.parametrize("other", [b"2", b"11", b"", b"1" * 9])
def test_other_content_in_the_way_is_an_error_and_stays(store: LocalStore, other: bytes) -> None:
    store.put("a", b"1")
    with pytest.raises(StorageError, match=r"/a is there already with other content"):
        store.put("a", other)
    assert tree(Path(store.url)).keys() == {"a"}
    assert store.read("a") == b"1"


def test_content_that_differs_in_its_last_byte_only_is_other_content(store: LocalStore) -> None:
    store.put("a", b"1" * 3_000_000)
    with pytest.raises(StorageError, match="other content"):
        store.put("a", b"1" * 2_999_999 + b"2")


def test_replace_takes_the_place_of_other_content(store: LocalStore) -> None:
    store.put("a", b"1")
    store.put("a", b"2", replace=True)
    assert store.read("a") == b"2"


def test_put_file_never_replaces_other_content(store: LocalStore) -> None:
    store.put("a", b"1")
    with store.lock_for_writing():
        path = store.scratch_folder / "shard"
        path.write_bytes(b"2")
        with pytest.raises(StorageError, match="other content"):
            store.put_file("a", path)
    assert store.read("a") == b"1"


def test_folder_in_the_way_is_an_error(store: LocalStore) -> None:
    store.put("a/b", b"1")
    with pytest.raises(StorageError, match=f"{store.url}/a"):
        store.put("a", b"1")
    assert set(tree(Path(store.url))) == {"a/b"}


def test_file_where_a_folder_must_be_is_an_error(store: LocalStore) -> None:
    store.put("a", b"1")
    with pytest.raises(StorageError, match=f"{store.url}/a/b: Not a directory|File exists"):
        store.put("a/b", b"1")


# Failing writes


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


# File systems without hard links


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


# Names


def test_names_are_those_below_the_prefix(store: LocalStore) -> None:
    for name in ("dataset.json", "parts/train/a.json", "parts/test/b.json", "train/a.tar"):
        store.put(name, b"1")
    assert sorted(store.names("parts/")) == ["parts/test/b.json", "parts/train/a.json"]
    assert sorted(store.names("parts/train")) == ["parts/train/a.json"]
    assert len(list(store.names(""))) == 4


def test_names_below_what_is_not_there_are_none(store: LocalStore) -> None:
    assert list(store.names("parts/")) == []
    assert list(store.names("")) == []


def test_names_leave_temporary_files_out(store: LocalStore) -> None:
    store.put("train/a.tar", b"1")
    store.put(f"train/{TEMPORARY_PREFIX}123", b"1")
    with store.lock_for_writing():
        (store.scratch_folder / "shard").write_bytes(b"1")
        assert list(store.names("")) == ["train/a.tar"]


def test_folder_that_cannot_be_listed_is_an_error_not_an_empty_one(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts that are overlooked would be left out of the next manifest."""
    store.put("parts/train/a.json", b"1")
    monkeypatch.setattr(os, "scandir", failing(errno.EACCES))
    with pytest.raises(StorageError, match=f"{store.url}/parts: Permission denied"):
        list(store.names("parts/"))


@pytest.mark.parametrize(
    "name", ["", ".", "/", "/etc/passwd", "..", "../a", "a/../../b", "a/..", "a\\b", "a\0b"]
)
def test_name_that_leaves_the_root_is_refused(store: LocalStore, name: str) -> None:
    for use in (store.exists, store.size, store.read, lambda name: store.put(name, b"1")):
        with pytest.raises(ValueError, match="not a name of an object"):
            use(name)
    assert not Path(store.url).exists()


# One writer


def test_second_writer_is_refused(store: LocalStore) -> None:
    with store.lock_for_writing():
        second = LocalStore(Path(store.url))
        with (
            pytest.raises(StorageError, match=f"another process is writing to {store.url}"),
            second.lock_for_writing(),
        ):
            pass
        assert store.scratch_folder.is_dir()


def test_writer_in_another_process_is_refused(store: LocalStore) -> None:
    code = (
        "import pathlib, sys\n"
        "from shardwriter.errors import StorageError\n"
        "from shardwriter.storage import LocalStore\n"
        "try:\n"
        "    with LocalStore(pathlib.Path(sys.argv[1])).lock_for_writing(): print('locked')\n"
        "except StorageError as err: print('refused', err)\n"
    )
    command = [sys.executable, "-c", code, store.url]
    root = Path(__file__).parents[2]
    with store.lock_for_writing():
        held = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    free = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert held.stdout.startswith("refused another process is writing")
    assert free.stdout == "locked\n"


def test_writers_may_follow_each_other(store: LocalStore) -> None:
    for _ in range(3):
        with store.lock_for_writing():
            pass


def test_lock_is_released_by_an_exception(store: LocalStore) -> None:
    for _ in range(2):
        with pytest.raises(KeyError), store.lock_for_writing():
            raise KeyError


def test_writer_that_writes_nothing_leaves_no_trace(store: LocalStore) -> None:
    with store.lock_for_writing():
        assert store.scratch_folder.is_dir()
    assert not Path(store.url).exists()


def test_lock_removes_only_its_own_files(store: LocalStore) -> None:
    store.put("a", b"1")
    with store.lock_for_writing():
        pass
    assert set(tree(Path(store.url))) == {"a"}


def test_next_writer_clears_what_a_killed_one_left(store: LocalStore) -> None:
    root = Path(store.url)
    store.put("train/a.tar", b"1")
    store.scratch_folder.mkdir()
    (store.scratch_folder / "shard.tar").write_bytes(b"half")
    (root / f"{TEMPORARY_PREFIX}lock").touch()
    (root / "train" / f"{TEMPORARY_PREFIX}{'0f' * 8}").write_bytes(b"half")
    with store.lock_for_writing():
        assert list(store.scratch_folder.iterdir()) == []
    assert set(tree(root)) == {"train/a.tar"}


def test_next_writer_leaves_other_peoples_files_alone(store: LocalStore) -> None:
    store.put(f"train/{TEMPORARY_PREFIX}notes.txt", b"mine")
    with store.lock_for_writing():
        pass
    assert set(tree(Path(store.url))) == {f"train/{TEMPORARY_PREFIX}notes.txt"}


def test_file_where_the_root_must_be_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("in the way")
    with (
        pytest.raises(StorageError, match=f"{tmp_path}/root: File exists"),
        LocalStore(tmp_path / "root").lock_for_writing(),
    ):
        pass
    assert (tmp_path / "root").read_text() == "in the way"


def test_file_system_that_cannot_lock_is_a_storage_error(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcntl.flock", failing(errno.ENOLCK))
    with (
        pytest.raises(StorageError, match=f"{store.url}: No locks available"),
        store.lock_for_writing(),
    ):
        pass


# Opening


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_path_and_file_url_open_the_folder(tmp_path: Path, prefix: str) -> None:
    store = open_store(f"{prefix}{tmp_path}/a")
    assert store.url == f"{tmp_path}/a"
    store.put("x", b"1")
    assert open_store(store.url).read("x") == b"1"


def test_relative_path_keeps_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("a")
    monkeypatch.chdir("/")
    assert store.url == f"{tmp_path}/a"


@pytest.mark.parametrize("url", ["ftp://host/a", "file://host/a", "gs://b", "://a"])
def test_scheme_that_no_store_serves_is_refused(url: str) -> None:
    with pytest.raises(
        ConfigError, match=r"can't open .*local folders, at s3://bucket/prefix or at"
    ):
        open_store(url)

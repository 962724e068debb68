"""LocalStore: what is put is read, nothing is replaced, no way out of the folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from shardwriter.errors import ConfigError, StorageError
from shardwriter.object_names import TEMPORARY_PREFIX
from shardwriter.storage import LocalStore, open_store
from tests.shardwriter.builders import tree

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


@pytest.mark.parametrize(
    "name", ["", ".", "/", "/etc/passwd", "..", "../a", "a/../../b", "a/..", "a\\b", "a\0b"]
)
def test_name_that_leaves_the_root_is_refused(store: LocalStore, name: str) -> None:
    for use in (store.exists, store.size, store.read, lambda name: store.put(name, b"1")):
        with pytest.raises(ValueError, match="not a name of an object"):
            use(name)
    assert not Path(store.url).exists()


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

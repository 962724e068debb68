"""What every store promises, asked of a local folder and of a real S3 server alike."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from shardwriter.errors import StorageError
from shardwriter.s3 import S3Store
from shardwriter.storage import LocalStore, Store, open_store
from tests.s3.builders import FAST


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "local":
        yield LocalStore(tmp_path / "store")
    else:
        yield request.getfixturevalue("near")


DATA = bytes(range(256)) * 20


class TestEveryStore:
    def test_gives_back_what_was_put(self, store: Store) -> None:
        store.put("train/a-000000.tar", DATA)
        assert store.read("train/a-000000.tar") == DATA
        assert store.size("train/a-000000.tar") == len(DATA)
        assert store.exists("train/a-000000.tar")

    def test_keeps_empty_objects(self, store: Store) -> None:
        store.put("empty", b"")
        assert (store.read("empty"), store.size("empty")) == (b"", 0)
        assert store.read_range("empty", 0, 10) == b""

    def test_reads_any_range_and_ends_at_the_objects_end(self, store: Store) -> None:
        store.put("a", DATA)
        end = len(DATA)
        ranges = [(0, 1), (0, end), (5, 300), (end - 1, 1), (end - 3, 10), (end, 5), (end + 9, 5)]
        for start, num_bytes in [*ranges, (0, end + 7), (17, 0)]:
            assert store.read_range("a", start, num_bytes) == DATA[start : start + num_bytes]

    def test_does_not_replace_other_content(self, store: Store) -> None:
        store.put("a", b"first")
        for other in (b"other", b"longer than the first"):
            with pytest.raises(StorageError, match="is there already with other content"):
                store.put("a", other)
        assert store.read("a") == b"first"

    def test_takes_the_same_content_again(self, store: Store) -> None:
        store.put("a", DATA)
        store.put("a", DATA)
        assert store.read("a") == DATA

    def test_replaces_when_told_to(self, store: Store) -> None:
        store.put("dataset.json", b"one")
        store.put("dataset.json", b"another", replace=True)
        store.put("new", b"x", replace=True)
        assert (store.read("dataset.json"), store.read("new")) == (b"another", b"x")

    def test_puts_files_and_takes_them_away(self, store: Store) -> None:
        with store.lock_for_writing():
            path = store.scratch_folder / "shard.tar"
            path.write_bytes(DATA)
            store.put_file("train/a.tar", path)
            assert not path.exists()
            path.write_bytes(DATA)
            store.put_file("train/a.tar", path)  # the same again
            path.write_bytes(DATA[:-1])
            with pytest.raises(StorageError, match="is there already with other content"):
                store.put_file("train/a.tar", path)
        assert store.read("train/a.tar") == DATA

    def test_says_what_is_not_there(self, store: Store) -> None:
        store.put("there", b"x")
        assert not store.exists("train/absent.tar")
        for use in (store.read, store.size, lambda name: store.read_range(name, 0, 4)):
            with pytest.raises(StorageError, match=r"train/absent\.tar is not there"):
                use("train/absent.tar")

    def test_lists_names_below_a_folder(self, store: Store) -> None:
        names = {"parts/train/a.json", "parts/eval/b.json", "parts-of/c", "train/a.tar", "d"}
        for name in names:
            store.put(name, name.encode())
        assert sorted(store.names("")) == sorted(names)
        assert sorted(store.names("parts")) == ["parts/eval/b.json", "parts/train/a.json"]
        assert sorted(store.names("parts/")) == ["parts/eval/b.json", "parts/train/a.json"]
        assert list(store.names("part")) == []

    def test_lists_nothing_that_is_hidden(self, store: Store) -> None:
        with store.lock_for_writing():
            store.put("train/.tmp-half", b"x")
            store.put(".tmp-folder/a", b"x")
            (store.scratch_folder / "half.tar").write_bytes(b"x")
            store.put("a", b"x")
            assert list(store.names("")) == ["a"]

    @pytest.mark.parametrize("name", ["", "/etc/passwd", "../a", "a/../../b", "a\\b", "a\0b"])
    def test_refuses_names_that_lead_out_of_it(self, store: Store, name: str) -> None:
        for use in (store.read, store.exists, lambda name: store.put(name, b"x")):
            with pytest.raises(ValueError, match="not a name of an object"):
                use(name)

    def test_takes_names_with_unusual_characters(self, store: Store) -> None:
        for name in ("a b+c=d", "ümläut/%41&x?y#z", "tab\tand 'quotes'"):
            store.put(name, name.encode())
            assert store.read(name) == name.encode()
            assert name in set(store.names(""))

    def test_leaves_no_scratch_folder(self, store: Store) -> None:
        with store.lock_for_writing():
            folder = store.scratch_folder
            (folder / "half").write_bytes(b"x")
            assert folder.is_dir()
        assert not folder.exists()

    def test_can_be_opened_again_at_its_url(self, store: Store) -> None:
        store.put("a", DATA)
        assert open_store(store.url, FAST).read("a") == DATA


def test_many_names_come_in_pages(near: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    client = near._bucket.client
    real = client.get_paginator

    class Paginator:
        def paginate(self, **request: str) -> object:
            # A page holds 1000 names, which would take too long to put.
            return real("list_objects_v2").paginate(PaginationConfig={"PageSize": 3}, **request)

    monkeypatch.setattr(client, "get_paginator", lambda name: Paginator())
    names = [f"parts/train/{number:03d}" for number in range(10)]
    for name in names:
        near.put(name, b"")
    assert sorted(near.names("parts")) == names


# Newer Pythons warn of a fork beside threads, which is what is tried here.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_makes_its_own_client(url: str) -> None:
    store = open_store(url, FAST)
    store.put("a", DATA)
    pid = os.fork()
    if not pid:
        os._exit(0 if store.read("a") == DATA else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert store.read("a") == DATA

"""A folder has one writer at a time, who clears what a killed one left."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from shardwriter.errors import StorageError
from shardwriter.object_names import TEMPORARY_PREFIX
from shardwriter.storage import LocalStore
from tests.shardwriter.builders import tree
from tests.shardwriter.system_calls import failing


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

"""A full disk, or a store that fails at any call: a clear error, nothing half-published, and a
re-run with room ends as if nothing had been."""

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from shardwriter import ShardWriter
from shardwriter.errors import StorageError
from shardwriter.storage import LocalStore
from tests.jobs.crash_builders import (
    Reference,
    check_as_reader,
    command,
    make_reference,
    shards_tree,
)
from tests.shardwriter.dataset_builders import clip, settings, tree, write_dataset

CLIPS = [clip(number, sound=number % 9) for number in range(12)]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return make_reference(tmp_path_factory.mktemp("disk"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that can be made larger; needs the right to mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None or os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    options = ["-t", "tmpfs", "-o", "size=16k", "tmpfs", folder]
    if subprocess.run([mount, *options], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run([umount, folder], check=True)


def is_full(target: Path) -> bool:
    try:
        write_dataset(target, CLIPS)
    except StorageError as err:
        if "No space left on device" not in str(err):
            raise
        return True
    return False


def resize(disk: Path, num_bytes: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={num_bytes}", disk], check=True)


def test_disk_that_is_full_at_any_size_is_said_and_gone_on_from(
    small_disk: Path, tmp_path: Path
) -> None:
    write_dataset(tmp_path / "reference", CLIPS)
    expected = tree(tmp_path / "reference")
    num_full = 0
    for num_bytes in range(4096, sum_of_sizes(tmp_path / "reference") * 2, 4096):
        target = small_disk / "data"
        resize(small_disk, num_bytes)
        num_full += is_full(target)
        check_as_reader(target)
        resize(small_disk, 1 << 22)
        write_dataset(target, CLIPS)
        assert tree(target) == expected
        shutil.rmtree(target)
    assert num_full > 10


def sum_of_sizes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class InjectedError(StorageError):
    """The failure that the store below was told to make."""


class FailingStore(LocalStore):
    """A store whose call number `fails_at` fails, before or after it has done its work."""

    def __init__(self, root: Path, *, fails_at: int, is_done_first: bool) -> None:
        super().__init__(root)
        self._left = fails_at
        self._is_done_first = is_done_first

    def put(self, name: str, data: bytes, *, replace: bool = False) -> None:
        self._fail(lambda: super(FailingStore, self).put(name, data, replace=replace))

    def put_file(self, name: str, path: Path) -> None:
        self._fail(lambda: super(FailingStore, self).put_file(name, path))

    def _fail(self, work) -> None:
        self._left -= 1
        if self._left == 0 and not self._is_done_first:
            raise InjectedError("the store fails")
        work()
        if self._left == 0:
            raise InjectedError("the store fails")


@pytest.mark.parametrize("is_done_first", [False, True])
def test_store_that_fails_at_each_call_in_turn_leaves_what_a_re_run_completes(
    tmp_path: Path, is_done_first: bool
) -> None:
    write_dataset(tmp_path / "reference", CLIPS)
    expected = tree(tmp_path / "reference")
    num_calls = 0
    for number in range(1, 100):
        target = tmp_path / str(number)
        store = FailingStore(target, fails_at=number, is_done_first=is_done_first)
        try:
            with ShardWriter(store, settings(), max_samples_per_shard=3) as writer:
                for one in CLIPS:
                    writer.write_clip(one)
        except InjectedError:
            num_calls += 1
            check_as_reader(target)
            write_dataset(target, CLIPS)
            assert tree(target) == expected
        else:
            break
    assert num_calls == 4 * 3 + 3  # tar, .idx and part of four shards; index, duplicates, manifest


def test_command_that_may_not_write_so_much_fails_with_one_line_and_is_gone_on_from(
    reference: Reference, tmp_path: Path
) -> None:
    target = tmp_path / "out"
    arguments = command(reference.sources[0], target)
    limited = subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000)),
    )
    assert limited.returncode == 1
    (line,) = [line for line in limited.stderr.splitlines() if line.startswith("melstream")]
    assert "File too large; what is published is whole: free some space" in line
    assert "Traceback" not in limited.stderr
    assert subprocess.run(arguments, capture_output=True).returncode == 0
    assert shards_tree(target) == reference.trees[0]

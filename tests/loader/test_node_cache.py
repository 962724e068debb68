"""The cache of a node: one download for all, bounded, and never half an entry."""

import errno
import hashlib
import os
import signal
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import BinaryIO

import pytest

from loader.node_cache import NodeCache, OpenFile
from shardwriter.errors import ConfigError, ShardFormatError

NUM_BYTES = 1000

# Newer Pythons warn of a fork beside threads of other tests.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def content(number: int) -> bytes:
    return bytes([number]) * NUM_BYTES


def sha256(number: int) -> str:
    return hashlib.sha256(content(number)).hexdigest()


def add(cache: NodeCache, number: int, write: Callable[[BinaryIO], object] | None = None) -> str:
    return cache.add(
        sha256(number),
        num_bytes=NUM_BYTES,
        write=write or (lambda file: file.write(content(number))),  # type: ignore[arg-type]
        can_wait=True,
    )


def opened(cache: NodeCache, number: int) -> OpenFile | None:
    return cache.open(sha256(number), num_bytes=NUM_BYTES)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".tmp-lock"}


def test_an_entry_is_written_once_and_read_back(tmp_path: Path) -> None:
    cache = NodeCache(tmp_path / "a" / "cache", max_bytes=5000)
    assert opened(cache, 1) is None
    assert add(cache, 1) == "there"
    assert add(cache, 1, lambda file: pytest.fail("written again")) == "there"
    file = opened(NodeCache(tmp_path / "a" / "cache", max_bytes=5000), 1)
    assert file is not None
    assert os.pread(file.descriptor, NUM_BYTES, 0) == content(1)
    assert names(tmp_path / "a" / "cache") == {f"{sha256(1)}.tar"}


def test_what_was_used_longest_ago_makes_room(tmp_path: Path) -> None:
    cache = NodeCache(tmp_path, max_bytes=3 * NUM_BYTES)
    for number in (1, 2, 3):
        add(cache, number)
        os.utime(tmp_path / f"{sha256(number)}.tar", (number, number))
    del_me = opened(cache, 1)  # used again just now
    del del_me
    assert add(cache, 4) == "there"
    assert names(tmp_path) == {f"{sha256(number)}.tar" for number in (1, 3, 4)}


def test_an_entry_in_use_is_never_evicted(tmp_path: Path) -> None:
    cache = NodeCache(tmp_path, max_bytes=2 * NUM_BYTES)
    add(cache, 1)
    add(cache, 2)
    pinned = [opened(cache, 1), opened(cache, 2)]
    assert add(cache, 3, lambda file: pytest.fail("there is no room")) == "no room"
    assert names(tmp_path) == {f"{sha256(number)}.tar" for number in (1, 2)}
    pinned.pop()
    assert add(cache, 3) == "there"
    assert names(tmp_path) == {f"{sha256(number)}.tar" for number in (1, 3)}


def test_an_entry_larger_than_the_bound_has_no_room_and_evicts_nothing(tmp_path: Path) -> None:
    add(NodeCache(tmp_path, max_bytes=5000), 1)
    cache = NodeCache(tmp_path, max_bytes=NUM_BYTES - 1)
    assert add(cache, 2) == "no room"
    assert f"{sha256(2)}.tar" not in names(tmp_path)


@pytest.mark.parametrize("data", [content(2), content(1)[:-1], content(1) + b"x", b""])
def test_other_content_than_the_name_promises_is_refused_and_removed(
    tmp_path: Path, data: bytes
) -> None:
    cache = NodeCache(tmp_path, max_bytes=5000)
    with pytest.raises(ShardFormatError, match=rf"SHA-256 {sha256(1)}, got \d+ with [0-9a-f]+"):
        add(cache, 1, lambda file: file.write(data))
    assert names(tmp_path) == set()
    assert add(cache, 1) == "there"


def test_a_download_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise ZeroDivisionError

    cache = NodeCache(tmp_path, max_bytes=5000)
    with pytest.raises(ZeroDivisionError):
        add(cache, 1, fail)
    assert names(tmp_path) == set()


def test_a_full_disk_is_no_room(tmp_path: Path) -> None:
    def fail(file: BinaryIO) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    cache = NodeCache(tmp_path, max_bytes=5000)
    assert add(cache, 1, fail) == "no room"
    assert names(tmp_path) == set()


def test_an_entry_that_was_cut_off_is_forgotten(tmp_path: Path) -> None:
    cache = NodeCache(tmp_path, max_bytes=5000)
    add(cache, 1)
    os.truncate(tmp_path / f"{sha256(1)}.tar", 10)
    assert opened(cache, 1) is None
    assert add(cache, 1) == "there"


def test_a_folder_that_cannot_be_made_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"cache_dir .*choose a folder on a local disk"):
        NodeCache(tmp_path / "file" / "cache", max_bytes=1)


def read_in_process(folder: Path, log: Path, pause_seconds: float) -> None:
    """What a process does that wants entry 1: have it downloaded, by itself if need be."""

    def write(file: BinaryIO) -> None:
        file.write(content(1)[:-1])
        file.flush()
        with log.open("a") as downloads:
            downloads.write("download\n")
        time.sleep(pause_seconds)
        file.write(content(1)[-1:])

    cache = NodeCache(folder, max_bytes=10 * NUM_BYTES)
    if add(cache, 1, write) != "there" or opened(cache, 1) is None:
        raise RuntimeError("the entry is not there")


def start(folder: Path, log: Path, *, pause_seconds: float = 0.0) -> ForkProcess:
    # Forked, because a process of its own would import torch for seconds.
    process = get_context("fork").Process(target=read_in_process, args=(folder, log, pause_seconds))
    process.start()
    return process


def ended(process: ForkProcess) -> int | None:
    process.join(60)
    return process.exitcode


def test_many_processes_share_one_download(tmp_path: Path) -> None:
    log = tmp_path / "log"
    processes = [start(tmp_path / "cache", log, pause_seconds=0.2) for _ in range(6)]
    assert [ended(process) for process in processes] == [0] * 6
    assert log.read_text() == "download\n"
    assert names(tmp_path / "cache") == {f"{sha256(1)}.tar"}


def test_a_killed_download_leaves_nothing_visible_and_the_next_one_takes_over(
    tmp_path: Path,
) -> None:
    log, folder = tmp_path / "log", tmp_path / "cache"
    killed = start(folder, log, pause_seconds=60)
    while not log.exists():
        time.sleep(0.01)
    waiting = start(folder, log)
    cache = NodeCache(folder, max_bytes=5000)
    assert opened(cache, 1) is None
    assert cache.add(sha256(1), num_bytes=1, write=pytest.fail, can_wait=False) == "busy"
    killed.kill()
    assert ended(killed) == -signal.SIGKILL
    assert ended(waiting) == 0
    assert log.read_text() == "download\n" * 2
    assert opened(cache, 1) is not None


def test_what_killed_downloads_left_makes_room(tmp_path: Path) -> None:
    cache = NodeCache(tmp_path, max_bytes=NUM_BYTES)
    (tmp_path / f".tmp-{sha256(9)}").write_bytes(content(9))
    assert add(cache, 1) == "there"
    assert names(tmp_path) == {f"{sha256(1)}.tar"}


def test_who_waits_for_a_download_is_not_held_up_by_its_readers(tmp_path: Path) -> None:
    # The other process waits for the lock of a file that then becomes an entry and is pinned.
    folder, log = tmp_path / "cache", tmp_path / "log"
    cache = NodeCache(folder, max_bytes=5000)
    waiting: list[ForkProcess] = []

    def write(file: BinaryIO) -> None:
        waiting.append(start(folder, log))
        time.sleep(0.5)  # long enough for it to wait; too short would only make the test easier
        file.write(content(1))

    assert add(cache, 1, write) == "there"
    pinned = opened(cache, 1)
    assert pinned is not None
    assert ended(waiting[0]) == 0
    assert not log.exists()

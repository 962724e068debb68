"""Threads of a command share few heaps of the C library."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import ctypes, sys, threading
from jobs.cli import main

try:
    main(["--version"])
except SystemExit:
    pass
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(8)

def take():
    libc.malloc(1000)
    together.wait()

threads = [threading.Thread(target=take) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.fopen.restype = ctypes.c_void_p
file = libc.fopen(sys.argv[1].encode(), b"w")
libc.malloc_info(0, ctypes.c_void_p(file))
libc.fclose(ctypes.c_void_p(file))
"""


def num_arenas(path: Path, **environment: str) -> int:
    subprocess.run(
        [sys.executable, "-c", PROGRAM, path],
        cwd=Path(__file__).parents[2],
        env=os.environ | environment,
        check=True,
        timeout=120,
        capture_output=True,
    )
    return path.read_text().count("<heap nr=")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone has arenas")
def test_threads_of_a_command_share_two_heaps_unless_the_user_says_how_many(tmp_path: Path) -> None:
    assert num_arenas(tmp_path / "ours.xml") <= 2
    assert num_arenas(tmp_path / "theirs.xml", MALLOC_ARENA_MAX="6") > 2

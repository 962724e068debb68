"""Compiled code in a process of its own in which numba checks each access to an array.

Elsewhere it doesn't: a read or a write beyond an array's end goes unseen there, or crashes.
"""

import subprocess
import sys
from pathlib import Path

_CHECKED_FROM_HERE = """
import sys, numba, numpy
numba.config.BOUNDSCHECK, numba.config.CACHE_DIR = 1, sys.argv[1]
past = numba.njit(lambda values: values[len(values)])
try:
    past(numpy.zeros(3)), exit("nothing is checked")
except IndexError:
    pass
"""


def run_bounds_checked(program: str, *, kernel: str, cache: Path, prepared: str = "") -> str:
    """Run a Python program that compiles a kernel anew, with checks; return what it printed.

    Args:
        program: Python.
        kernel: Name of the file with the compiled functions, without its ending.
        cache: An empty folder for what is compiled.
        prepared: Python that runs first; what it has compiled is used as it lies there, unchecked,
            which saves the time to compile it anew. It must not import the kernel.
    """
    done = subprocess.run(
        [sys.executable, "-c", f"{prepared}\n{_CHECKED_FROM_HERE}\n{program}", str(cache)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    assert list(cache.rglob(f"{kernel}.*.nbc")), f"{kernel} was not compiled with checks"
    return done.stdout

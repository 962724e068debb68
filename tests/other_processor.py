"""Compiled code as another processor than this machine's gets it, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path


def run_as_processor(program: str, processor: str, *, cache: Path) -> str:
    """Run a Python program whose compiled code is made for a processor; return what it printed.

    Args:
        program: Python.
        processor: LLVM's name of one whose code this machine can run.
        cache: An empty folder for what is compiled.
    """
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        timeout=580,
        env=os.environ
        | {
            "NUMBA_CPU_NAME": processor,
            "NUMBA_CPU_FEATURES": "",
            "NUMBA_CACHE_DIR": str(cache),
        },
    )
    assert done.returncode == 0, done.stderr
    return done.stdout

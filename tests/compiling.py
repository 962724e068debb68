"""Compiles what numba compiles before workers begin, so that it takes nothing of a test's time."""

import subprocess
import sys

_ENCODERS = "import jobs.ingesting.preload"
_DECODERS = """
import numpy as np
from loader.flac_decoder import wait_until_ready
from shardwriter.aac import AacConfig, decode_aac

one_byte, at, size = np.zeros(1, np.uint8), np.zeros(1, np.int64), np.ones(1, np.int64)
config = AacConfig(sample_rate_hz=44_100, num_channels=2)
if decode_aac(one_byte, at, size, config, channel=None) is not None:
    raise SystemExit("a byte was decoded")
wait_until_ready()
"""


def compile_kernels() -> None:
    """Fill numba's cache, in two processes side by side; some seconds where it is full already.

    Raises:
        RuntimeError: one of them failed.
    """
    processes = [
        subprocess.Popen([sys.executable, "-c", source]) for source in (_ENCODERS, _DECODERS)
    ]
    statuses = [process.wait() for process in processes]
    if any(statuses):
        raise RuntimeError("a kernel does not compile")

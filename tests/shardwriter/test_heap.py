"""The memory of one clip serves the next."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

MAX_FAULTS_PER_CLIP = 60
"""Its arrays hold over 500 pages."""
PROGRAM = """
import io, resource
import numpy as np, soundfile
from shardwriter.audio import clean_audio

sink = io.BytesIO()
soundfile.write(sink, np.zeros(5 * 44_100, np.int16), 44_100, format="WAV")

def clean():
    clean_audio(sink.getvalue(), file="a.wav", sample_rate_hz=32_000, max_seconds=60)

for _ in range(3):
    clean()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    clean()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone is told")
def test_a_clip_takes_the_memory_that_the_last_one_left() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=True,
        timeout=120,
    )
    assert float(done.stdout) < MAX_FAULTS_PER_CLIP

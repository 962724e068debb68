"""The decoder compiled for processors that lack what this one may have."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
from tests.loader import test_flac_decoder as t, test_flac_some_frames as s
for name in t.signals():
    t.test_made_signals_are_bit_exact(name)
s.test_lanes_share_what_there_is_of_a_clip(192)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)  # it is compiled from scratch
def test_code_for_any_processor_of_this_kind_gives_the_same_samples(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True,
        cwd=Path(__file__).parents[2], timeout=580,
        env=os.environ
        | {
            "NUMBA_CPU_NAME": "generic",
            "NUMBA_CPU_FEATURES": "",
            "NUMBA_CACHE_DIR": str(tmp_path),
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

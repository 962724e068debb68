"""The decoder compiled for processors that lack what this one may have."""

from pathlib import Path

import pytest

from tests.other_processor import run_as_processor

PROGRAM = """
from tests.loader import test_flac_decoder as t, test_flac_some_frames as s
for name in t.signals():
    t.test_made_signals_are_bit_exact(name)
s.test_lanes_share_what_there_is_of_a_clip(192)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)  # it is compiled from scratch
def test_code_for_any_processor_of_this_kind_gives_the_same_samples(tmp_path: Path) -> None:
    run_as_processor(PROGRAM, "generic", cache=tmp_path)

"""A file that claims more packets than it holds takes little memory, whoever looks into it."""

import subprocess
import sys

import pytest

CHILD = """
import io
from jobs.fetching.excerpt import NoExcerptError, take_excerpt
from jobs.fetching.prefix import reached_seconds
from shardwriter.audio import Cut
from tests.shardwriter.test_hostile_audio import peak_mb, table_of_packets

data = table_of_packets(1 << 25)
{look}
print(peak_mb())
"""
LOOKS = {
    "how far it reaches": "assert reached_seconds(data) == 0",
    "for an excerpt": """
try:
    take_excerpt(io.BytesIO(data), head=data, cut=Cut(stop_seconds=1.0))
except NoExcerptError:
    pass
""",
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_packets_that_are_only_claimed_take_little_memory(look: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD.format(look=look)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 800

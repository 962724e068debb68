"""What is made beside the training loop, at the end of the process and of its wish."""

import subprocess
import sys
import threading

import pytest

from loader.augment.background import in_background

ENDS_AMID = """
import threading
from loader.augment.background import in_background

def make(stop):
    stop.wait()
    print("ended by itself", flush=True)

in_background(make, name="endless", stop=threading.Event())
"""


def test_a_process_that_ends_waits_for_what_it_was_making() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDS_AMID], check=True, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "ended by itself\n"


def test_what_was_raised_is_raised_where_the_result_is_asked_for() -> None:
    def fail(_: threading.Event) -> int:
        raise ValueError("no clips")

    with pytest.raises(ValueError, match="no clips"):
        in_background(fail, name="failing", stop=threading.Event()).result(60)

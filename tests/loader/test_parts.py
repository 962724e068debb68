"""In how many parts a batch is made."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.assemble import num_parts
from loader.flac_decoder import CLIPS_AT_ONCE


@given(
    num_rows=st.integers(1, 2000),
    num_bytes=st.integers(0, 10**9),
    num_threads=st.integers(1, 64),
    num_ahead=st.integers(0, 16),
)
def test_every_thread_has_work_and_no_part_is_smaller_than_what_is_decoded_at_once(
    num_rows: int, num_bytes: int, num_threads: int, num_ahead: int
) -> None:
    parts = num_parts(num_rows, num_bytes=num_bytes, num_threads=num_threads, num_ahead=num_ahead)
    assert parts == 1 or num_rows >= parts * CLIPS_AT_ONCE
    is_as_fine_as_can_be = num_rows < (parts + 1) * CLIPS_AT_ONCE
    assert is_as_fine_as_can_be or parts * (1 + num_ahead) >= 2 * num_threads
    assert is_as_fine_as_can_be or num_bytes <= parts * (16 << 20)


@pytest.mark.parametrize(
    ("num_threads", "num_ahead", "expected"),
    [(1, 4, 1), (2, 4, 1), (4, 4, 2), (8, 4, 4), (64, 4, 8), (2, 1, 2), (2, 0, 4)],
)
def test_a_batch_of_64_is_cut_no_finer_than_the_threads_need(
    num_threads: int, num_ahead: int, expected: int
) -> None:
    parts = num_parts(64, num_bytes=13 << 20, num_threads=num_threads, num_ahead=num_ahead)
    assert parts == expected


def test_long_clips_are_decoded_a_few_at_a_time() -> None:
    assert num_parts(64, num_bytes=64 * 1_200_000, num_threads=1, num_ahead=4) == 5
    assert num_parts(64, num_bytes=64 * 10**9, num_threads=1, num_ahead=4) == 8

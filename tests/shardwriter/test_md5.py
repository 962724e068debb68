"""MD5s of several clips at once against hashlib's."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardwriter.md5 import GROUP_CLIPS, pcm_md5s
from shardwriter.md5_kernel import LANES
from tests.other_processor import run_as_processor
from tests.shardwriter.properties import bounded


def noise_of(*lengths: int) -> list[np.ndarray]:
    rng = np.random.default_rng(sum(lengths))
    return [rng.integers(-32768, 32768, length, dtype=np.int16) for length in lengths]


def by_hashlib(pcms: list[np.ndarray]) -> list[bytes]:
    return [hashlib.md5(pcm_T.tobytes()).digest() for pcm_T in pcms]


@pytest.mark.parametrize("first", range(0, 160, GROUP_CLIPS))
def test_every_length_around_the_ends_of_blocks_is_padded_right(first: int) -> None:
    pcms = noise_of(*(1 + first + lane for lane in range(GROUP_CLIPS)))
    assert pcm_md5s(pcms) == by_hashlib(pcms)


@bounded(max_examples=150)
@given(st.lists(st.integers(1, 1500), max_size=2 * GROUP_CLIPS + 3))
def test_any_number_of_clips_of_any_lengths_agrees_with_hashlib(lengths: list[int]) -> None:
    pcms = noise_of(*lengths)
    assert pcm_md5s(pcms) == by_hashlib(pcms)


def test_clips_that_end_long_before_the_longest_keep_their_md5() -> None:
    pcms = noise_of(*[4000] * 9, 1, 255, 256, 257, 300)
    assert pcm_md5s(pcms) == by_hashlib(pcms)


def test_views_and_what_can_not_be_written_are_hashed_as_their_samples_are() -> None:
    wave_T = noise_of(32_000)[0]
    held = np.frombuffer(wave_T.tobytes(), np.int16)
    backwards, every_second = wave_T[::-1], wave_T[::2]
    pcms = [backwards, every_second, held, held[1:], *[wave_T] * 4]
    assert pcm_md5s(pcms) == by_hashlib(pcms)


def test_callers_know_how_many_clips_go_at_once() -> None:
    assert GROUP_CLIPS == LANES


@pytest.mark.slow
def test_a_processor_without_wide_vectors_gives_the_same(tmp_path: Path) -> None:
    pcms = noise_of(*range(100, 100 + GROUP_CLIPS))
    program = (
        "from shardwriter.md5 import pcm_md5s\n"
        "from tests.shardwriter.test_md5 import noise_of\n"
        f"print(b''.join(pcm_md5s(noise_of(*range(100, {100 + GROUP_CLIPS})))).hex())"
    )
    printed = run_as_processor(program, "generic", cache=tmp_path)
    assert printed.strip() == b"".join(by_hashlib(pcms)).hex()

"""Rounding to 16 bit, against the same in numpy's own steps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardwriter.quantise import Dither, to_float, to_pcm16
from tests.shardwriter.properties import bounded

AT_THE_EDGES = [
    *(0.0, 0.5, 1.5, 2.5, -0.5, -1.5, 32_766.5, 32_767.0, 32_767.4, 32_767.5, 32_768.0),
    *(-32_768.0, -32_768.5, -32_768.6, -32_769.0, 3e9, -3e9, 3.4e38, -3.4e38),
]


def by_numpy(scaled_T: np.ndarray) -> tuple[np.ndarray, int]:
    rounded_T = np.rint(scaled_T)
    limited_T = np.clip(rounded_T, -32768, 32767)
    return limited_T.astype(np.int16), int((limited_T != rounded_T).sum())


@bounded(max_examples=100)
@given(st.lists(st.floats(-70_000, 70_000, width=32) | st.sampled_from(AT_THE_EDGES), max_size=70))
def test_samples_are_rounded_to_even_and_limited(values: list[float]) -> None:
    scaled_T = np.array(values, np.float32)
    with np.errstate(under="ignore"):
        wave_T = scaled_T / np.float32(32768)
    pcm_T, num_clipped = to_pcm16(wave_T)
    expected_T, expected_clipped = by_numpy(wave_T * np.float32(32768))
    np.testing.assert_array_equal(pcm_T, expected_T)
    assert (pcm_T.dtype, num_clipped) == (np.int16, expected_clipped)


def test_dither_is_that_of_the_seed_added_before_rounding() -> None:
    wave_T = np.sin(np.arange(5000, dtype=np.float32)) * np.float32(1.00003)
    rng = np.random.Generator(np.random.PCG64(7))
    scaled_T = wave_T * np.float32(32768)
    scaled_T += rng.random(len(wave_T), dtype=np.float32)
    scaled_T -= rng.random(len(wave_T), dtype=np.float32)
    before_T = wave_T.copy()
    pcm_T, num_clipped = to_pcm16(wave_T, dither=Dither.TPDF, seed=7)
    expected_T, expected_clipped = by_numpy(scaled_T)
    np.testing.assert_array_equal(pcm_T, expected_T)
    np.testing.assert_array_equal(wave_T, before_T)
    assert num_clipped == expected_clipped > 0


def test_every_16_bit_sample_survives_the_way_to_float_and_back() -> None:
    pcm_T = np.arange(-32768, 32768).astype(np.int16)
    wave_T = to_float(pcm_T)
    assert (wave_T.dtype, wave_T.min(), wave_T.max()) == (np.float32, -1.0, 32767 / 32768)
    back_T, num_clipped = to_pcm16(wave_T)
    np.testing.assert_array_equal(back_T, pcm_T)
    assert num_clipped == 0


@pytest.mark.parametrize("step", [-1, 3])
def test_views_and_samples_that_can_not_be_written_are_read_as_they_are(step: int) -> None:
    held_T = np.frombuffer(np.arange(-300, 300, dtype=np.int16).tobytes(), np.int16)
    expected_T = held_T[::step].copy()
    np.testing.assert_array_equal(to_float(held_T[::step]) * 32768, expected_T)
    np.testing.assert_array_equal(to_float(held_T) * 32768, held_T)
    np.testing.assert_array_equal(to_pcm16(to_float(held_T)[::step])[0], expected_T)

"""The level of a clip, and noise added at a ratio of levels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.noise_level import active_power, mix_noise

HZ = 8000


def pcm(seed: int, num_samples: int, amplitude: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.rint(rng.uniform(-amplitude, amplitude, num_samples)).astype(np.int16)


def power_db(pcm_T: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(pcm_T.astype(float) / 32768))))


def test_level_is_the_mean_square_of_full_scale_one() -> None:
    assert active_power(np.full(800, -32768, np.int16), sample_rate_hz=HZ) == 1.0
    assert active_power(np.full(801, 16384, np.int16), sample_rate_hz=HZ) == 0.25


def test_silent_parts_are_no_part_of_the_level() -> None:
    loud_T = pcm(0, 4 * HZ, 9000)
    padded_T = np.concatenate([np.zeros(3 * HZ, np.int16), loud_T, pcm(1, HZ, 20)])
    expected = active_power(loud_T, sample_rate_hz=HZ)
    assert active_power(padded_T, sample_rate_hz=HZ) == pytest.approx(expected, rel=1e-12)


def test_clip_that_is_quiet_throughout_has_the_level_of_all_of_it() -> None:
    quiet_T = pcm(0, 2 * HZ, 30)
    expected = 10 ** (power_db(quiet_T) / 10)
    assert active_power(quiet_T, sample_rate_hz=HZ) == pytest.approx(expected)
    assert active_power(np.zeros(0, np.int16), sample_rate_hz=HZ) == 0.0


@settings(deadline=None)
@given(
    snr_db=st.floats(-10, 30),
    amplitudes=st.tuples(st.integers(2000, 9000), st.integers(2000, 30000)),
    num_samples=st.integers(400, 4000),
)
def test_added_noise_has_the_ratio_asked_for_within_rounding(
    snr_db: float, amplitudes: tuple[int, int], num_samples: int
) -> None:
    clip_T, noise_T = pcm(1, num_samples, amplitudes[0]), pcm(2, num_samples, amplitudes[1])
    mixed_T = mix_noise(clip_T, noise_T, snr_db=snr_db, sample_rate_hz=HZ)
    assert mixed_T is not None
    # Least squares tells the two apart, also where the sum was turned down.
    parts, *_ = np.linalg.lstsq(
        np.stack([clip_T, noise_T], axis=1).astype(float), mixed_T.astype(float), rcond=None
    )
    got_db = power_db(clip_T) - power_db(noise_T) - 20 * np.log10(parts[1] / parts[0])
    assert got_db == pytest.approx(snr_db, abs=0.1)
    residue_T = mixed_T - clip_T * parts[0] - noise_T * parts[1]
    assert np.abs(residue_T).max() < 2


def test_overload_is_turned_down_as_a_whole_and_not_clipped() -> None:
    clip_T, noise_T = pcm(1, HZ, 32767), pcm(2, HZ, 32767)
    mixed_T = mix_noise(clip_T, noise_T, snr_db=0.0, sample_rate_hz=HZ)
    assert mixed_T is not None
    assert np.abs(mixed_T.astype(int)).max() == 32767
    assert np.count_nonzero(np.abs(mixed_T.astype(int)) == 32767) < 5


def test_sum_within_full_scale_keeps_the_level_of_the_clip() -> None:
    clip_T = pcm(1, HZ, 9000)
    mixed_T = mix_noise(clip_T, pcm(2, HZ, 500), snr_db=40.0, sample_rate_hz=HZ)
    assert mixed_T is not None
    assert np.abs(mixed_T.astype(int) - clip_T).max() < 0.011 * 9000


@pytest.mark.parametrize(("clip", "noise"), [(0, 9000), (9000, 0)])
def test_nothing_is_mixed_where_one_is_silent(clip: int, noise: int) -> None:
    assert mix_noise(pcm(1, 900, clip), pcm(2, 900, noise), snr_db=3, sample_rate_hz=HZ) is None

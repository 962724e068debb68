"""How long a clip may be, and must be by the catalogue."""

import struct

import numpy as np
import pytest

from shardwriter.audio import DurationRule
from tests.audio import RATE_HZ, encoded, noise
from tests.shardwriter.cleaning import clean, reason_of


@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG"])
@pytest.mark.parametrize("seconds", [1, 40])
def test_clip_over_the_bound_is_too_long(container: str, seconds: int) -> None:
    """40 s are several of the blocks that are read at a time, 1 s is less than one."""
    data = encoded(np.zeros(seconds * RATE_HZ, np.int16), container=container)
    assert reason_of(data, max_seconds=seconds - 0.5) == "too_long"
    assert reason_of(data, max_seconds=seconds) is None


def test_clip_one_sample_over_the_bound_is_too_long() -> None:
    assert reason_of(encoded(noise(8001)), max_seconds=1.0) == "too_long"


def test_streamed_wav_over_the_bound_is_too_long() -> None:
    data = bytearray(encoded(noise(9000)))
    data[40:44] = struct.pack("<I", 0xFFFFFFFF)
    assert reason_of(bytes(data), max_seconds=1.0) == "too_long"


@pytest.mark.parametrize("num_samples", [7199, 8801, 16_000])
def test_duration_beyond_the_tolerance_is_refused(num_samples: int) -> None:
    rule = DurationRule(seconds=1.0, tolerance_seconds=0.1)
    assert reason_of(encoded(noise(num_samples)), duration=rule) == "wrong_duration"


@pytest.mark.parametrize("num_samples", [7201, 8000, 8799])
def test_duration_within_the_tolerance_is_left_as_it_is(num_samples: int) -> None:
    rule = DurationRule(seconds=1.0, tolerance_seconds=0.1)
    cleaned = clean(encoded(noise(num_samples)), duration=rule)
    np.testing.assert_array_equal(cleaned.pcm_T, noise(num_samples))


def test_fit_pads_with_zeros_at_the_end() -> None:
    rule = DurationRule(seconds=1.0, tolerance_seconds=0.1, fit=True)
    cleaned = clean(encoded(noise(7500)), duration=rule)
    np.testing.assert_array_equal(cleaned.pcm_T, np.pad(noise(7500), (0, 500)))
    assert cleaned.source.num_samples == 7500


def test_fit_cuts_at_the_end() -> None:
    rule = DurationRule(seconds=1.0, tolerance_seconds=0.1, fit=True)
    cleaned = clean(encoded(noise(8500)), duration=rule)
    np.testing.assert_array_equal(cleaned.pcm_T, noise(8500)[:8000])


@pytest.mark.parametrize("source_hz", [11_025, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("extra", [-7, 0, 7])
def test_fit_is_exact_after_resampling(source_hz: int, extra: int) -> None:
    rule = DurationRule(seconds=1.0, tolerance_seconds=0.1, fit=True)
    data = encoded(noise(source_hz + extra), rate_hz=source_hz)
    assert len(clean(data, rate_hz=32_000, duration=rule).pcm_T) == 32_000

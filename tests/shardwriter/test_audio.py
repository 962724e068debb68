"""Bytes to mono 16-bit samples, against soundfile, soxr and numpy."""

import hashlib
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shardwriter.audio import provenance, resample, to_pcm16
from tests.audio import encoded, noise, tone
from tests.shardwriter.cleaning import SMALLEST_ESC10, clean
from tests.shardwriter.properties import bounded


def rounded(wave_T: np.ndarray) -> np.ndarray:
    """The reference for 16 bit, in double precision: nearest, halves to even, limited."""
    return np.clip(np.rint(wave_T.astype(np.float64) * 32768), -32768, 32767).astype(np.int16)


@pytest.mark.parametrize("container", ["WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC"])
@pytest.mark.parametrize("num_samples", [1, 2, 3001])
def test_16_bit_mono_comes_through_bit_for_bit(container: str, num_samples: int) -> None:
    pcm_T = noise(num_samples, limit=32767)
    cleaned = clean(encoded(pcm_T, container=container))
    np.testing.assert_array_equal(cleaned.pcm_T, pcm_T)
    assert cleaned.pcm_T.dtype == np.int16
    assert cleaned.num_clipped == 0


def test_every_16_bit_value_survives() -> None:
    pcm_T = np.arange(-32768, 32768).astype(np.int16)
    np.testing.assert_array_equal(clean(encoded(pcm_T), max_seconds=9).pcm_T, pcm_T)


def test_8_bit_is_scaled_exactly() -> None:
    pcm_T = noise(2000)
    reference_T = pcm_T >> 8 << 8
    read_T = clean(encoded(reference_T.astype(np.int16), subtype="PCM_U8")).pcm_T
    np.testing.assert_array_equal(read_T, reference_T)


@pytest.mark.parametrize("container", ["WAV", "FLAC"])
def test_24_bit_is_rounded_to_the_nearest_16_bit_value(container: str) -> None:
    pcm24_T = np.random.default_rng(1).integers(-(2**23), 2**23, size=3000)
    data = encoded((pcm24_T << 8).astype(np.int32), container=container, subtype="PCM_24")
    np.testing.assert_array_equal(clean(data).pcm_T, rounded(pcm24_T / 2**23))


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_float_is_rounded_and_limited_and_the_limited_samples_counted(subtype: str) -> None:
    wave_T = np.random.default_rng(2).uniform(-1.5, 1.5, 3000).astype(np.float32)
    cleaned = clean(encoded(wave_T, subtype=subtype))
    np.testing.assert_array_equal(cleaned.pcm_T, rounded(wave_T))
    scaled_T = np.rint(wave_T * 32768.0)
    assert cleaned.num_clipped == np.count_nonzero((scaled_T > 32767) | (scaled_T < -32768)) > 100


def test_samples_over_full_scale_are_limited_and_counted() -> None:
    wave_T = np.array([3e4, -3e4, 0.5], np.float32)
    cleaned = clean(encoded(wave_T, subtype="FLOAT"))
    assert cleaned.pcm_T.tolist() == [32767, -32768, 16384]
    assert cleaned.num_clipped == 2


@bounded(max_examples=100)
@given(wave_T=hnp.arrays(np.float32, 50, elements=st.floats(-2, 2, width=32)))
def test_rounding_equals_double_precision(wave_T: np.ndarray) -> None:
    np.testing.assert_array_equal(to_pcm16(wave_T)[0], rounded(wave_T))


@pytest.mark.parametrize("num_channels", [2, 3, 6])
def test_channels_are_averaged(num_channels: int) -> None:
    pcm_TC = noise(2000 * num_channels).reshape(2000, num_channels)
    cleaned = clean(encoded(pcm_TC, subtype="PCM_16"))
    reference_T = (pcm_TC / np.float32(32768)).mean(axis=1, dtype=np.float32)
    np.testing.assert_array_equal(cleaned.pcm_T, rounded(reference_T))
    assert cleaned.source.num_channels == num_channels


def test_left_and_right_that_cancel_give_silence() -> None:
    pcm_T = noise(500)
    assert not clean(encoded(np.stack([pcm_T, -pcm_T], axis=1))).pcm_T.any()


@pytest.mark.parametrize("source_hz", [11_025, 16_000, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled_as_soxr_does(source_hz: int) -> None:
    pcm_T = noise(source_hz, limit=30_000)
    cleaned = clean(encoded(pcm_T, rate_hz=source_hz), rate_hz=32_000)
    reference_T = soxr.resample(pcm_T / np.float32(32768), source_hz, 32_000, quality="HQ")
    np.testing.assert_array_equal(cleaned.pcm_T, rounded(reference_T))
    assert len(cleaned.pcm_T) == 32_000


def test_stereo_at_44_100_hz_is_averaged_then_resampled() -> None:
    pcm_TC = noise(8820).reshape(4410, 2)
    mono_T = (pcm_TC / np.float32(32768)).mean(axis=1, dtype=np.float32)
    reference_T = rounded(soxr.resample(mono_T, 44_100, 32_000, quality="HQ"))
    cleaned = clean(encoded(pcm_TC, rate_hz=44_100), rate_hz=32_000)
    np.testing.assert_array_equal(cleaned.pcm_T, reference_T)


def test_resampled_tone_is_the_tone_at_the_new_rate() -> None:
    wave_T = tone(44_100, rate_hz=44_100)
    cleaned = clean(encoded(wave_T, rate_hz=44_100, subtype="FLOAT"), rate_hz=32_000)
    error_T = cleaned.pcm_T / 32768 - tone(32_000, rate_hz=32_000)
    assert np.abs(error_T[1000:-1000]).max() < 1 / 32768


def test_resampling_to_the_same_rate_is_nothing() -> None:
    wave_T = tone(100).astype(np.float32)
    assert resample(wave_T, from_hz=8000, to_hz=8000) is wave_T


def test_source_is_described() -> None:
    data = encoded(noise(600).reshape(300, 2), rate_hz=16_000, subtype="PCM_24")
    source = clean(data).source
    assert source.file == "a.wav"
    assert source.container == "wav/PCM_24"
    assert (source.sample_rate_hz, source.num_channels, source.num_samples) == (16_000, 2, 300)
    assert source.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("path", SMALLEST_ESC10, ids=lambda path: path.stem)
def test_real_clip_is_what_ffmpeg_and_soxr_make_of_it(path: Path) -> None:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    reference_T = soxr.resample(np.concatenate(frames), 48_000, 32_000, quality="HQ")
    cleaned = clean(path.read_bytes(), rate_hz=32_000)
    np.testing.assert_array_equal(cleaned.pcm_T, rounded(reference_T))
    assert len(cleaned.pcm_T) == 5 * 32_000


@pytest.mark.parametrize("path", SMALLEST_ESC10, ids=lambda path: path.stem)
def test_real_clip_is_within_a_step_of_what_libsndfile_decodes(path: Path) -> None:
    wave_T, source_hz = soundfile.read(path, dtype="float32")
    reference_T = soxr.resample(wave_T, source_hz, 32_000, quality="HQ")
    difference_T = clean(path.read_bytes(), rate_hz=32_000).pcm_T - rounded(reference_T)
    assert np.abs(difference_T).max() <= 1
    assert np.count_nonzero(difference_T) < 20


def test_provenance_names_every_step_and_its_library() -> None:
    steps = provenance()
    assert f"libsndfile {soundfile.__libsndfile_version__};" in steps["decoder"]
    assert "FFmpeg libavcodec" in steps["decoder"]
    assert "melstream plain WAV" in steps["decoder"]
    assert soxr.__version__ in steps["resampler"]

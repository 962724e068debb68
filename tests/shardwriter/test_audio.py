"""Bytes to mono 16-bit samples, against soundfile, soxr and numpy."""

import hashlib
import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shardwriter.audio import CleanAudio, DurationRule, clean_audio, provenance, resample, to_pcm16
from shardwriter.errors import AudioError
from shardwriter.schema import RejectionReason
from tests.audio import RATE_HZ, encoded, noise, tone
from tests.shardwriter.properties import bounded

ESC10 = Path(__file__).parents[2] / "jobs" / "sample" / "esc10" / "audio"
SMALLEST_ESC10 = sorted(ESC10.glob("*.ogg"), key=lambda path: (path.stat().st_size, path.name))[:3]
CUT_REASONS = {RejectionReason.EMPTY, RejectionReason.UNREADABLE, RejectionReason.TRUNCATED}


def clean(
    data: bytes,
    *,
    rate_hz: int = RATE_HZ,
    max_seconds: float = 10.0,
    duration: DurationRule | None = None,
) -> CleanAudio:
    return clean_audio(
        data, file="a.wav", sample_rate_hz=rate_hz, max_seconds=max_seconds, duration=duration
    )


def reason_of(data: bytes, **options: Any) -> RejectionReason | None:
    """Why the bytes are refused; None if they are not."""
    try:
        clean(data, **options)
    except AudioError as err:
        return RejectionReason(err.reason)
    return None


def reasons_of_cuts(data: bytes, cuts: range) -> dict[int, RejectionReason | None]:
    return {cut: reason_of(data[:cut]) for cut in cuts}


def rounded(wave_T: np.ndarray) -> np.ndarray:
    """The reference for 16 bit, in double precision: nearest, halves to even, limited."""
    return np.clip(np.rint(wave_T.astype(np.float64) * 32768), -32768, 32767).astype(np.int16)


# What comes through


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


# What is refused


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rate_hz", [RATE_HZ, 16_000])
def test_samples_that_are_not_finite_are_refused(bad: float, rate_hz: int) -> None:
    wave_T = tone(1000).astype(np.float32)
    wave_T[700] = bad
    assert reason_of(encoded(wave_T, subtype="FLOAT"), rate_hz=rate_hz) == "not_finite"


def test_samples_beyond_single_precision_are_refused() -> None:
    assert reason_of(encoded(np.full(100, 1e300), subtype="DOUBLE")) == "not_finite"


def test_samples_so_large_that_the_downmix_overflows_are_refused() -> None:
    wave_TC = np.full((100, 2), 3e38, np.float32)
    assert reason_of(encoded(wave_TC, subtype="FLOAT")) == "not_finite"


def test_samples_so_large_that_resampling_overflows_are_refused() -> None:
    wave_T = np.tile(np.array([3e38, -3e38], np.float32), 500)
    assert reason_of(encoded(wave_T, subtype="FLOAT"), rate_hz=16_000) == "not_finite"


def test_huge_finite_samples_are_refused_as_no_audio() -> None:
    wave_T = np.array([3e38, -3e38, 0.5], np.float32)
    assert reason_of(encoded(wave_T, subtype="FLOAT")) == "not_finite"


def test_samples_over_full_scale_are_limited_and_counted() -> None:
    wave_T = np.array([3e4, -3e4, 0.5], np.float32)
    cleaned = clean(encoded(wave_T, subtype="FLOAT"))
    assert cleaned.pcm_T.tolist() == [32767, -32768, 16384]
    assert cleaned.num_clipped == 2


def test_no_bytes_are_empty() -> None:
    assert reason_of(b"") == "empty"


@pytest.mark.parametrize("container", ["WAV", "AIFF", "AU"])
def test_file_without_samples_is_empty(container: str) -> None:
    assert reason_of(encoded(noise(0), container=container)) == "empty"


def test_clip_of_less_than_one_sample_at_the_wanted_rate_is_empty() -> None:
    assert reason_of(encoded(noise(1), rate_hz=192_000)) == "empty"


def test_clip_that_a_rule_cuts_to_nothing_is_empty() -> None:
    rule = DurationRule(seconds=0.0, tolerance_seconds=5.0, fit=True)
    assert reason_of(encoded(noise(100)), duration=rule) == "empty"


@pytest.mark.parametrize("container", ["WAV", "WAVEX"])
def test_wav_cut_at_any_byte_of_its_audio_is_truncated(container: str) -> None:
    data = encoded(noise(300), container=container)
    start = data.index(b"data") + 8
    reasons = reasons_of_cuts(data, range(start, len(data)))
    assert len(reasons) == 600
    assert set(reasons.values()) == {"truncated"}


@pytest.mark.parametrize("container", ["WAV", "WAVEX", "RF64", "W64", "AIFF", "AU"])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_file_whose_header_tells_its_length_is_refused_when_cut_anywhere(
    container: str, subtype: str
) -> None:
    data = encoded(noise(100), container=container, subtype=subtype)
    reasons = reasons_of_cuts(data, range(len(data)))
    assert reason_of(data) is None
    assert set(reasons.values()) <= CUT_REASONS


@pytest.mark.parametrize("subtype", ["ULAW", "IMA_ADPCM", "PCM_U8"])
def test_wav_of_other_codecs_is_refused_when_cut_anywhere(subtype: str) -> None:
    data = encoded(noise(800), subtype=subtype)
    reasons = reasons_of_cuts(data, range(0, len(data), 3))
    assert set(reasons.values()) <= CUT_REASONS


def test_flac_cut_anywhere_is_refused() -> None:
    data = encoded(noise(6000), container="FLAC")
    reasons = reasons_of_cuts(data, range(0, len(data), 11))
    assert set(reasons.values()) <= CUT_REASONS | {RejectionReason.CORRUPT}  # by its MD5


def test_mp3_cut_anywhere_is_refused() -> None:
    data = encoded(noise(4000), container="MP3")
    reasons = reasons_of_cuts(data, range(0, len(data), 11))
    assert set(reasons.values()) <= CUT_REASONS


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_cut_anywhere_is_refused_under_a_duration_rule(subtype: str) -> None:
    """An Ogg stream may end at any page, so only the catalogue can tell that it was longer."""
    data = encoded(noise(3 * 8000), container="OGG", subtype=subtype)
    rule = DurationRule(seconds=3.0, tolerance_seconds=0.02)
    assert reason_of(data, duration=rule) is None
    reasons = {
        cut: reason_of(data[:cut], duration=rule)
        for cut in range(0, len(data) - 1, len(data) // 150)
    }
    assert len(reasons) >= 150
    assert set(reasons.values()) <= CUT_REASONS | {RejectionReason.WRONG_DURATION}


def test_real_ogg_clip_cut_anywhere_is_refused_under_a_duration_rule() -> None:
    data = SMALLEST_ESC10[0].read_bytes()
    rule = DurationRule(seconds=5.0, tolerance_seconds=0.01)
    cuts = np.random.default_rng(0).integers(0, len(data) - 1, 20).tolist()
    reasons = {reason_of(data[:cut], rate_hz=44_100, duration=rule) for cut in cuts}
    assert reasons <= CUT_REASONS | {RejectionReason.WRONG_DURATION}


def test_truncation_message_names_the_file_and_both_lengths() -> None:
    data = encoded(noise(300))
    with pytest.raises(AudioError, match=r"a\.wav.*644.*500") as caught:
        clean(data[:500])
    assert caught.value.reason == "truncated"


@pytest.mark.parametrize("num_bytes", [0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_wav_that_was_written_to_a_pipe_is_read_to_its_end(num_bytes: int) -> None:
    data = bytearray(encoded(noise(300)))
    data[4:8] = struct.pack("<I", 0xFFFFFFFF)
    data[40:44] = struct.pack("<I", num_bytes)
    np.testing.assert_array_equal(clean(bytes(data)).pcm_T, noise(300))


def test_flac_without_a_sample_count_as_ffmpeg_writes_to_a_pipe_is_read() -> None:
    data = bytearray(encoded(noise(300), container="FLAC"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    np.testing.assert_array_equal(clean(bytes(data)).pcm_T, noise(300))


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


def test_flac_header_that_claims_days_of_audio_takes_no_memory_and_is_refused() -> None:
    data = bytearray(encoded(noise(300), container="FLAC"))
    data[22:26] = struct.pack(">I", 0xFFFFFFFF)
    assert reason_of(bytes(data)) in CUT_REASONS


# The catalogue's duration


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


# Garbage

CONTAINERS = [
    ("WAV", "PCM_16"),
    ("WAV", "FLOAT"),
    ("WAV", "IMA_ADPCM"),
    ("RF64", "PCM_16"),
    ("W64", "PCM_16"),
    ("AIFF", "PCM_16"),
    ("AU", "PCM_16"),
    ("CAF", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
]
MAGICS = [b"", b"RIFF", b"fLaC", b"OggS", b"FORM", b".snd", b"ID3", b"caff", b"RF64", b"\xff\xfb"]


@bounded(max_examples=200)
@given(magic=st.sampled_from(MAGICS), rest=st.binary(max_size=200))
def test_garbage_is_refused_as_audio_and_nothing_else(magic: bytes, rest: bytes) -> None:
    assert reason_of(magic + rest) in {None, *RejectionReason}


@bounded(max_examples=400)
@given(
    container=st.sampled_from(CONTAINERS),
    edits=st.lists(st.tuples(st.integers(0, 150), st.integers(0, 255)), min_size=1, max_size=6),
    has_rule=st.booleans(),
)
def test_damaged_file_is_read_or_refused_and_nothing_else(
    container: tuple[str, str], edits: list[tuple[int, int]], has_rule: bool
) -> None:
    data = bytearray(encoded(noise(500), container=container[0], subtype=container[1]))
    for position, value in edits:
        data[position % len(data)] = value
    rule = DurationRule(seconds=500 / RATE_HZ, tolerance_seconds=1e9, fit=True)
    assert reason_of(bytes(data), duration=rule if has_rule else None) in {None, *RejectionReason}

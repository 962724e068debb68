"""Files whose end is missing are refused, and those whose header doesn't know the end are not."""

import struct

import numpy as np
import pytest

from shardwriter.audio import DurationRule
from shardwriter.errors import AudioError
from shardwriter.schema import RejectionReason
from tests.audio import encoded, noise
from tests.shardwriter.cleaning import CUT_REASONS, SMALLEST_ESC10, clean, reason_of


def reasons_of_cuts(data: bytes, cuts: range) -> dict[int, RejectionReason | None]:
    return {cut: reason_of(data[:cut]) for cut in cuts}


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


def test_flac_header_that_claims_days_of_audio_takes_no_memory_and_is_refused() -> None:
    data = bytearray(encoded(noise(300), container="FLAC"))
    data[22:26] = struct.pack(">I", 0xFFFFFFFF)
    assert reason_of(bytes(data)) in CUT_REASONS

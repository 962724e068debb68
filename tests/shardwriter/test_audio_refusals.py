"""Files without a sound in them: samples that are no numbers, no samples, garbage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardwriter.audio import DurationRule
from shardwriter.schema import RejectionReason
from tests.audio import RATE_HZ, encoded, noise, tone
from tests.shardwriter.cleaning import reason_of
from tests.shardwriter.properties import bounded


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

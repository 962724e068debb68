"""The FLAC decoder is bit-exact with libsndfile, whatever an encoder made and is asked for."""

from pathlib import Path

import numpy as np
import pyflac
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.sample import sample_folder
from shardwriter.flac import encode_flac
from tests.loader import flac_bits as bits
from tests.loader.flac_decoding import (
    CUTS,
    RATE_HZ,
    by_libsndfile,
    cut_out,
    decode,
    pcm_of,
    runs_of_noise,
    signals,
)


def encode_at_level(pcm_T: np.ndarray, *, level: int, block: int) -> bytes:
    sink = bytearray()
    encoder = pyflac.StreamEncoder(
        sample_rate=RATE_HZ,
        write_callback=lambda data, *_: sink.extend(data),
        compression_level=level,
        blocksize=block,
        streamable_subset=False,
    )
    encoder.process(pcm_T)
    encoder.finish()
    sink[22:26] = len(pcm_T).to_bytes(4, "big")  # pyFLAC leaves it out where it can't go back
    return bytes(sink)


def recordings() -> list[np.ndarray]:
    paths = sorted(
        path
        for path in Path(str(sample_folder())).rglob("*")
        if path.suffix in (".flac", ".opus", ".wav", ".ogg")
    )[::60]
    assert len(paths) >= 4
    return [soundfile.read(path, dtype="int16", always_2d=True)[0][:, 0] for path in paths]


@pytest.mark.parametrize("frame_num_samples", [1152, 4096])
def test_recordings_are_bit_exact(frame_num_samples: int) -> None:
    for pcm_T in recordings():
        data = encode_flac(pcm_T, sample_rate_hz=32_000, frame_num_samples=frame_num_samples).data
        assert np.array_equal(by_libsndfile(data), pcm_T)
        assert np.array_equal(decode(data, len(pcm_T), rate=32_000), pcm_T)
        for start in range(0, len(pcm_T) - 9000, 7919):
            got_T = decode(data, len(pcm_T), start=start, num=9000, rate=32_000)
            assert np.array_equal(got_T, pcm_T[start : start + 9000])


@pytest.mark.parametrize("level", range(9))
def test_every_compression_level_is_bit_exact(level: int) -> None:
    pcm_T = np.ascontiguousarray(recordings()[0][:40_000])
    for block in (1152, 4096):
        data = encode_at_level(pcm_T, level=level, block=block)
        assert np.array_equal(decode(data, len(pcm_T)), pcm_T)
        assert np.array_equal(decode(data, len(pcm_T), start=30_001, num=99), pcm_T[30_001:30_100])


@pytest.mark.parametrize("name", list(signals()))
def test_made_signals_are_bit_exact(name: str) -> None:
    pcm_T = signals()[name].astype(np.int16)
    for block in (16, 17, 192, 576, 1000, 1152, 4608, 9001, 65535):
        data = encode_flac(pcm_T, sample_rate_hz=RATE_HZ, frame_num_samples=block).data
        assert np.array_equal(decode(data, len(pcm_T)), pcm_T)
        assert np.array_equal(decode(data, len(pcm_T), start=4321, num=777), pcm_T[4321:5098])


def test_clips_of_few_samples_are_bit_exact() -> None:
    for num_samples in range(1, 21):
        pcm_T = np.arange(num_samples, dtype=np.int16) * 1000
        data = encode_flac(pcm_T, sample_rate_hz=RATE_HZ, frame_num_samples=16).data
        assert np.array_equal(decode(data, num_samples), pcm_T)


@pytest.mark.parametrize(
    "rate",
    [8000, 11025, 12345, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 176400, 192000],
)  # fmt: skip
def test_every_rate_is_bit_exact(rate: int) -> None:
    pcm_T = np.array(bits.noise(700), dtype=np.int16)
    data = encode_flac(pcm_T, sample_rate_hz=rate, frame_num_samples=64).data
    assert np.array_equal(decode(data, 700, rate=rate), pcm_T)


@settings(max_examples=60, deadline=None)
@given(runs=runs_of_noise(longest=400), block=st.integers(16, 700), cut=CUTS)
def test_any_signal_and_any_window_is_bit_exact(
    runs: list[tuple[int, int, int]], block: int, cut: tuple[float, float]
) -> None:
    pcm_T = pcm_of(runs)
    data = encode_flac(pcm_T, sample_rate_hz=RATE_HZ, frame_num_samples=block).data
    start, num = cut_out(len(pcm_T), cut)
    assert np.array_equal(
        decode(data, len(pcm_T), start=start, num=num), pcm_T[start : start + num]
    )


def test_every_window_over_frame_borders_is_bit_exact() -> None:
    pcm_T = np.array(bits.noise(500), dtype=np.int16)
    data = encode_flac(pcm_T, sample_rate_hz=RATE_HZ, frame_num_samples=32).data
    for num in (1, 31, 32, 33, 300):
        for start in range(500 - num + 1):
            got_T = decode(data, 500, start=start, num=num)
            assert np.array_equal(got_T, pcm_T[start : start + num])

"""Frames found by scanning are those that the encoder wrote."""

import io
import random

import numpy as np
import pytest
import soundfile

from shardwriter.errors import ShardFormatError
from shardwriter.flac import encode_flac
from shardwriter.flac_frames import find_frame_offsets, read_stream_info

LOUDNESS = (0, 40, 3000, 30_000)


@pytest.mark.parametrize("num_samples", [1, 15, 16, 1152, 1153, 40_000])
@pytest.mark.parametrize("frame_num_samples", [16, 64, 1152, 4608])
@pytest.mark.parametrize("sample_rate_hz", [1001, 8000, 32_000, 655_350])
def test_scan_finds_the_frames_that_the_encoder_wrote(
    num_samples: int, frame_num_samples: int, sample_rate_hz: int
) -> None:
    rng = np.random.default_rng(num_samples)
    for loudness in LOUDNESS:
        wave_T = (rng.normal(size=num_samples) * loudness).clip(-32768, 32767).astype(np.int16)
        stream = encode_flac(
            wave_T, sample_rate_hz=sample_rate_hz, frame_num_samples=frame_num_samples
        )
        assert find_frame_offsets(stream.data, where="x") == stream.frame_offsets
        info = read_stream_info(stream.data, where="x")
        assert (info.num_samples, info.sample_rate_hz) == (num_samples, sample_rate_hz)
        assert (info.num_channels, info.bits_per_sample) == (1, 16)
        assert info.max_block_num_samples == frame_num_samples


def test_sync_codes_inside_of_frames_are_passed_over() -> None:
    # Noise is stored verbatim, so that samples of -8 spell the sync code.
    rng = np.random.default_rng(0)
    words = rng.integers(-32768, 32768, size=20_000)
    words[rng.random(len(words)) < 0.2] = -8
    stream = encode_flac(words.astype(np.int16), sample_rate_hz=8000, frame_num_samples=64)
    assert stream.data.count(b"\xff\xf8") > 2 * len(stream.frame_offsets)
    assert find_frame_offsets(stream.data, where="x") == stream.frame_offsets


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
def test_files_of_another_encoder_add_up(channels: int, subtype: str) -> None:
    sink = io.BytesIO()
    wave = np.random.default_rng(1).uniform(-0.5, 0.5, (30_000, channels))
    soundfile.write(sink, wave, 44_100, format="FLAC", subtype=subtype)
    info = read_stream_info(sink.getvalue(), where="x")
    offsets = find_frame_offsets(sink.getvalue(), where="x")
    assert info.num_channels == channels
    assert len(offsets) == -(-30_000 // info.max_block_num_samples)


@pytest.mark.parametrize("data", [b"", b"fLaC", b"RIFF" + bytes(100), b"fLaC" + bytes(60)])
def test_what_is_no_flac_is_refused(data: bytes) -> None:
    with pytest.raises(ShardFormatError, match=r"^x"):
        find_frame_offsets(data, where="x")


def test_damaged_files_are_refused_or_read_and_nothing_else() -> None:
    wave_T = np.random.default_rng(2).integers(-900, 900, 3000, dtype=np.int16)
    stream = encode_flac(wave_T, sample_rate_hz=8000, frame_num_samples=64)
    rng = random.Random(3)
    for _ in range(1000):
        data = bytearray(stream.data)
        for _ in range(rng.randint(1, 3)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        del data[rng.randrange(len(data)) :]
        try:
            find_frame_offsets(bytes(data), where="x")
        except ShardFormatError:
            continue

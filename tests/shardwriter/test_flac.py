"""FLAC out, checked against soundfile and against the format itself (RFC 9639)."""

import hashlib
import io
import math

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shardwriter import flac_encoder_kernel
from shardwriter.flac import FlacStream, encode_flac
from tests.audio import decoded, noise, tone
from tests.shardwriter.properties import bounded

FRAME = 1152
CLIPS = {
    "noise": noise(5000),
    "tone": np.rint(tone(5000) * 32767).astype(np.int16),
    "silence": np.zeros(5000, np.int16),
    "full-scale square": np.tile(np.array([32767, -32768], np.int16), 2500),
    "constant full scale": np.full(5000, -32768, np.int16),
    "one sample": noise(1),
    "two samples": noise(2),
    "one short of a frame": noise(FRAME - 1),
    "one frame": noise(FRAME),
    "one over a frame": noise(FRAME + 1),
    "not contiguous": noise(4000)[::2],
}
ANY_CLIP = pytest.mark.parametrize("pcm_T", CLIPS.values(), ids=CLIPS)
RATES = [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000]


def encode(pcm_T: np.ndarray, *, rate_hz: int = 32_000, frame: int = FRAME) -> FlacStream:
    return encode_flac(pcm_T, sample_rate_hz=rate_hz, frame_num_samples=frame)


def crc16(data: bytes) -> int:
    """CRC-16 of FLAC frames: x^16 + x^15 + x^2 + 1; 0 over a frame with its own CRC."""
    remainder = 0
    for byte in data:
        remainder ^= byte << 8
        for _ in range(8):
            remainder = remainder << 1 ^ (0x18005 if remainder & 0x8000 else 0)
    return remainder


@ANY_CLIP
@pytest.mark.parametrize("rate_hz", [8_000, 32_000, 192_000])
def test_soundfile_reads_the_samples_bit_for_bit(pcm_T: np.ndarray, rate_hz: int) -> None:
    read_T, read_hz = decoded(encode(pcm_T, rate_hz=rate_hz).data)
    assert read_hz == rate_hz
    np.testing.assert_array_equal(read_T, pcm_T)


@pytest.mark.parametrize("rate_hz", [1_000, *RATES, 12_345, 655_350])
def test_every_rate_survives(rate_hz: int) -> None:
    data = encode(noise(3000), rate_hz=rate_hz).data
    assert soundfile.info(io.BytesIO(data)).samplerate == rate_hz


@bounded(max_examples=60)
@given(
    pcm_T=hnp.arrays(np.int16, st.integers(1, 400)),
    rate_hz=st.sampled_from(RATES),
    frame=st.sampled_from([16, 17, 64, 192, FRAME, 4608]),
)
def test_any_samples_survive_at_any_frame_size(pcm_T: np.ndarray, rate_hz: int, frame: int) -> None:
    stream = encode(pcm_T, rate_hz=rate_hz, frame=frame)
    np.testing.assert_array_equal(decoded(stream.data)[0], pcm_T)
    assert len(stream.frame_offsets) == math.ceil(len(pcm_T) / frame)


@ANY_CLIP
def test_there_is_an_offset_for_each_frame(pcm_T: np.ndarray) -> None:
    assert len(encode(pcm_T).frame_offsets) == math.ceil(len(pcm_T) / FRAME)


@ANY_CLIP
def test_offsets_cut_the_stream_into_numbered_frames_of_fixed_size(pcm_T: np.ndarray) -> None:
    stream = encode(pcm_T)
    stops = (*stream.frame_offsets[1:], len(stream.data))
    for number, (start, stop) in enumerate(zip(stream.frame_offsets, stops, strict=True)):
        frame = stream.data[start:stop]
        assert frame[:2] == b"\xff\xf8"  # sync code, fixed block size
        assert frame[4] == number
        assert crc16(frame) == 0


@ANY_CLIP
def test_header_has_the_number_and_the_hash_of_the_samples(pcm_T: np.ndarray) -> None:
    data = encode(pcm_T).data
    assert soundfile.info(io.BytesIO(data)).frames == len(pcm_T)
    # `fLaC`, a block header of 4 bytes, then STREAMINFO: bits 108..143 count, bytes 18..33 hash.
    streaminfo = data[8:42]
    assert int.from_bytes(streaminfo[13:18], "big") & (1 << 36) - 1 == len(pcm_T)
    assert streaminfo[18:34] == hashlib.md5(pcm_T.astype("<i2").tobytes()).digest()


@ANY_CLIP
def test_same_samples_give_the_same_bytes(pcm_T: np.ndarray) -> None:
    assert encode(pcm_T) == encode(pcm_T.copy())


def test_byte_order_of_the_array_does_not_matter() -> None:
    assert encode(noise(2000).astype(">i2")) == encode(noise(2000))


def test_a_view_that_cannot_be_written_into_needs_no_other_code() -> None:
    pcm_T = noise(2000)
    view_T = np.frombuffer(pcm_T.tobytes(), np.int16)
    assert encode(view_T) == encode(pcm_T)
    assert len(flac_encoder_kernel.encode_frames.function.signatures) == 1


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0, np.int16),
        np.zeros((10, 1), np.int16),
        np.zeros(10, np.float32),
        np.zeros(10, np.int32),
        np.zeros(10, np.uint16),
    ],
    ids=["none", "two axes", "float", "int32", "unsigned"],
)
def test_what_is_not_mono_int16_is_refused(samples: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected mono int16 samples, at least one"):
        encode(samples)

"""Frames that are mixed block by block come out as if each had been mixed alone."""

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardwriter.decode import decode
from shardwriter.errors import AudioError
from shardwriter.ffmpeg_frames import FrameMixer
from shardwriter.mixdown import Cut, DecodeRules, Mixdown
from shardwriter.schema import RejectionReason
from tests.shardwriter.media import by_ffmpeg, noise

RATE = 44_100
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
SAMPLES = {  # numpy type, value of full scale
    "u8": (np.uint8, 1 << 7),
    "s16": (np.int16, 1 << 15),
    "s32": (np.int32, 1 << 31),
    "flt": (np.float32, 1),
    "dbl": (np.float64, 1),
}
FORMATS = [*SAMPLES, *(f"{name}p" for name in SAMPLES)]


def frames(wave_CT: np.ndarray, sizes: list[int], sample_format: str) -> list[av.AudioFrame]:
    made = []
    for block_CT in np.split(wave_CT, np.cumsum(sizes)[:-1], axis=1):
        packed = block_CT if sample_format.endswith("p") else block_CT.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(packed), format=sample_format, layout=LAYOUTS[len(wave_CT)]
        )
        frame.sample_rate = RATE
        frame.pts = 1024  # as behind priming, and the same again: times are not looked at
        made.append(frame)
    return made


def mixdown(num_channels: int, **rules: object) -> Mixdown:
    rules = {"max_seconds": 60.0} | rules
    return Mixdown(
        DecodeRules(**rules), file="clip", sample_rate_hz=RATE, num_channels=num_channels
    )


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 20_000), min_size=1, max_size=8),
    sample_format=st.sampled_from(FORMATS),
    num_channels=st.sampled_from(list(LAYOUTS)),
    channel=st.sampled_from([None, 0]),
)
def test_frames_of_any_length_come_out_in_their_order(
    sizes: list[int], sample_format: str, num_channels: int, channel: int | None
) -> None:
    dtype, full_scale = SAMPLES[sample_format.removesuffix("p")]
    pcm_CT = noise(sum(sizes), num_channels=num_channels).T
    if dtype is np.uint8:
        pcm_CT = pcm_CT >> 8 << 8
    silence = 128 if dtype is np.uint8 else 0
    wave_CT = (pcm_CT.astype(float) * (full_scale / 32768) + silence).astype(dtype)
    mixer = FrameMixer(mixdown(num_channels, channel=channel), sample_format=sample_format)
    for frame in frames(wave_CT, sizes, sample_format):
        mixer.add(frame)
    mixer.flush()
    out_T = mixer.finish()
    out_T = out_T / 32768 if out_T.dtype == np.int16 else out_T
    expected_T = pcm_CT.mean(axis=0) if channel is None else pcm_CT[channel]
    assert mixer.mixdown.position == sum(sizes)
    assert np.allclose(out_T, expected_T / 32768, rtol=0, atol=2**-23)


@pytest.mark.parametrize("num_allowed", [1, 999, 1000, 16_384, 30_000])
def test_a_file_is_too_long_at_the_frame_that_passes_the_bound(num_allowed: int) -> None:
    mixer = FrameMixer(mixdown(1, max_seconds=(num_allowed + 0.5) / RATE), sample_format="s16")
    fitting = num_allowed // 1000
    blocks = frames(noise(40_000).T, [1000] * 40, "s16")
    for frame in blocks[:fitting]:
        mixer.add(frame)
    with pytest.raises(AudioError) as caught:
        mixer.add(blocks[fitting])
    assert caught.value.reason is RejectionReason.TOO_LONG


def test_a_cut_is_full_at_the_frame_that_holds_its_end() -> None:
    cut = Cut(start_seconds=100 / RATE, stop_seconds=2500 / RATE)
    mixer = FrameMixer(mixdown(2, cut=cut), sample_format="fltp")
    full = []
    for frame in frames(noise(4000, num_channels=2).T.astype("f4"), [1000] * 4, "fltp"):
        mixer.add(frame)
        full.append(mixer.mixdown.is_full)
    assert full == [False, False, True, True]
    assert len(mixer.finish()) == 2400


@pytest.mark.parametrize(("first", "then"), [(1, 2), (2, 1)])
def test_a_stream_that_changes_its_channels_is_refused_where_it_does(first: int, then: int) -> None:
    parts = [by_ffmpeg(noise(30_000, num_channels=n), RATE, "ac3", "ac3") for n in (first, then)]
    rules = DecodeRules(max_seconds=9)
    num_first = decode(parts[0], file="a", rules=rules).source.num_samples
    with pytest.raises(AudioError, match=rf"changes from .* at sample {num_first}$") as caught:
        decode(b"".join(parts), file="a", rules=rules)
    assert caught.value.reason is RejectionReason.UNSUPPORTED


@pytest.mark.parametrize("num_channels", [8, 16])
@pytest.mark.parametrize("channel", [None, 0, 7])
def test_as_many_channels_are_read_as_there_are(num_channels: int, channel: int | None) -> None:
    """FFmpeg's frames have room for the places of eight planes, and those of more elsewhere."""
    pcm_TC = noise(5_000, num_channels=num_channels)
    data = by_ffmpeg(pcm_TC, RATE, "wv", "wavpack")
    decoded = decode(data, file="a", rules=DecodeRules(max_seconds=9, channel=channel))
    assert decoded.source.num_channels == num_channels
    expected_T = pcm_TC.mean(axis=1) if channel is None else pcm_TC[:, channel]
    wave_T = decoded.wave_T * (32768 if decoded.wave_T.dtype == np.float32 else 1)
    assert np.allclose(wave_T, expected_T, rtol=0, atol=0.01)

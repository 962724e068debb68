"""Windows decoded out of some frames of a clip: the samples of the whole one, or another try."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.decode import decode_windows
from loader.encoded_clips import ClipWindow, EncodedClips, SomeFrames
from loader.flac_decoder import decode_flac, wait_until_ready
from shardwriter.errors import ShardFormatError, StorageError
from shardwriter.flac import FlacStream, encode_flac
from tests.loader import flac_bits as bits
from tests.loader.flac_decoding import CUTS, GUARD, RATE_HZ, cut_out, pcm_of, runs_of_noise


def never() -> bytes:
    raise StorageError("read whole")


def some_frames(
    stream: FlacStream,
    clip: int,
    *,
    start: int,
    num: int,
    row: int = 1,
    more: tuple[int, int] = (0, 0),
) -> ClipWindow:
    """A window out of the frames that hold it, and `more` on either side."""
    offsets = [*stream.frame_offsets, len(stream.data)]
    num_frames = len(stream.frame_offsets)
    shortest, longest = -(-clip // num_frames), (clip - 1) // max(num_frames - 1, 1)
    first = max(min(start // max(longest, 1), num_frames - 2) - more[0], 0)
    stop = min((start + num - 1) // shortest + 1 + more[1], num_frames)
    return ClipWindow(
        data=stream.data[offsets[first] : offsets[stop]], row=row, start=start, num_samples=num,
        clip_num_samples=clip, where="clip k", frames=SomeFrames(first, stop, never),
    )  # fmt: skip


def decode(
    clips: list[ClipWindow], *, width: int, verify: bool = True
) -> tuple[np.ndarray, list[int]]:
    """Decode into the rows between two others, and see that these are left alone."""
    wave_BT = np.full((len(clips) + 2, width), GUARD, dtype=np.int16)
    failed = decode_flac(
        EncodedClips.of(clips), wave_BT, sample_rate_hz=RATE_HZ, verify_checksums=verify
    )
    assert (wave_BT[[0, -1]] == GUARD).all()
    return wave_BT, failed.tolist()


@settings(max_examples=80, deadline=None)
@given(
    runs=runs_of_noise(longest=900),
    block=st.integers(16, 700),
    cut=CUTS,
    more=st.tuples(st.integers(0, 2), st.integers(0, 2)),
)
def test_any_window_is_that_of_the_whole_clip(
    runs: list[tuple[int, int, int]],
    block: int,
    cut: tuple[float, float],
    more: tuple[int, int],
) -> None:
    pcm_T = pcm_of(runs)
    stream = encode_flac(pcm_T, sample_rate_hz=RATE_HZ, frame_num_samples=block)
    if len(stream.frame_offsets) < 2:
        return
    start, num = cut_out(len(pcm_T), cut)
    clip = some_frames(stream, len(pcm_T), start=start, num=num, more=more)
    wave_BT, failed = decode([clip], width=num + 3)
    assert failed == []
    assert np.array_equal(wave_BT[1, :num], pcm_T[start : start + num])
    assert not wave_BT[1, num:].any()


def loud_and_silent(num: int = 56_008) -> np.ndarray:
    rng = np.random.default_rng(8)
    widths = (900, 0, 30, 20_000, 0, 5, 300, 1)
    runs = [rng.integers(-width, width + 1, num // 8) for width in widths]
    return np.concatenate(runs).astype(np.int16)


@pytest.mark.parametrize("block", [16, 192, 1152, 4096])
def test_lanes_share_what_there_is_of_a_clip(block: int) -> None:
    pcm_T = loud_and_silent()
    stream = encode_flac(pcm_T, sample_rate_hz=RATE_HZ, frame_num_samples=block)
    for start in (0, 1, 4095, 9000, 30_001):
        for num in (4 * 4096, 8191, len(pcm_T) - start):
            clip = some_frames(stream, len(pcm_T), start=start, num=num)
            wave_BT, failed = decode([clip], width=num)
            assert failed == []
            assert np.array_equal(wave_BT[1], pcm_T[start : start + num])


def test_whole_clips_and_some_frames_of_others_are_decoded_side_by_side() -> None:
    rng = np.random.default_rng(3)
    clips, expected = [], []
    for row in range(1, 20):
        pcm_T = loud_and_silent(800 * row)
        stream = encode_flac(pcm_T, sample_rate_hz=RATE_HZ, frame_num_samples=64)
        start = int(rng.integers(len(pcm_T) - 1))
        num = int(rng.integers(1, len(pcm_T) - start))
        clip = some_frames(stream, len(pcm_T), start=start, num=num, row=row)
        clips.append(replace(clip, data=stream.data, frames=None) if row % 3 == 0 else clip)
        expected.append(pcm_T[start : start + num])
    wave_BT, failed = decode(clips, width=16_000)
    assert failed == []
    for row_T, wanted_T in zip(wave_BT[1:-1], expected, strict=True):
        assert np.array_equal(row_T[: len(wanted_T)], wanted_T)


def test_damage_is_found_in_each_byte_of_a_header_and_in_the_frame() -> None:
    pcm_T = loud_and_silent(6400)
    stream = encode_flac(pcm_T, sample_rate_hz=RATE_HZ, frame_num_samples=64)
    clip = some_frames(stream, 6400, start=2000, num=300)
    for at in range(len(clip.data)):
        broken = bytearray(clip.data)
        broken[at] ^= 1 << at % 8
        wave_BT, failed = decode([replace(clip, data=bytes(broken))], width=300)
        if not failed:  # in a frame behind the last sample, or the last bits of one
            assert np.array_equal(wave_BT[1], pcm_T[2000:2300])
        assert failed or at >= stream.frame_offsets[36] - stream.frame_offsets[31]


def frames_of(*, first: int = 3, **settings: object) -> bytes:
    made = [
        bits.frame(bits.constant(number), 64, number, **settings)  # type: ignore[arg-type]
        for number in range(first, first + 4)
    ]
    return b"".join(made)


def with_bits(frame: bytes, code: int) -> bytes:
    """A constant frame whose header says another depth, with checksums that are right."""
    head = frame[:3] + bytes([code << 1]) + frame[4:7]
    body = bytes([*head, bits.crc(head, 0x07, 8)]) + frame[8:-2]
    return body + bits.crc(body, 0x8005, 16).to_bytes(2, "big")


def test_frames_that_do_not_say_what_is_expected_are_left_to_the_whole_clip() -> None:
    asked = ClipWindow(
        data=frames_of(), row=1, start=200, num_samples=100, clip_num_samples=640, where="clip k",
        frames=SomeFrames(3, 7, never),
    )  # fmt: skip
    assert decode([asked], width=100)[1] == []
    single = bits.frame(bits.constant(3), 64, 3)
    assert with_bits(single, 4) == single
    for name, data in {
        "another number": frames_of(first=4),
        "numbers of samples": frames_of(first=192, varies=True),
        "another rate": frames_of(rate_code=5),
        "another rate in its own field": frames_of(rate_code=13, rate_field=b"\x1f\x41"),
        "another rate in kHz": frames_of(rate_code=12, rate_field=b"\x09"),
        "24 bits": with_bits(single, 6) + frames_of(first=4),
        "bits that STREAMINFO has": with_bits(single, 0) + frames_of(first=4),
        "too few": frames_of()[:20],
        "nothing": b"",
        "no frames": bytes(500),
        "a file": bits.stream([frames_of()], 640),
    }.items():
        clip = replace(asked, data=data)
        assert decode([clip], width=100)[1] == [0], name
    for settings_ in ({"rate_code": 4}, {"rate_code": 12, "rate_field": b"\x08"},
                      {"rate_code": 13, "rate_field": b"\x1f\x40"},
                      {"rate_code": 14, "rate_field": b"\x03\x20"}):  # fmt: skip
        clip = replace(asked, data=frames_of(**settings_))
        assert decode([clip], width=100)[1] == []


def test_frames_longer_than_the_index_has_them_are_left_to_the_whole_clip() -> None:
    # The window would begin ahead of the first frame.
    data = b"".join(bits.frame(bits.constant(1), 300, number) for number in range(3, 7))
    clip = ClipWindow(
        data=data, row=1, start=200, num_samples=100, clip_num_samples=640, where="clip k",
        frames=SomeFrames(3, 7, never),
    )  # fmt: skip
    assert decode([clip], width=100)[1] == [0]


def test_what_can_t_be_decoded_is_read_whole_and_decoded() -> None:
    wait_until_ready()
    pcm_T = loud_and_silent(6400)
    stream = encode_flac(pcm_T, sample_rate_hz=RATE_HZ, frame_num_samples=64)
    good = some_frames(stream, 6400, start=2000, num=300, row=0)
    frames = SomeFrames(good.frames.first, good.frames.stop, lambda: stream.data)  # type: ignore[union-attr]
    broken = replace(good, row=1, data=bytes(len(good.data)), frames=frames)
    wave_BT = np.zeros((2, 300), np.int16)
    decode_or_read_whole([good, broken], wave_BT)
    assert np.array_equal(wave_BT, np.stack([pcm_T[2000:2300]] * 2))
    with pytest.raises(StorageError, match="read whole"):
        decode_or_read_whole([replace(broken, frames=good.frames)], wave_BT)
    frames = replace(frames, read_whole=lambda: stream.data[:-900])
    with pytest.raises(ShardFormatError, match=r"clip k: can't decode the FLAC of \d+ bytes"):
        decode_or_read_whole([replace(broken, start=6000, num_samples=300, frames=frames)], wave_BT)


def decode_or_read_whole(clips: list[ClipWindow], wave_BT: np.ndarray) -> None:
    decode_windows(EncodedClips.of(clips), wave_BT, sample_rate_hz=RATE_HZ, verify_checksums=True)


def fuzz(num_streams: int, seed: int) -> int:
    """Decode frames at wrong places, and damaged ones; return how many came out, all right."""
    rng = np.random.default_rng(seed)
    pcm_T = loud_and_silent(6400)
    stream = encode_flac(pcm_T, sample_rate_hz=RATE_HZ, frame_num_samples=64)
    offsets = np.array([*stream.frame_offsets, len(stream.data)])
    num_decoded = 0
    for _ in range(num_streams):
        start = int(rng.integers(6300))
        num = int(rng.integers(1, min(300, 6400 - start) + 1))
        clip = some_frames(stream, 6400, start=start, num=num, more=(0, 4))
        kind = int(rng.integers(5))
        if kind == 0:  # offsets that were made up
            begin, end = sorted(rng.integers(0, len(stream.data), 2).tolist())
            clip = replace(clip, data=stream.data[begin:end])
        elif kind == 1:  # those of other frames
            begin, end = sorted(rng.choice(offsets, 2).tolist())
            clip = replace(clip, data=stream.data[begin:end])
        elif kind == 2:  # numbers that were made up
            first, stop = sorted(rng.integers(0, 1 << int(rng.integers(1, 32)), 2).tolist())
            clip = replace(clip, frames=SomeFrames(first, stop + 1, never))
        elif len(clip.data):
            broken = bytearray(clip.data)
            broken[int(rng.integers(len(broken)))] ^= 1 << int(rng.integers(8))
            clip = replace(clip, data=bytes(broken))
        decode([clip], width=num, verify=False)
        wave_BT, failed = decode([clip], width=num)
        if not failed:
            num_decoded += 1
            assert np.array_equal(wave_BT[1, :num], pcm_T[start : start + num])
    return num_decoded


def test_frames_at_wrong_places_are_found_out_or_right() -> None:
    assert 100 < fuzz(1500, seed=9) < 1400

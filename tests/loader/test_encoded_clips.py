"""Clips in one piece of memory: the same as each alone, whatever is taken of them."""

from dataclasses import replace

import numpy as np
import pytest

from loader import flac_kernel
from loader.decode import decode_windows
from loader.encoded_clips import TAIL_BYTES, WHOLE, ClipWindow, EncodedClips, SomeFrames
from loader.flac_decoder import decode_flac
from shardwriter.flac import encode_flac
from shardwriter.wav import encode_wav

RATE_HZ = 8000


def clips_of(datas: list[bytes], lengths: list[int]) -> EncodedClips:
    return EncodedClips.of(
        [
            ClipWindow(data=data, row=row, start=0, num_samples=length,
                       clip_num_samples=length, where=f"clip {row}")
            for row, (data, length) in enumerate(zip(datas, lengths, strict=True))
        ]
    )  # fmt: skip


def noises() -> list[np.ndarray]:
    rng = np.random.default_rng(8)
    return [rng.integers(-900, 900, 700 + 31 * n).astype(np.int16) for n in range(11)]


def encoded(waves: list[np.ndarray]) -> list[bytes]:
    return [
        encode_flac(wave_T, sample_rate_hz=RATE_HZ, frame_num_samples=192).data for wave_T in waves
    ]


def flac_clips() -> tuple[EncodedClips, list[np.ndarray]]:
    waves = noises()
    return clips_of(encoded(waves), [len(wave_T) for wave_T in waves]), waves


def test_clips_come_out_in_any_order_and_choice() -> None:
    clips, waves = flac_clips()
    for chosen in (range(11), range(10, -1, -1), [3, 4], [7]):
        wave_BT = np.full((len(waves), 1100), 7, np.int16)
        decode_flac(clips.take(np.array(chosen)), wave_BT, sample_rate_hz=RATE_HZ,
                    verify_checksums=True)  # fmt: skip
        for row, wave_T in enumerate(waves):
            expected_T = np.pad(wave_T, (0, 1100 - len(wave_T))) if row in chosen else 7
            assert (wave_BT[row] == expected_T).all()


def test_other_codecs_between_flac_are_left_whole() -> None:
    waves = noises()[:4]
    datas = encoded(waves)
    for row in (1, 3):
        datas[row] = encode_wav(waves[row], sample_rate_hz=RATE_HZ)
    clips = clips_of(datas, [len(wave_T) for wave_T in waves])
    for chosen in ([0, 1, 2, 3], [1, 3], [3, 0]):
        wave_BT = np.zeros((4, 1100), np.int16)
        decode_windows(clips.take(np.array(chosen)), wave_BT, sample_rate_hz=RATE_HZ,
                       verify_checksums=True)  # fmt: skip
        for row in chosen:
            assert np.array_equal(wave_BT[row, : len(waves[row])], waves[row])


def test_clips_one_by_one_are_what_was_put_together() -> None:
    frames = SomeFrames(2, 5, lambda: b"all of it")
    windows = [
        ClipWindow(data=b"abc", row=4, start=7, num_samples=9, clip_num_samples=90, where="x"),
        ClipWindow(data=b"", row=0, start=1, num_samples=2, clip_num_samples=3, where="y"),
        ClipWindow(data=b"defgh", row=2, start=0, num_samples=5, clip_num_samples=6, where="z",
                   frames=frames),
    ]  # fmt: skip
    clips = EncodedClips.of(windows)
    for got, window in zip(clips, windows, strict=True):
        assert replace(got, data=bytes(got.data), frames=None) == replace(window, frames=None)
    *_, last = clips
    assert last.frames is not None
    assert (last.frames.first, last.frames.stop) == (2, 5)
    assert last.frames.read_whole() == b"all of it"
    whole = list(clips.whole())
    assert [bytes(clip.data) for clip in whole] == [b"abc", b"", b"all of it"]
    assert [clip.frames for clip in whole] == [None] * 3
    assert list(EncodedClips.of([])) == []


def test_a_clip_beyond_the_memory_is_refused() -> None:
    clips, _ = flac_clips()
    wave_BT = np.full((11, 1100), 7, np.int16)
    for begin in (-1, int(clips.begin_P[-1]) + 1):
        wrong = replace(clips, begin_P=np.full_like(clips.begin_P, begin))
        with pytest.raises(ValueError, match=r"clip \d+: \d+ bytes from .* don't fit a memory of"):
            decode_flac(wrong, wave_BT, sample_rate_hz=RATE_HZ, verify_checksums=True)
    assert (wave_BT == 7).all()


def test_numbers_of_the_kernel_are_those_of_its_callers() -> None:
    assert len(flac_kernel.PADDING) <= TAIL_BYTES
    assert flac_kernel.WHOLE == WHOLE

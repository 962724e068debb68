from dataclasses import replace

import numpy as np
import pytest

from loader.decode import decode_windows
from loader.flac_decoder import SLAB_TAIL_BYTES, ClipWindow, decode_flac_windows
from loader.flac_kernel import PADDING
from shardwriter.flac import encode_flac
from shardwriter.wav import encode_wav

RATE_HZ = 8000


def clips_in_slab(datas: list[bytes], lengths: list[int]) -> list[ClipWindow]:
    size = sum(len(data) for data in datas)
    slab = np.full(size + SLAB_TAIL_BYTES, 0xFF, np.uint8)
    slab[:size] = np.frombuffer(b"".join(datas), np.uint8)
    starts = np.cumsum([0] + [len(data) for data in datas]).tolist()
    return [
        ClipWindow(data=slab[start : start + len(data)].data, row=row, start=0, num_samples=length,
                   clip_num_samples=length, where=row, slab=slab, slab_start=start)
        for row, (data, length, start) in enumerate(zip(datas, lengths, starts, strict=False))
    ]  # fmt: skip


def noises() -> list[np.ndarray]:
    rng = np.random.default_rng(8)
    return [rng.integers(-900, 900, 700 + 31 * n).astype(np.int16) for n in range(11)]


def encoded(waves: list[np.ndarray]) -> list[bytes]:
    return [
        encode_flac(wave_T, sample_rate_hz=RATE_HZ, frame_num_samples=192).data for wave_T in waves
    ]


def decoded(clips: list[ClipWindow]) -> np.ndarray:
    wave_BT = np.full((len(clips), 1100), 7, np.int16)
    decode_flac_windows(clips, wave_BT, sample_rate_hz=RATE_HZ, verify_checksums=True)
    return wave_BT


def test_clips_of_a_slab_come_out_as_those_of_their_own() -> None:
    waves = noises()
    clips = clips_in_slab(encoded(waves), [len(wave_T) for wave_T in waves])
    apart = [replace(clip, data=bytes(clip.data), slab=None) for clip in clips]
    mixed = [clips[0], *apart[1:4], *clips[4:]]
    for asked in (clips, clips[::-1], clips[3:5], mixed):
        wave_BT = np.full((len(waves), 1100), 7, np.int16)
        decode_flac_windows(asked, wave_BT, sample_rate_hz=RATE_HZ, verify_checksums=True)
        for clip in asked:
            assert np.array_equal(wave_BT[clip.row, : clip.num_samples], waves[clip.row])
            assert not wave_BT[clip.row, clip.num_samples :].any()


def test_wav_behind_flac_in_a_slab_is_left_whole() -> None:
    waves = noises()[:3]
    datas = [*encoded(waves[:2]), encode_wav(waves[2], sample_rate_hz=RATE_HZ)]
    clips = clips_in_slab(datas, [len(wave_T) for wave_T in waves])
    wave_BT = np.zeros((3, 1100), np.int16)
    decode_windows(clips, wave_BT, sample_rate_hz=RATE_HZ, verify_checksums=True)
    assert np.array_equal(wave_BT[2, : len(waves[2])], waves[2])


def test_a_clip_beyond_its_slab_is_refused() -> None:
    (clip,) = clips_in_slab(encoded(noises()[:1]), [700])
    for wrong in (replace(clip, slab_start=1), replace(clip, slab_start=-1)):
        with pytest.raises(ValueError, match="don't fit a slab of"):
            decoded([wrong])
    assert decoded([clip]).any()


def test_the_tail_of_a_slab_has_room_for_the_kernel_s_padding() -> None:
    assert len(PADDING) <= SLAB_TAIL_BYTES

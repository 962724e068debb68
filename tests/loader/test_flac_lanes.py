import numpy as np
import pytest

from loader.encoded_clips import ClipWindow, EncodedClips
from loader.flac_decoder import CLIPS_AT_ONCE, decode_flac
from loader.flac_kernel import LANES
from shardwriter.errors import ShardFormatError
from shardwriter.flac import FlacStream, encode_flac

RATE_HZ = 8000
GUARD = 12345


def clips_for_lanes() -> list[tuple[bytes, np.ndarray]]:
    """More clips than lanes, of many lengths, loudnesses and block sizes, one of them damaged."""
    rng = np.random.default_rng(6)
    made = []
    for number in range(21):
        pcm_T = np.cumsum(rng.integers(-(2 << number % 12), 3 << number % 12, 500 * number + 40))
        pcm_T = np.clip(pcm_T, -32768, 32767).astype(np.int16)
        block = (16, 192, 1000, 1152)[number % 4]
        data = encode_flac(pcm_T, sample_rate_hz=RATE_HZ, frame_num_samples=block).data
        made.append((data, pcm_T))
    return made


def test_clips_side_by_side_come_out_as_alone() -> None:
    made = clips_for_lanes()
    rng = np.random.default_rng(7)
    for is_cut in (False, True):
        clips, wave_BT = [], np.full((len(made) + 1, 10_540), GUARD, dtype=np.int16)
        for row, (data, pcm_T) in enumerate(made):
            start = int(rng.integers(len(pcm_T))) if is_cut else 0
            num = int(rng.integers(1, len(pcm_T) - start + 1)) if is_cut else len(pcm_T)
            clips.append(
                ClipWindow(data=data, row=row, start=start, num_samples=num,
                           clip_num_samples=len(pcm_T), where="")
            )  # fmt: skip
        decode_flac(EncodedClips.of(clips), wave_BT, sample_rate_hz=RATE_HZ, verify_checksums=True)
        for clip, row_T, (_, pcm_T) in zip(clips, wave_BT, made, strict=False):
            expected_T = pcm_T[clip.start : clip.start + clip.num_samples]
            assert np.array_equal(row_T[: clip.num_samples], expected_T)
            assert not row_T[clip.num_samples :].any()
        assert (wave_BT[-1] == GUARD).all()


def test_a_damaged_clip_leaves_those_beside_it_whole() -> None:
    made = clips_for_lanes()
    for bad in (3, 9, 20):
        broken = bytearray(made[bad][0])
        broken[len(broken) // 2] ^= 1
        clips = [
            ClipWindow(data=bytes(broken) if row == bad else data, row=row, start=0,
                       num_samples=len(pcm_T), clip_num_samples=len(pcm_T), where=f"clip {row}")
            for row, (data, pcm_T) in enumerate(made)
        ]  # fmt: skip
        wave_BT = np.zeros((len(made), 10_540), dtype=np.int16)
        with pytest.raises(ShardFormatError, match=f"^clip {bad}: "):
            decode_flac(
                EncodedClips.of(clips), wave_BT, sample_rate_hz=RATE_HZ, verify_checksums=True
            )
        for row, (_, pcm_T) in enumerate(made):
            if row != bad:
                assert np.array_equal(wave_BT[row, : len(pcm_T)], pcm_T)


def long_clip(block: int) -> tuple[FlacStream, np.ndarray]:
    """A clip that all lanes take a part of, of loud, quiet and silent stretches."""
    rng = np.random.default_rng(8)
    pcm_T = np.concatenate(
        [rng.integers(-width, width + 1, 7001) for width in (900, 0, 30, 20_000, 0, 5, 300, 1)]
    ).astype(np.int16)
    return encode_flac(pcm_T, sample_rate_hz=RATE_HZ, frame_num_samples=block), pcm_T


def one_window(data: bytes, pcm_T: np.ndarray, start: int, num: int) -> np.ndarray:
    clip = ClipWindow(
        data=data, row=0, start=start, num_samples=num, clip_num_samples=len(pcm_T), where="clip"
    )
    wave_BT = np.full((2, num + 7), GUARD, dtype=np.int16)
    try:
        decode_flac(EncodedClips.of([clip]), wave_BT, sample_rate_hz=RATE_HZ, verify_checksums=True)
    finally:
        assert (wave_BT[1] == GUARD).all()
    return wave_BT[0, :num]


@pytest.mark.parametrize("block", [16, 192, 1152, 4096])
def test_a_clip_that_lanes_share_comes_out_whole(block: int) -> None:
    made, pcm_T = long_clip(block)
    for start in (0, 1, 4095, 9000):
        for num in (len(pcm_T) - start, 4 * 4096, 8191, 4 * 4096 + 1, 40_001):
            got_T = one_window(made.data, pcm_T, start, num)
            assert np.array_equal(got_T, pcm_T[start : start + num])


def test_damage_in_a_clip_that_lanes_share_is_reported_where_it_is() -> None:
    made, pcm_T = long_clip(192)
    begins = made.frame_offsets
    for frame in range(0, len(begins), 7):
        broken = bytearray(made.data)
        broken[begins[frame] + 8] ^= 4
        with pytest.raises(ShardFormatError, match=f" at byte {begins[frame]} of it"):
            one_window(bytes(broken), pcm_T, 0, len(pcm_T))


def test_callers_know_how_many_clips_go_at_once() -> None:
    assert CLIPS_AT_ONCE == LANES

import numpy as np
import pytest

from loader.flac_decoder import CLIPS_AT_ONCE, ClipWindow, decode_flac_windows
from loader.flac_kernel import LANES
from shardwriter.errors import ShardFormatError
from shardwriter.flac import encode_flac

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
        decode_flac_windows(clips, wave_BT, sample_rate_hz=RATE_HZ, verify_checksums=True)
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
            decode_flac_windows(clips, wave_BT, sample_rate_hz=RATE_HZ, verify_checksums=True)
        for row, (_, pcm_T) in enumerate(made):
            if row != bad:
                assert np.array_equal(wave_BT[row, : len(pcm_T)], pcm_T)


def test_callers_know_how_many_clips_go_at_once() -> None:
    assert CLIPS_AT_ONCE == LANES

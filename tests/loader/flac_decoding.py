"""Windows decoded between guarded rows, and what they are held against."""

import io

import numpy as np
import soundfile
from hypothesis import strategies as st

from loader.encoded_clips import ClipWindow, EncodedClips
from loader.flac_decoder import decode_flac

RATE_HZ = 8000
GUARD = 12345
CUTS = st.tuples(st.floats(0, 1), st.floats(0, 1))
"""Of a clip: where a window begins, and how much it holds of what follows."""


def window(data: bytes, clip: int, *, start: int = 0, num: int | None = None) -> ClipWindow:
    num = clip - start if num is None else num
    return ClipWindow(
        data=data, row=1, start=start, num_samples=num, clip_num_samples=clip, where="clip k"
    )


def decode(
    data: bytes,
    clip: int,
    *,
    start: int = 0,
    num: int | None = None,
    rate: int = RATE_HZ,
    verify: bool = True,
) -> np.ndarray:
    """Decode into the middle one of three rows, and see that the others are left alone."""
    asked = window(data, clip, start=start, num=num)
    wave_BT = np.full((3, asked.num_samples + 3), GUARD, dtype=np.int16)
    try:
        decode_flac(EncodedClips.of([asked]), wave_BT, sample_rate_hz=rate, verify_checksums=verify)
    finally:
        assert (wave_BT[[0, 2]] == GUARD).all()
    assert not wave_BT[1, asked.num_samples :].any()
    return wave_BT[1, : asked.num_samples]


def by_libsndfile(data: bytes) -> np.ndarray:
    pcm_T, _ = soundfile.read(io.BytesIO(data), dtype="int16")
    return pcm_T


def signals() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    t = np.arange(9001)
    return {
        "noise": rng.integers(-32768, 32768, 9001),
        "silence": np.zeros(9001),
        "square": np.where(t // 50 % 2, 32767, -32768),
        "alternating": np.where(t % 2, 32767, -32768),
        "sine": 32767 * np.sin(t * 0.05),
        "few bits": rng.integers(-100, 100, 9001) * 64,
        "mixed": np.concatenate(
            [np.zeros(3000), rng.integers(-3, 3, 3000), 9000 * np.sin(t[:3001])]
        ),
    }


def runs_of_noise(longest: int) -> st.SearchStrategy[list[tuple[int, int, int]]]:
    """Lengths, levels and bits of the runs that `pcm_of` makes a signal of."""
    return st.lists(
        st.tuples(st.integers(1, longest), st.integers(-32768, 32767), st.integers(0, 16)),
        min_size=1,
    )


def pcm_of(runs: list[tuple[int, int, int]]) -> np.ndarray:
    rng = np.random.default_rng(0)
    parts = [level + rng.integers(0, 1 << width, num) for num, level, width in runs]
    return np.clip(np.concatenate(parts), -32768, 32767).astype(np.int16)


def cut_out(num_samples: int, cut: tuple[float, float]) -> tuple[int, int]:
    """The start and the length of a window, one of `CUTS`."""
    start = int(cut[0] * (num_samples - 1))
    return start, 1 + int(cut[1] * (num_samples - start - 1))

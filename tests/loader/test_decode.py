import io

import numpy as np
import pytest
import soundfile

from loader.decode import decode_windows
from loader.encoded_clips import ClipWindow, EncodedClips
from shardwriter.errors import ShardFormatError
from shardwriter.flac import encode_flac
from tests.loader.builders import RATE_HZ, clip_pcm

PCM = clip_pcm(10)
NUM = len(PCM)
DATA = encode_flac(PCM, sample_rate_hz=RATE_HZ, frame_num_samples=64).data


def decode(
    data: bytes,
    *,
    start: int = 0,
    num: int = NUM,
    row: int = NUM,
    clip: int = NUM,
    rate: int = 8000,
) -> np.ndarray:
    row_T = np.full(row, 7, dtype=np.int16)
    clip_window = ClipWindow(
        data=data,
        row=0,
        start=start,
        num_samples=num,
        clip_num_samples=clip,
        where="shard.tar: sample k, audio at byte 512",
    )
    decode_windows(
        EncodedClips.of([clip_window]), row_T[None], sample_rate_hz=rate, verify_checksums=True
    )
    return row_T


def test_every_window_is_bit_exact_with_soundfile() -> None:
    whole, _ = soundfile.read(io.BytesIO(DATA), dtype="int16")
    assert np.array_equal(whole, PCM)
    for start in range(NUM - 100 + 1):
        assert np.array_equal(decode(DATA, start=start, num=100, row=100), PCM[start : start + 100])


def test_row_is_zero_behind_the_window() -> None:
    row_T = decode(DATA, row=NUM + 50)
    assert np.array_equal(row_T[:NUM], PCM)
    assert not row_T[NUM:].any()


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"clip": NUM + 1}, f"expected {NUM + 1} samples at 8000 Hz .*, got {NUM} samples at 8000"),
        ({"rate": 16000}, "at 16000 Hz .* at 8000 Hz"),
    ],
)
def test_clip_other_than_the_index_says_is_refused(expected: dict[str, int], message: str) -> None:
    with pytest.raises(ShardFormatError, match=f"sample k, audio at byte 512: .*{message}"):
        decode(DATA, **expected)


@pytest.mark.parametrize("data", [b"", b"no audio at all", b"XXXX" + DATA[4:], DATA[:30]])
def test_bytes_that_are_no_audio_are_an_error_that_names_the_sample(data: bytes) -> None:
    with pytest.raises(ShardFormatError, match=r"sample k, audio at byte 512.*ingest the shard"):
        decode(data)


def test_flac_that_ends_before_the_window_does_is_an_error() -> None:
    with pytest.raises(ShardFormatError, match="sample k, audio at byte 512: "):
        decode(DATA[: len(DATA) // 2])

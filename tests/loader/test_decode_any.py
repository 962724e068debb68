"""Clips that others encoded: any container and codec, one channel or more."""

from pathlib import Path

import numpy as np
import pytest

from jobs.index_foreign import IndexOptions, index, obstacles
from loader import LoaderConfig, ShardLoader
from loader.decode import decode_windows
from loader.encoded_clips import ClipWindow, EncodedClips
from loader.world import World
from shardwriter.audio import clean_audio
from shardwriter.errors import ShardFormatError
from tests.shardwriter.dataset_builders import tar_bytes
from tests.shardwriter.media import by_ffmpeg, by_soundfile, noise

NUM = 24_000
RATE = 48_000  # Opus knows no other that is not multiplied up
STEREO = noise(NUM, num_channels=2)
MONO = STEREO[:, :1]

CLIPS = {
    "mono.wav": by_soundfile(MONO, RATE, "WAV", "PCM_16"),
    "stereo.wav": by_soundfile(STEREO, RATE, "WAV", "PCM_16"),
    "float.wav": by_soundfile(STEREO / np.float32(32768), RATE, "WAV", "FLOAT"),
    "deep.wav": by_soundfile(STEREO, RATE, "WAV", "PCM_24"),
    "stereo.flac": by_soundfile(STEREO, RATE, "FLAC", "PCM_16"),
    "deep.flac": by_soundfile(MONO, RATE, "FLAC", "PCM_24"),
    "stereo.ogg": by_soundfile(STEREO, RATE, "OGG", "VORBIS"),
    "mono.opus": by_ffmpeg(MONO, RATE, "ogg", "libopus"),
    "stereo.opus": by_ffmpeg(STEREO, RATE, "ogg", "libopus"),
    "stereo.webm": by_ffmpeg(STEREO, RATE, "webm", "libopus"),
    "mono.mp3": by_ffmpeg(MONO, RATE, "mp3", "libmp3lame"),
    "stereo.mp3": by_ffmpeg(STEREO, RATE, "mp3", "libmp3lame"),
    "bare.mp3": by_ffmpeg(STEREO, RATE, "mp3", "libmp3lame", write_xing="0"),
    "mono.m4a": by_ffmpeg(MONO, RATE, "ipod", "aac"),
    "stereo.m4a": by_ffmpeg(STEREO, RATE, "ipod", "aac"),
}


def whole(data: bytes) -> np.ndarray:
    """What an ingest at the clip's own rate puts into a shard."""
    return clean_audio(data, file="x", sample_rate_hz=None, max_seconds=10.0).pcm_T


def window(data: bytes, start: int, num: int, *, clip: int, rate: int = RATE) -> np.ndarray:
    wave_BT = np.full((2, num + 10), 7, np.int16)
    clip_window = ClipWindow(
        data=data, row=1, start=start, num_samples=num, clip_num_samples=clip, where="a.tar: k"
    )
    decode_windows(
        EncodedClips.of([clip_window]), wave_BT, sample_rate_hz=rate, verify_checksums=True
    )
    assert (wave_BT[0] == 7).all()
    assert not wave_BT[1, num:].any()
    return wave_BT[1, :num]


@pytest.mark.parametrize("name", CLIPS)
def test_every_window_of_every_format_is_cut_out_of_what_an_ingest_would_store(name: str) -> None:
    data = CLIPS[name]
    whole_T = whole(data)
    num = len(whole_T)
    for start, length in [(0, num), (0, 1), (0, 3000), (1, 2), (9_999, 4_001), (num - 5, 5)]:
        got_T = window(data, start, length, clip=num)
        assert np.array_equal(got_T, whole_T[start : start + length]), (start, length)


@pytest.mark.parametrize("name", CLIPS)
def test_a_clip_other_than_the_indexed_one_is_refused_by_name(name: str) -> None:
    data = CLIPS[name]
    num = len(whole(data))
    with pytest.raises(ShardFormatError, match=rf"a.tar: k: expected {num + 1} .*got {num}"):
        window(data, 0, num + 1, clip=num + 1)
    with pytest.raises(ShardFormatError, match=r"a.tar: k: expected 100 samples .*got more"):
        window(data, 0, 100, clip=100)
    with pytest.raises(ShardFormatError, match=r"a.tar: k: expected 44100 Hz, got 48000 Hz"):
        window(data, 0, 100, clip=num, rate=44_100)


def test_shards_that_others_made_of_any_format_are_indexed_and_loaded(tmp_path: Path) -> None:
    members = []
    suffixes = sorted({name.partition(".")[2] for name in CLIPS})
    for number, (name, data) in enumerate(CLIPS.items()):
        members.append((f"{number:02d}.{name.partition('.')[2]}", data))
        members.append((f"{number:02d}.cls", str(number % 3).encode()))
    (tmp_path / "train-0.tar").write_bytes(tar_bytes(members))
    found = index(IndexOptions(url=str(tmp_path), audio_suffixes=tuple(suffixes), quiet=True))
    assert found.rejections == ()
    assert obstacles(found) == []
    config = LoaderConfig(
        url=str(tmp_path),
        split="train",
        batch_size=4,
        crop_seconds=None,
        shuffle=False,
        tail="pad",
        num_threads=2,
    )
    loader = ShardLoader(config, world=World(rank=0, size=1, local_rank=0))
    loaded: dict[str, np.ndarray] = {}
    for batch in loader:
        waves = zip(batch.keys, batch.wave_BT.numpy(), batch.num_samples_B.tolist(), strict=True)
        loaded |= {key: wave_T[:num] for key, wave_T, num in waves}
    for number, data in enumerate(CLIPS.values()):
        assert np.array_equal(loaded[f"{number:02d}"], whole(data))


def test_samples_that_are_no_numbers_are_refused_as_an_ingest_does() -> None:
    wave_TC = (MONO / np.float32(32768)).astype(np.float32)
    wave_TC[77] = np.nan
    data = by_soundfile(wave_TC, RATE, "WAV", "FLOAT")
    with pytest.raises(ShardFormatError, match=r"a.tar: k holds samples that are NaN"):
        window(data, 0, NUM, clip=NUM)
    assert len(window(data, 100, 50, clip=NUM)) == 50  # the window holds none

"""The clips of `benchmarks.loader`: recordings of 10 s, and a dataset of many shards of them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import soxr

from benchmarks.loader_peers import CLIP_SAMPLES, SAMPLE_RATE_HZ
from shardwriter import AudioFormat, CleanClip, Settings, ShardWriter, encode_clip
from shardwriter.keys import to_key
from shardwriter.mixdown import Pcm
from shardwriter.schema import EncodedSample
from shardwriter.tarshard import read_members

SAMPLE = Path("jobs/sample/esc10/audio")
SETTINGS = Settings(
    name="bench",
    audio=AudioFormat(sample_rate_hz=SAMPLE_RATE_HZ),
    labels=("a", "b", "c"),
)


def make_clips(root: Path, *, num_recordings: int, copies: int) -> None:
    """Write `clips.npy`, our shards of 64 clips, and the same FLAC as one file a clip.

    Two recordings of 5 s of the embedded ESC-10 sample make a clip of 10 s.
    """
    clips = list(_recordings(num_recordings))
    np.save(root / "clips.npy", np.stack(clips))
    encoded = [encode_clip(_clean(number, pcm_T), SETTINGS) for number, pcm_T in enumerate(clips)]
    with ShardWriter(str(root / "shards"), SETTINGS, max_samples_per_shard=64) as writer:
        for number in range(num_recordings * copies):
            writer.write(_renamed(encoded[number % num_recordings], number))
    (root / "flac").mkdir()
    for tar in (root / "shards").glob("train/*.tar"):
        for member in read_members(tar.read_bytes(), where=str(tar)):
            if member.name.endswith(".flac"):
                (root / "flac" / member.name).write_bytes(member.data)


def make_shards(root: Path, *, num_shards: int, clips_per_shard: int = 1) -> None:
    """Write a dataset of many shards with few clips in each, or of clips for a long epoch."""
    encoded = [encode_clip(_clean(n, pcm_T), SETTINGS) for n, pcm_T in enumerate(_recordings(8))]
    with ShardWriter(str(root), SETTINGS, max_samples_per_shard=clips_per_shard) as writer:
        for number in range(num_shards * clips_per_shard):
            writer.write(_renamed(encoded[number % len(encoded)], number))


def _recordings(num_recordings: int) -> Iterator[Pcm]:
    paths = sorted(SAMPLE.iterdir())
    chosen = paths[:: max(len(paths) // (2 * num_recordings), 1)]
    for first, second in zip(chosen[0::2], chosen[1::2], strict=False):
        pcm_T = np.zeros(CLIP_SAMPLES, np.int16)
        for place, path in enumerate((first, second)):
            wave_T, rate = soundfile.read(path, dtype="float32")
            if rate != SAMPLE_RATE_HZ:
                wave_T = soxr.resample(wave_T, rate, SAMPLE_RATE_HZ)
            half_T = np.clip(np.rint(wave_T[: CLIP_SAMPLES // 2] * 32768), -32768, 32767)
            pcm_T[place * CLIP_SAMPLES // 2 :][: len(half_T)] = half_T.astype(np.int16)
        yield pcm_T
        num_recordings -= 1
        if not num_recordings:
            return


def _clean(number: int, pcm_T: Pcm) -> CleanClip:
    return CleanClip(id=f"bench/{number:06d}", split="train", pcm_T=pcm_T, labels=("a",))


def _renamed(sample: EncodedSample, number: int) -> EncodedSample:
    name = f"bench/{number:06d}"
    return replace(sample, record=replace(sample.record, id=name, key=to_key(name)))

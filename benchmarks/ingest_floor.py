"""What the stages of our ingest cost, one by one: the floor under the whole."""

import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.ingest_ways import CLIPS_TOGETHER
from shardwriter import AudioFormat, CleanClip, EncodedSample, Settings, encode_clips
from shardwriter.audio import resample
from shardwriter.decode import decode
from shardwriter.flac import encode_flac
from shardwriter.heap import keep_freed_memory
from shardwriter.md5 import pcm_md5s
from shardwriter.mixdown import DecodeRules, Pcm
from shardwriter.quantise import to_pcm16
from shardwriter.tarshard import TarShard

RATE_HZ = 32_000
T = TypeVar("T")
_RULES = DecodeRules(max_seconds=3600)
_SETTINGS = Settings(name="bench", audio=AudioFormat(sample_rate_hz=RATE_HZ), labels=("a",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """CPU milliseconds a clip of one stage."""

    stage: str
    median_ms: float


def measure_stages(paths: list[Path], num_rounds: int) -> list[Stage]:
    """Return the median CPU time of each stage over clips and rounds.

    What begins with a dash is a part of the stage before it.
    """
    keep_freed_memory()
    times = _Times()
    with tempfile.TemporaryDirectory() as folder:
        shard = TarShard(Path(folder) / "shard.tar")
        _time_clips(paths[:CLIPS_TOGETHER], shard, _Times())  # loads what is compiled
        for _ in range(num_rounds):
            for start in range(0, len(paths), CLIPS_TOGETHER):
                _time_clips(paths[start : start + CLIPS_TOGETHER], shard, times)
        shard.discard()
    return times.stages()


class _Times:
    """CPU seconds a clip of each stage."""

    def __init__(self) -> None:
        self._seconds: dict[str, list[float]] = {}

    def of(self, stage: str, step: Callable[[], T], *, num_clips: int = 1) -> T:
        """Do a step and note what it took."""
        started = time.process_time()
        result = step()
        seconds = (time.process_time() - started) / num_clips
        self._seconds.setdefault(stage, []).append(seconds)
        return result

    def stages(self) -> list[Stage]:
        """Sum up, in the order in which stages came first."""
        return [
            Stage(stage=stage, median_ms=1000 * statistics.median(seconds))
            for stage, seconds in self._seconds.items()
        ]


def _time_clips(paths: list[Path], shard: TarShard, times: _Times) -> None:
    clips = [_time_cleaning(path, times) for path in paths]
    num = len(clips)
    samples = times.of(
        "encode FLAC and hash the samples", lambda: encode_clips(clips, _SETTINGS), num_clips=num
    )
    pcms = [clip.pcm_T for clip in clips]
    md5s = times.of(
        f"- MD5 of the samples, for FLAC, up to {CLIPS_TOGETHER} clips at once",
        lambda: pcm_md5s(pcms),
        num_clips=num,
    )
    for pcm_T, md5, sample in zip(pcms, md5s, samples, strict=True):
        _time_writing(pcm_T, md5, sample, shard, times)


def _time_cleaning(path: Path, times: _Times) -> CleanClip:
    data = times.of("read the file", path.read_bytes)
    audio = times.of(
        "decode, mix and hash the source", lambda: decode(data, file=path.name, rules=_RULES)
    )
    times.of("- hash the source (SHA-256)", lambda: hashlib.sha256(data).hexdigest())
    wave_T = times.of(
        "resample (soxr HQ)",
        lambda: resample(audio.wave_T, from_hz=audio.source.sample_rate_hz, to_hz=RATE_HZ),
    )
    pcm_T, _ = times.of("round to 16 bit", lambda: to_pcm16(wave_T))
    return CleanClip(
        id=f"bench/{path.stem}", split="train", pcm_T=pcm_T, labels=("a",), source=audio.source
    )


def _time_writing(
    pcm_T: Pcm, md5: bytes, sample: EncodedSample, shard: TarShard, times: _Times
) -> None:
    times.of(
        "- encode FLAC, without the MD5",
        lambda: encode_flac(pcm_T, sample_rate_hz=RATE_HZ, frame_num_samples=1152, md5=md5),
    )
    times.of(
        "- SHA-256 of the samples, for the label",
        lambda: hashlib.sha256(pcm_T.data).hexdigest(),
    )
    times.of("write the tar members (JSON, SHA-256, CRC-32C)", lambda: shard.add(sample))

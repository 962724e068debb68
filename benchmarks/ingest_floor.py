"""What the stages of our ingest cost, one by one: the floor under the whole."""

import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from shardwriter import AudioFormat, CleanClip, EncodedSample, Settings, encode_clip
from shardwriter.audio import resample
from shardwriter.decode import decode
from shardwriter.flac import encode_flac
from shardwriter.heap import keep_freed_memory
from shardwriter.mixdown import DecodeRules
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
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        shard = TarShard(Path(folder) / "shard.tar")
        for _ in range(num_rounds):
            for path in paths:
                _time_clip(path, shard, times)
        shard.discard()
    return [
        Stage(stage=stage, median_ms=1000 * statistics.median(seconds))
        for stage, seconds in times.items()
    ]


def _time_clip(path: Path, shard: TarShard, times: dict[str, list[float]]) -> None:
    def timed(stage: str, step: Callable[[], T]) -> T:
        started = time.process_time()
        result = step()
        times.setdefault(stage, []).append(time.process_time() - started)
        return result

    data = timed("read the file", path.read_bytes)
    audio = timed(
        "decode, mix and hash the source",
        lambda: decode(data, file=path.name, rules=_RULES),
    )
    timed("- hash the source (SHA-256)", lambda: hashlib.sha256(data).hexdigest())
    wave_T = timed(
        "resample (soxr HQ)",
        lambda: resample(audio.wave_T, from_hz=audio.source.sample_rate_hz, to_hz=RATE_HZ),
    )
    pcm_T, _ = timed("round to 16 bit", lambda: to_pcm16(wave_T))
    clip = CleanClip(
        id=f"bench/{path.stem}",
        split="train",
        pcm_T=pcm_T,
        labels=("a",),
        source=audio.source,
    )
    sample: EncodedSample = timed(
        "encode FLAC and hash the samples", lambda: encode_clip(clip, _SETTINGS)
    )
    timed(
        "- encode FLAC",
        lambda: encode_flac(pcm_T, sample_rate_hz=RATE_HZ, frame_num_samples=1152),
    )
    timed("- MD5 of the samples, for FLAC", lambda: hashlib.md5(pcm_T.data).digest())
    timed("- SHA-256 of the samples, for the label", lambda: hashlib.sha256(pcm_T.data).hexdigest())
    timed("write the tar members (JSON, SHA-256, CRC-32C)", lambda: shard.add(sample))

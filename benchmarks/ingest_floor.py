"""What the stages of our ingest cost, one by one: the floor under the whole."""

import hashlib
import io
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from shardwriter.audio import resample
from shardwriter.decode import decode
from shardwriter.flac import encode_flac
from shardwriter.index import crc32c
from shardwriter.mixdown import DecodeRules
from shardwriter.quantise import to_pcm16

RATE_HZ = 32_000
T = TypeVar("T")
_RULES = DecodeRules(max_seconds=3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """CPU milliseconds a clip of one stage."""

    stage: str
    median_ms: float


def measure_stages(paths: list[Path], num_rounds: int) -> list[Stage]:
    """Return the median CPU time of each stage over clips and rounds."""
    times: dict[str, list[float]] = {}
    for _ in range(num_rounds):
        for path in paths:
            _time_clip(path, times)
    return [
        Stage(stage=stage, median_ms=1000 * statistics.median(seconds))
        for stage, seconds in times.items()
    ]


def _time_clip(path: Path, times: dict[str, list[float]]) -> None:
    def timed(stage: str, step: Callable[[], T]) -> T:
        started = time.process_time()
        result = step()
        times.setdefault(stage, []).append(time.process_time() - started)
        return result

    data = timed("read the file", path.read_bytes)
    timed("hash the source (SHA-256)", lambda: hashlib.sha256(data).hexdigest())
    audio = timed(
        "decode and mix (and hash the source)",
        lambda: decode(data, file=path.name, rules=_RULES),
    )
    wave_T = timed(
        "resample (soxr HQ)",
        lambda: resample(audio.wave_T, from_hz=audio.source.sample_rate_hz, to_hz=RATE_HZ),
    )
    pcm_T, _ = timed("round to 16 bit", lambda: to_pcm16(wave_T))
    stream = timed(
        "encode FLAC",
        lambda: encode_flac(pcm_T, sample_rate_hz=RATE_HZ, frame_num_samples=1152),
    )
    timed("hash the samples (SHA-256)", lambda: hashlib.sha256(pcm_T.tobytes()).hexdigest())
    timed(
        "write and hash the tar member (SHA-256, CRC-32C)",
        lambda: (
            hashlib.sha256(stream.data).digest(),
            crc32c(stream.data),
            io.BytesIO().write(stream.data),
        ),
    )

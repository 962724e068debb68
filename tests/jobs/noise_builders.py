"""Small datasets of noises and responses, made here."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shardwriter import AudioFormat, CleanClip, Settings, ShardWriter
from tests.jobs.builders import TONE_HZ


def make_noises(
    folder: Path,
    *,
    kinds: Sequence[str] = ("music", "noise", "speech"),
    clips_a_kind: int = 3,
    sample_rate_hz: int = TONE_HZ,
    seed: int = 0,
) -> str:
    """Write noises of some kinds, each a label and a split, as of MUSAN; return the URL."""
    rng = np.random.default_rng(seed)
    settings = Settings(
        name="noises", audio=AudioFormat(sample_rate_hz=sample_rate_hz), labels=tuple(kinds)
    )
    with ShardWriter(str(folder), settings) as writer:
        for kind in kinds:
            for number in range(clips_a_kind):
                pcm_T = rng.normal(0, 1000, sample_rate_hz).astype(np.int16)
                writer.write_clip(
                    CleanClip(id=f"noises/{kind}-{number}", split=kind, pcm_T=pcm_T, labels=(kind,))
                )
    return str(folder)


def make_responses(folder: Path, *, seconds: float = 0.05, num_clips: int = 4) -> str:
    """Write decaying noises as room responses, split `small`; return the URL."""
    rng = np.random.default_rng(0)
    settings = Settings(
        name="rirs", audio=AudioFormat(sample_rate_hz=TONE_HZ), labels=("room_response",)
    )
    num_samples = round(seconds * TONE_HZ)
    decay_T = np.exp(-np.arange(num_samples) / (num_samples / 8))
    with ShardWriter(str(folder), settings) as writer:
        for number in range(num_clips):
            pcm_T = 8000 * decay_T * rng.uniform(-1, 1, num_samples)
            pcm_T[0] = 16_000
            writer.write_clip(
                CleanClip(
                    id=f"rirs/{number}",
                    split="small",
                    pcm_T=pcm_T.astype(np.int16),
                    labels=("room_response",),
                )
            )
    return str(folder)

"""A clean clip becomes an encoded sample: FLAC bytes, frame offsets and the JSON record."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shardwriter.audio import Pcm
from shardwriter.flac import encode_flac
from shardwriter.keys import to_key
from shardwriter.schema import EncodedSample, SampleRecord, Settings, SourceInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanClip:
    """A clip that is ready to be encoded."""

    id: str
    """Identity, e.g. `esc50/1-100032-A-0`; it decides the key."""
    split: str
    pcm_T: Pcm
    """Mono int16 samples at the dataset's rate."""
    labels: tuple[str, ...]
    num_clipped: int = 0
    source: SourceInfo | None = None
    """None for audio that was made, not read."""
    fold: int | None = None
    group: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


def encode_clip(clip: CleanClip, settings: Settings) -> EncodedSample:
    """Encode a clip for a dataset of these settings.

    Raises:
        ValueError: a label that the vocabulary lacks, an identity that makes no key, no samples.
    """
    unknown = [label for label in clip.labels if label not in settings.labels]
    if unknown:
        raise ValueError(f"clip {clip.id}: the dataset's vocabulary lacks {unknown}")
    audio = settings.audio
    stream = encode_flac(
        clip.pcm_T,
        sample_rate_hz=audio.sample_rate_hz,
        frame_num_samples=audio.frame_num_samples,
    )
    record = SampleRecord(
        key=to_key(clip.id),
        id=clip.id,
        split=clip.split,
        labels=clip.labels,
        label_ids=tuple(settings.labels.index(label) for label in clip.labels),
        sample_rate_hz=audio.sample_rate_hz,
        num_samples=len(clip.pcm_T),
        num_clipped=clip.num_clipped,
        pcm_sha256=hashlib.sha256(clip.pcm_T.astype("<i2", copy=False).tobytes()).hexdigest(),
        source=clip.source,
        fold=clip.fold,
        group=clip.group,
        metadata=clip.metadata,
    )
    return EncodedSample(record=record, audio=stream.data, frame_offsets=stream.frame_offsets)

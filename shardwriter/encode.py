"""Clean clips become encoded samples: audio bytes, frame offsets and the JSON record."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shardwriter import flac, opus
from shardwriter.audio_format import AudioFormat, Codec
from shardwriter.flac import encode_flac
from shardwriter.keys import to_key
from shardwriter.md5 import pcm_md5s
from shardwriter.mixdown import Pcm
from shardwriter.opus import encode_opus
from shardwriter.schema import CleanInfo, EncodedSample, SampleRecord, Settings, SourceInfo
from shardwriter.targets import TargetValue, check_targets, target_ids
from shardwriter.wav import encode_wav


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceBytes:
    """An encoded file that goes into the shard as it is."""

    data: bytes
    suffix: str
    """Extension that fits the bytes, without the dot."""
    sample_rate_hz: int
    """Rate that it decodes to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanClip:
    """A clip that is ready to be encoded."""

    id: str
    """Identity, e.g. `esc50/1-100032-A-0`; it decides the key."""
    split: str
    pcm_T: Pcm
    """Mono int16 samples at the dataset's rate; with `passthrough`, at that one's rate."""
    labels: tuple[str, ...]
    num_clipped: int = 0
    source: SourceInfo | None = None
    """None for audio that was made, not read."""
    clean: CleanInfo | None = None
    passthrough: SourceBytes | None = None
    """What a dataset of the codec `source` stores; others encode `pcm_T`."""
    fold: int | None = None
    group: str | None = None
    targets: Mapping[str, TargetValue] = field(default_factory=dict)
    """Values of the dataset's targets, by name; those that are not known are left out."""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Encoded:
    data: bytes
    suffix: str
    sample_rate_hz: int
    frame_offsets: tuple[int, ...] = ()


def provenance(audio: AudioFormat) -> dict[str, str]:
    """Return the encoder of a format and its settings."""
    if audio.codec == Codec.FLAC:
        return flac.provenance()
    if audio.codec == Codec.OPUS:
        return opus.provenance()
    return {"encoder": audio.description}


def encode_clip(clip: CleanClip, settings: Settings) -> EncodedSample:
    """Encode a clip for a dataset of these settings.

    Raises:
        ValueError: a label that the vocabulary lacks, a target that the dataset lacks, an identity
            that makes no key, no samples, source bytes missing or in the way, or a dataset of
            features.
    """
    _check(clip, settings)
    return _encode_checked(clip, settings)


def encode_clips(clips: Sequence[CleanClip], settings: Settings) -> list[EncodedSample]:
    """Encode clips, faster than one by one where they become FLAC; the result is the same.

    Some 16 are best: FLAC wants an MD5 of the samples, and those of as many clips are computed
    side by side. All their samples are in memory at once.

    Raises:
        ValueError: as `encode_clip` does, of the first clip that is wrong.
    """
    for clip in clips:
        _check(clip, settings)
    if settings.audio.codec != Codec.FLAC:
        return [_encode_checked(clip, settings) for clip in clips]
    md5s = pcm_md5s([clip.pcm_T for clip in clips])
    return [_encode_checked(clip, settings, md5=md5) for clip, md5 in zip(clips, md5s, strict=True)]


def _check(clip: CleanClip, settings: Settings) -> None:
    if settings.features is not None:
        raise ValueError(
            f"clip {clip.id}: {settings.name} holds features; add the clip to the dataset of audio "
            "that they are made of, and run `melstream cache-features` again"
        )
    unknown = [label for label in clip.labels if label not in settings.labels]
    if unknown:
        raise ValueError(f"clip {clip.id}: the dataset's vocabulary lacks {unknown}")
    check_targets(clip.targets, settings.targets, where=f"clip {clip.id}")
    pcm_T = clip.pcm_T
    if pcm_T.ndim != 1 or pcm_T.dtype.name != "int16" or not len(pcm_T):
        raise ValueError(
            f"expected mono int16 samples, at least one, got {pcm_T.dtype} {pcm_T.shape}"
        )
    if (clip.passthrough is not None) != (settings.audio.codec == Codec.SOURCE):
        raise ValueError(
            f"clip {clip.id}: source bytes belong to datasets of the codec 'source', and only "
            f"there; this one's is {settings.audio.codec!r}"
        )


def _encode_checked(
    clip: CleanClip, settings: Settings, *, md5: bytes | None = None
) -> EncodedSample:
    encoded = _encode(clip, settings.audio, md5)
    record = SampleRecord(
        key=to_key(clip.id),
        id=clip.id,
        split=clip.split,
        labels=clip.labels,
        label_ids=tuple(settings.labels.index(label) for label in clip.labels),
        sample_rate_hz=encoded.sample_rate_hz,
        num_samples=len(clip.pcm_T),
        num_clipped=clip.num_clipped,
        pcm_sha256=hashlib.sha256(np.ascontiguousarray(clip.pcm_T, "<i2").data).hexdigest(),
        audio_suffix=encoded.suffix,
        source=clip.source,
        clean=clip.clean,
        fold=clip.fold,
        group=clip.group,
        targets=clip.targets,
        target_ids=target_ids(clip.targets, settings.targets),
        metadata=clip.metadata,
    )
    return EncodedSample(record=record, audio=encoded.data, frame_offsets=encoded.frame_offsets)


def _encode(clip: CleanClip, audio: AudioFormat, md5: bytes | None) -> _Encoded:
    pcm_T, rate = clip.pcm_T, audio.sample_rate_hz
    if clip.passthrough is not None:
        source = clip.passthrough
        return _Encoded(
            data=source.data, suffix=source.suffix, sample_rate_hz=source.sample_rate_hz
        )
    if audio.codec == Codec.OPUS:
        data = encode_opus(pcm_T, sample_rate_hz=rate, bit_rate=audio.opus_bit_rate)
        return _Encoded(data=data, suffix="opus", sample_rate_hz=rate)
    if audio.codec == Codec.WAV:
        return _Encoded(
            data=encode_wav(pcm_T, sample_rate_hz=rate), suffix="wav", sample_rate_hz=rate
        )
    stream = encode_flac(
        pcm_T, sample_rate_hz=rate, frame_num_samples=audio.frame_num_samples, md5=md5
    )
    return _Encoded(
        data=stream.data, suffix="flac", sample_rate_hz=rate, frame_offsets=stream.frame_offsets
    )

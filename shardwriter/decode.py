"""Encoded bytes of any container and codec → mono samples at the source's rate, in this process.

Plain WAV and AAC-LC in MP4 are decoded here; libsndfile reads what it reads well, FFmpeg's
libraries (through PyAV, whose wheels hold them) the rest, and what libsndfile refuses.
`shardwriter.sniff` says which is asked first, and why.

Encoder delay and padding are left out, so that a clip is as long as what was encoded: FFmpeg
drops what skip marks, edit lists and Opus pre-skip name, libsndfile's mpg123 what a LAME tag
names. What was dropped in front stands in `SourceInfo.num_priming_samples`.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from shardwriter.decode_aac import decode_mp4_aac
from shardwriter.decode_ffmpeg import decode_with_ffmpeg
from shardwriter.decode_libsndfile import decode_with_libsndfile
from shardwriter.decode_wav import decode_plain_wav
from shardwriter.decoded import Decoded
from shardwriter.errors import AudioError
from shardwriter.mixdown import DecodeRules, Pcm, Wave
from shardwriter.mp3 import read_mp3_info
from shardwriter.promised_length import promised_flac_samples, promised_num_bytes
from shardwriter.schema import RejectionReason, SourceInfo
from shardwriter.sniff import MP3, MP4, WAV, Container, id3_num_bytes, sniff

_OWN_DECODERS = {WAV: decode_plain_wav, MP4: decode_mp4_aac}
"""What is decoded without a library; None from them leaves a file to the libraries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAudio:
    """The wanted part of a file, decoded and mixed down."""

    wave_T: Wave | Pcm
    """float32 with full scale 1.0, or int16 where the source is 16 bit mono."""
    source: SourceInfo
    suffix: str
    """Extension that fits the encoded bytes, whatever the file is called."""


def decode(data: bytes, *, file: str, rules: DecodeRules) -> SourceAudio:
    """Decode a file.

    Args:
        data: The whole encoded file.
        file: Its name in the source, for `SourceInfo` and messages.
        rules: Which part, which channels, how much at most.

    Raises:
        AudioError: the bytes can't be used; `reason` says in which way.
    """
    container, decoded = decode_wave(data, file=file, rules=rules)
    return SourceAudio(
        wave_T=decoded.wave_T,
        suffix=container.suffix,
        source=SourceInfo(
            file=file,
            container=f"{container.name}/{decoded.codec}",
            sample_rate_hz=decoded.sample_rate_hz,
            num_channels=decoded.num_channels,
            num_samples=len(decoded.wave_T),
            start_sample=decoded.start_sample,
            sha256=hashlib.sha256(data).hexdigest(),
            decoder=decoded.decoder,
            num_priming_samples=decoded.num_priming_samples,
        ),
    )


def decode_wave(data: bytes, *, file: str, rules: DecodeRules) -> tuple[Container, Decoded]:
    """Decode a file as `decode` does, without a hash of it; also return what container it is.

    Raises:
        AudioError: as in `decode`.
    """
    if not data:
        raise AudioError(RejectionReason.EMPTY, f"{file} has no bytes")
    container = sniff(data, file=file)
    if container is None:
        raise AudioError(
            RejectionReason.UNREADABLE,
            f"{file} is in no known audio container; it begins with {data[:12]!r}",
        )
    promised = promised_num_bytes(data)
    if rules.cut is None and promised is not None and promised > len(data):
        raise AudioError(
            RejectionReason.TRUNCATED,
            f"{file} promises {promised} bytes and holds {len(data)}",
        )
    with np.errstate(over="ignore", invalid="ignore"):  # mixing float files that hold nonsense
        decoded = _decode(data, container, file=file, rules=rules)
    if not len(decoded.wave_T):
        raise AudioError(RejectionReason.EMPTY, f"{file} has no samples{_where(decoded)}")
    return container, decoded


def _decode(data: bytes, container: Container, *, file: str, rules: DecodeRules) -> Decoded:
    own = _OWN_DECODERS.get(container)
    decoded = own(data, file=file, rules=rules) if own is not None else None
    if decoded is not None:
        return decoded
    if not container.libsndfile_first:
        return decode_with_ffmpeg(data, container, file=file, rules=rules)
    try:
        return decode_with_libsndfile(data, container, file=file, rules=rules)
    except AudioError as refusal:
        if refusal.reason != RejectionReason.UNREADABLE:
            raise
        try:
            decoded = decode_with_ffmpeg(data, container, file=file, rules=rules)
        except AudioError as err:
            theirs = err.detail.removeprefix(f"{file}: ")
            raise AudioError(err.reason, f"{refusal.detail}; {theirs}") from err
    if container is MP3:
        promised = read_mp3_info(data).min_num_samples
    else:
        promised = promised_flac_samples(data, start=id3_num_bytes(data))
    if rules.cut is None and len(decoded.wave_T) < promised:  # FFmpeg doesn't look
        raise AudioError(
            RejectionReason.TRUNCATED,
            f"{file} promises {promised} samples and holds {len(decoded.wave_T)}",
        )
    return decoded


def _where(decoded: Decoded) -> str:
    return f" from sample {decoded.start_sample} on" if decoded.start_sample else ""

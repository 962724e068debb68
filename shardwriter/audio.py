"""Encoded source bytes to mono 16-bit samples: decode, downmix, resample, round."""

import hashlib
import io
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from shardwriter.errors import AudioError
from shardwriter.schema import RejectionReason, SourceInfo

Wave = npt.NDArray[np.float32]
Pcm = npt.NDArray[np.int16]

# T: samples, C: channels.

_READ_BLOCK_SAMPLES = 1 << 18
_FULL_SCALE = 32768.0
_UNKNOWN_SIZES = frozenset({0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF})
"""What recorders that write to a pipe leave in the size field of the audio chunk."""
_W64_RIFF_ID = bytes.fromhex("726966662e91cf11a5d628db04c10000")


@dataclass(frozen=True, slots=True, kw_only=True)
class DurationRule:
    """How long a catalogue says a clip is."""

    seconds: float
    tolerance_seconds: float
    """A clip that differs by more is refused."""
    fit: bool = False
    """Cut at the end, or pad with zeros, to exactly `seconds`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanAudio:
    """Audio as a shard holds it, before encoding."""

    pcm_T: Pcm
    """Mono samples, int16."""
    sample_rate_hz: int
    num_clipped: int
    """Samples beyond full scale that rounding to 16 bit limited."""
    source: SourceInfo


def provenance() -> dict[str, str]:
    """Return what makes the audio what it is: each step's choice and the libraries' versions."""
    return {
        "decoder": f"libsndfile {soundfile.__libsndfile_version__}",
        "downmix": "mean of the channels",
        "resampler": f"soxr {soxr.__version__} HQ, float32; none at equal rates",
        "quantisation": "round to nearest 16-bit value, limit at full scale, no dither",
        "loudness": "unchanged",
        "trimming": "none",
    }


def clean_audio(
    data: bytes,
    *,
    file: str,
    sample_rate_hz: int,
    max_seconds: float,
    duration: DurationRule | None = None,
) -> CleanAudio:
    """Turn encoded source bytes into audio for a shard.

    16-bit mono sources that have the wanted rate already come through bit for bit.

    Args:
        data: An encoded file that libsndfile reads: WAV, FLAC, Ogg Vorbis, Ogg Opus, MP3, AIFF ...
        file: Its name in the source, kept in `SourceInfo`.
        sample_rate_hz: The wanted rate.
        max_seconds: Bound on the decoded duration, checked before memory is taken.
        duration: What the catalogue says of the duration, if it says anything.

    Raises:
        AudioError: the bytes can't be used; `reason` says in which way. A file that was cut is
            refused where its container tells: WAV, RF64, W64, AIFF, AU, FLAC and MP3 do; an Ogg
            file that ends at a page and a cut CAF, VOC or NIST file are only shorter, which
            `duration` is there to notice.
    """
    wave_TC, source = _decode(data, file=file, max_seconds=max_seconds)
    if duration is not None:
        wave_TC = _apply(duration, wave_TC, source)
    with np.errstate(over="ignore"):  # float sources may be anywhere near the largest float
        wave_T = wave_TC[:, 0] if wave_TC.shape[1] == 1 else wave_TC.mean(axis=1, dtype=np.float32)
        resampled_T = resample(wave_T, from_hz=source.sample_rate_hz, to_hz=sample_rate_hz)
        if not (np.isfinite(wave_TC).all() and np.isfinite(resampled_T).all()):
            raise AudioError(RejectionReason.NOT_FINITE, f"{file} holds NaN or infinite samples")
        pcm_T, num_clipped = to_pcm16(resampled_T)
    if not len(pcm_T):
        raise AudioError(
            RejectionReason.EMPTY,
            f"{file}: its {len(wave_TC)} samples at {source.sample_rate_hz} Hz are less than one "
            f"at {sample_rate_hz} Hz",
        )
    return CleanAudio(
        pcm_T=pcm_T, sample_rate_hz=sample_rate_hz, num_clipped=num_clipped, source=source
    )


def _apply(rule: DurationRule, wave_TC: Wave, source: SourceInfo) -> Wave:
    seconds = len(wave_TC) / source.sample_rate_hz
    if abs(seconds - rule.seconds) > rule.tolerance_seconds:
        raise AudioError(
            RejectionReason.WRONG_DURATION,
            f"{source.file} lasts {seconds:.3f} s, expected {rule.seconds:.3f} s "
            f"within {rule.tolerance_seconds:g} s",
        )
    if not rule.fit:
        return wave_TC
    num_samples = round(rule.seconds * source.sample_rate_hz)
    missing = max(num_samples - len(wave_TC), 0)
    return np.pad(wave_TC[:num_samples], ((0, missing), (0, 0)))


def resample(wave_T: Wave, *, from_hz: int, to_hz: int) -> Wave:
    """Return the wave at another rate (soxr HQ); at equal rates the same array."""
    if from_hz == to_hz:
        return wave_T
    resampled: Wave = soxr.resample(wave_T, from_hz, to_hz, quality="HQ")
    return resampled


def to_pcm16(wave_T: Wave) -> tuple[Pcm, int]:
    """Round to 16 bit; return the samples and how many of them full scale limited.

    The scale is 2^15, libsndfile's and FLAC's, so that 16-bit sources survive unchanged.
    """
    scaled_T = np.rint(wave_T * np.float32(_FULL_SCALE))
    num_clipped = int(np.count_nonzero((scaled_T > 32767) | (scaled_T < -32768)))
    return np.clip(scaled_T, -32768, 32767).astype(np.int16), num_clipped


def _decode(data: bytes, *, file: str, max_seconds: float) -> tuple[Wave, SourceInfo]:
    if not data:
        raise AudioError(RejectionReason.EMPTY, f"{file} has no bytes")
    try:
        with soundfile.SoundFile(_Bytes(data)) as sound:
            wave_TC = _read_bounded(sound, file=file, max_seconds=max_seconds)
            promised = sound.frames
            source = SourceInfo(
                file=file,
                container=f"{sound.format}/{sound.subtype}",
                sample_rate_hz=sound.samplerate,
                num_channels=sound.channels,
                num_samples=len(wave_TC),
                sha256=hashlib.sha256(data).hexdigest(),
            )
    except soundfile.SoundFileError as err:
        raise AudioError(
            RejectionReason.UNREADABLE, f"{file}: libsndfile says: {_one_line(err)}"
        ) from err
    if len(wave_TC) < promised < _READ_BLOCK_SAMPLES << 20:
        raise AudioError(
            RejectionReason.TRUNCATED,
            f"{file} promises {promised} samples and holds {len(wave_TC)}",
        )
    _check_is_whole(data, file=file)
    if not len(wave_TC):
        raise AudioError(RejectionReason.EMPTY, f"{file} has no samples")
    return wave_TC, source


def _read_bounded(sound: soundfile.SoundFile, *, file: str, max_seconds: float) -> Wave:
    """Read in blocks, because the length that a header states can be wrong or unknown."""
    max_samples = int(max_seconds * sound.samplerate)
    blocks: list[Wave] = []
    num_read = 0
    while num_read <= max_samples:
        block_TC = sound.read(_READ_BLOCK_SAMPLES, dtype="float32", always_2d=True)
        blocks.append(block_TC)
        num_read += len(block_TC)
        if len(block_TC) < _READ_BLOCK_SAMPLES and num_read <= max_samples:
            return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    raise AudioError(RejectionReason.TOO_LONG, f"{file} lasts over {max_seconds:g} s")


def _check_is_whole(data: bytes, *, file: str) -> None:
    """Refuse a cut file of a container that libsndfile shortens without a word."""
    promised = _promised_end(data)
    if promised is not None and promised > len(data):
        raise AudioError(
            RejectionReason.TRUNCATED,
            f"{file}: its header promises {promised} bytes, it has {len(data)}",
        )


def _promised_end(data: bytes) -> int | None:
    """Return how long the file must be at least, as its header tells; None if it doesn't."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return _end_of_wav_data(data)
    if data[:4] == b"RF64" and data[12:16] == b"ds64" and len(data) >= 28:
        return 8 + int.from_bytes(data[20:28], "little")
    if data[:16] == _W64_RIFF_ID:
        return int.from_bytes(data[16:24], "little")
    if data[:4] == b"FORM" and data[8:12] in (b"AIFF", b"AIFC"):
        num_bytes = int.from_bytes(data[4:8], "big")
        return None if num_bytes in _UNKNOWN_SIZES else 8 + num_bytes
    if data[:4] == b".snd":
        start, num_bytes = int.from_bytes(data[4:8], "big"), int.from_bytes(data[8:12], "big")
        return None if num_bytes in _UNKNOWN_SIZES else start + num_bytes
    return None


def _end_of_wav_data(data: bytes) -> int | None:
    position = 12
    while position + 8 <= len(data):
        name, num_bytes = struct.unpack_from("<4sI", data, position)
        position += 8
        if name == b"data":
            return None if num_bytes in _UNKNOWN_SIZES else position + num_bytes
        position += num_bytes + num_bytes % 2
    return None


class _Bytes(io.BytesIO):
    """Bytes for libsndfile, which seeks before the start of damaged files.

    soundfile can't pass an exception on from there; Python would print it as ignored.
    """

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence == io.SEEK_SET:
            offset = max(offset, 0)
        return super().seek(offset, whence)


def _one_line(err: Exception) -> str:
    return " ".join(str(err).split())

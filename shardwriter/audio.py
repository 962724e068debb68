"""Encoded source bytes to mono 16-bit samples, step by step.

    decode and mix down → fit → trim → resample → gain → round

`shardwriter.decode` does the first step, `trim` and `loudness` decide on theirs; the rest is here.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import soxr

from shardwriter import decode_aac, decode_ffmpeg, decode_libsndfile, decode_wav
from shardwriter.decode import decode, decode_wave
from shardwriter.errors import AudioError
from shardwriter.heap import keep_freed_memory
from shardwriter.loudness import LoudnessRule, gain_db
from shardwriter.mixdown import Cut, DecodeRules, Pcm, Wave
from shardwriter.quantise import Dither, to_float, to_pcm16
from shardwriter.schema import CleanInfo, RejectionReason, SourceInfo
from shardwriter.trim import SilenceRule, find_sound

__all__ = [
    "CleanAudio",
    "CleanOptions",
    "Cut",
    "Dither",
    "DurationRule",
    "Pcm",
    "Wave",
    "clean_audio",
    "decode_window",
    "provenance",
    "resample",
    "to_pcm16",
]

_MAX_PEAK = 1e6
"""Of float sources, where 1.0 is full scale; files that hold 16-bit numbers as floats reach 3e4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DurationRule:
    """How long a catalogue says a clip is."""

    seconds: float
    tolerance_seconds: float
    """A clip that differs by more is refused."""
    fit: bool = False
    """Cut at the end, or pad with zeros, to exactly `seconds`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanOptions:
    """What is done to every clip of a dataset, beyond resampling and rounding."""

    channel: int | None = None
    """Take this channel, from 0; None for the mean of all."""
    loudness: LoudnessRule | None = None
    silence: SilenceRule | None = None
    """Trim silence at both ends; None to leave it."""
    dither: Dither = Dither.NONE

    def to_json(self) -> dict[str, Any]:
        """Return the choices that differ from the defaults, for `Settings.processing`."""
        default = CleanOptions()
        return {
            name: value
            for name, value in asdict(self).items()
            if getattr(self, name) != getattr(default, name)
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanAudio:
    """Audio as a shard holds it, before encoding."""

    pcm_T: Pcm
    """Mono samples, int16."""
    sample_rate_hz: int
    num_clipped: int
    """Samples beyond full scale that rounding to 16 bit limited."""
    source: SourceInfo
    clean: CleanInfo
    source_suffix: str
    """Extension that fits the source bytes."""


def provenance(options: CleanOptions | None = None) -> dict[str, str]:
    """Return what makes the audio what it is: each step's choice and the libraries' versions."""
    options = options or CleanOptions()
    loudness, silence = options.loudness, options.silence
    return {
        "decoder": f"{decode_wav.DECODER}; {decode_aac.DECODER}; {decode_libsndfile.DECODER}; "
        f"{decode_ffmpeg.DECODER}; which by container",
        "priming": "encoder delay and padding left out where the file tells them",
        "downmix": (
            "mean of the channels" if options.channel is None else f"channel {options.channel} only"
        ),
        "resampler": f"soxr {soxr.__version__} HQ, float32; none at equal rates",
        "quantisation": (
            "round to nearest 16-bit value, limit at full scale, "
            + (
                "no dither"
                if options.dither is Dither.NONE
                else "TPDF dither of 2 LSB peak to peak"
            )
        ),
        "loudness": (
            "unchanged"
            if loudness is None
            else f"{loudness.kind} to {loudness.target_db:g} dB, no limiter"
        ),
        "trimming": (
            "none"
            if silence is None
            else f"both ends, 10 ms RMS below {silence.threshold_dbfs:g} dBFS, "
            f"margin {silence.margin_seconds:g} s"
        ),
    }


def clean_audio(
    data: bytes,
    *,
    file: str,
    sample_rate_hz: int | None,
    max_seconds: float,
    duration: DurationRule | None = None,
    cut: Cut | None = None,
    options: CleanOptions | None = None,
) -> CleanAudio:
    """Turn encoded source bytes into audio for a shard.

    16-bit mono sources that have the wanted rate already come through bit for bit, unless
    `options` ask for a change.

    Args:
        data: An encoded file of any container that `shardwriter.sniff` knows.
        file: Its name in the source, kept in `SourceInfo`.
        sample_rate_hz: The wanted rate; None for the source's.
        max_seconds: Bound on the decoded duration, checked before memory is taken.
        duration: What the catalogue says of the duration (of the cut), if it says anything.
        cut: The part of the file that is the clip; None for all of it.
        options: Loudness, trimming, channel, dither; None for none of them.

    Raises:
        AudioError: the bytes can't be used; `reason` says in which way. A file that was cut is
            refused where its container tells: WAV, RF64, W64, AIFF, AU, FLAC and MP3 do; an Ogg
            file that ends at a page and a cut CAF, VOC or NIST file are only shorter, which
            `duration` is there to notice.
    """
    keep_freed_memory()
    options = options or CleanOptions()
    decoded = decode(
        data,
        file=file,
        rules=DecodeRules(max_seconds=max_seconds, cut=cut, channel=options.channel),
    )
    source = decoded.source
    wave_T = decoded.wave_T if duration is None else _apply(duration, decoded.wave_T, source)
    _check_samples(wave_T, file=file)
    sound = _sound(wave_T, options.silence, source)
    rate = sample_rate_hz or source.sample_rate_hz
    out_T = resample(wave_T[sound.start : sound.stop], from_hz=source.sample_rate_hz, to_hz=rate)
    gain = 0.0
    if options.loudness is not None:
        out_T = to_float(out_T)
        gain = gain_db(out_T, rule=options.loudness, sample_rate_hz=rate)
        out_T = out_T * np.float32(10.0 ** (gain / 20.0))
    # The same audio gets the same dither, whatever it is called: equal hashes find duplicates.
    seed = int(source.sha256[:16], 16) ^ source.start_sample
    pcm_T, num_clipped = to_pcm16(out_T, dither=options.dither, seed=seed)
    if not len(pcm_T):
        raise AudioError(
            RejectionReason.EMPTY,
            f"{file}: its {len(wave_T)} samples at {source.sample_rate_hz} Hz are less than one "
            f"at {rate} Hz",
        )
    return CleanAudio(
        pcm_T=pcm_T if pcm_T.flags.writeable else pcm_T.copy(),  # a view of `data` lets go of it
        sample_rate_hz=rate,
        num_clipped=num_clipped,
        source=source,
        clean=CleanInfo(
            gain_db=gain,
            num_trimmed_start=sound.start,
            num_trimmed_stop=len(wave_T) - sound.stop,
        ),
        source_suffix=decoded.suffix,
    )


def decode_window(
    data: bytes, *, file: str, start: int, num_samples: int, sample_rate_hz: int
) -> Pcm:
    """Decode a part of an encoded file to mono 16-bit samples at the file's own rate.

    They are those that `clean_audio` without options gives for the whole file, from `start` on.

    Args:
        data: An encoded file of any container that `shardwriter.sniff` knows.
        file: What messages call it.
        start: First sample that is wanted.
        num_samples: How many at most; fewer come where the file ends before.
        sample_rate_hz: The rate that the file should have.

    Raises:
        AudioError: the bytes can't be used, or have another rate.
    """
    stop_seconds = (start + num_samples) / sample_rate_hz
    cut = Cut(start_seconds=start / sample_rate_hz, stop_seconds=stop_seconds)
    # A file of another rate is decoded before it is refused, so its length is bound too.
    rules = DecodeRules(max_seconds=stop_seconds + 1.0, cut=cut)
    _, decoded = decode_wave(data, file=file, rules=rules)
    if decoded.sample_rate_hz != sample_rate_hz:
        raise AudioError(
            RejectionReason.UNSUPPORTED,
            f"{file}: expected {sample_rate_hz} Hz, got {decoded.sample_rate_hz} Hz",
        )
    _check_samples(decoded.wave_T, file=file)
    return to_pcm16(decoded.wave_T)[0]


def resample(wave_T: Wave | Pcm, *, from_hz: int, to_hz: int) -> Wave | Pcm:
    """Return the wave at another rate as float32 (soxr HQ); at equal rates the same array.

    Raises:
        AudioError: so few samples that none is left at the new rate.
    """
    if from_hz == to_hz:
        return wave_T
    resampled: Wave = soxr.resample(to_float(wave_T), from_hz, to_hz, quality="HQ")
    if not len(resampled):
        raise AudioError(
            RejectionReason.EMPTY, f"{len(wave_T)} samples at {from_hz} Hz are none at {to_hz} Hz"
        )
    return resampled


def _apply(rule: DurationRule, wave_T: Wave | Pcm, source: SourceInfo) -> Wave | Pcm:
    seconds = len(wave_T) / source.sample_rate_hz
    if abs(seconds - rule.seconds) > rule.tolerance_seconds:
        raise AudioError(
            RejectionReason.WRONG_DURATION,
            f"{source.file} lasts {seconds:.3f} s, expected {rule.seconds:.3f} s "
            f"within {rule.tolerance_seconds:g} s",
        )
    if not rule.fit:
        return wave_T
    num_samples = round(rule.seconds * source.sample_rate_hz)
    fitted_T = np.zeros(num_samples, wave_T.dtype)
    fitted_T[: len(wave_T)] = wave_T[:num_samples]
    return fitted_T


def _check_samples(wave_T: Wave | Pcm, *, file: str) -> None:
    if wave_T.dtype == np.int16:
        return
    peak = max(float(wave_T.max()), -float(wave_T.min()))  # NaN if any sample is
    if not peak <= _MAX_PEAK:
        raise AudioError(
            RejectionReason.NOT_FINITE,
            f"{file} holds samples that are NaN, infinite or over {_MAX_PEAK:g} times "
            f"full scale: the largest is {peak:g}",
        )


def _sound(wave_T: Wave | Pcm, rule: SilenceRule | None, source: SourceInfo) -> range:
    if rule is None:
        return range(len(wave_T))
    sound = find_sound(to_float(wave_T), rule=rule, sample_rate_hz=source.sample_rate_hz)
    if sound is None:
        raise AudioError(
            RejectionReason.SILENT,
            f"{source.file} is below {rule.threshold_dbfs:g} dBFS from beginning to end",
        )
    return sound

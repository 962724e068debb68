"""What a clip turned out to be, judged by its decoded samples. Pure: no clip is changed."""

import math
from dataclasses import dataclass

import numpy as np

from jobs.availability.classifier import classify
from jobs.availability.outcome import Code, Outcome
from jobs.catalogues.catalogue import ClipRef
from jobs.fetching.own_outcome import own_outcome
from shardwriter import RejectionReason
from shardwriter.audio import CleanAudio, Pcm
from shardwriter.errors import AudioError

_FULL_SCALE = 32768.0
_CLIPPED_PEAK = 32767
_CLIPPED_RUN_SAMPLES = 3
"""So many samples in a row at full scale don't happen unclipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRules:
    """What a clip must be."""

    short_tolerance_seconds: float = 0.25
    """By which a cut may be shorter than the catalogue says, where it has no rule of its own.
    Catalogues round; a video that lost its end lacks more."""
    silent_peak_dbfs: float = -80.0
    """A clip whose every sample is below this has been muted: 3 steps of 16 bit, less than any
    microphone's noise."""
    labels_of_silence: frozenset[str] = frozenset({"Silence", "/m/028v0c", "_silence_"})
    """Clips with one of these labels may be silent: AudioSet and Speech Commands have such a
    class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """How loud a clip is."""

    peak_dbfs: float
    """Of the largest sample; -inf for zeros alone."""
    clipped_fraction: float
    """Share of samples in runs of three or more at full scale."""


def judge(
    clip: ClipRef, audio: CleanAudio | AudioError, *, rules: ClipRules | None = None
) -> Outcome:
    """Return what came of decoding and cutting a clip.

    Clipping is told, not refused: datasets hold clips that were recorded so.

    Args:
        clip: As the catalogue lists it.
        audio: What `shardwriter.audio.clean_audio` returned or raised.
        rules: What is accepted.

    Returns:
        `OK`, with seconds, peak and clipping as `evidence.got`; or why the clip is not used, with
        what was expected and what came.
    """
    rules = rules or ClipRules()
    if isinstance(audio, AudioError):
        return _judge_error(clip, audio)
    seconds = audio.source.num_samples / audio.source.sample_rate_hz
    level = measure_level(audio.pcm_T, gain_db=audio.clean.gain_db)
    got = f"{seconds:.3f} s, peak {level.peak_dbfs:.1f} dBFS, {level.clipped_fraction:.2%} clipped"
    expected = _expected(clip)
    if _is_short(clip, seconds, rules):
        return own_outcome(Code.SHORT_CLIP, expected=expected, got=got)
    # A video may have been muted since; a published file that is silent is part of its set.
    is_silent = clip.video_id is not None and level.peak_dbfs < rules.silent_peak_dbfs
    if is_silent and not rules.labels_of_silence.intersection(clip.labels):
        return own_outcome(
            Code.SILENT, expected=f"a peak of {rules.silent_peak_dbfs:g} dBFS or more", got=got
        )
    return own_outcome(Code.OK, expected=expected, got=got)


def measure_level(pcm_T: Pcm, *, gain_db: float = 0.0) -> Level:
    """Return the level of a clip as it was in the source.

    Args:
        pcm_T: Mono samples, int16.
        gain_db: That cleaning has applied, taken off again.
    """
    peak = max(int(pcm_T.max(initial=0)), -int(pcm_T.min(initial=0)))
    peak_dbfs = 20 * math.log10(peak / _FULL_SCALE) - gain_db if peak else -math.inf
    clipped_fraction = _clipped_fraction(pcm_T) if peak >= _CLIPPED_PEAK else 0.0
    return Level(peak_dbfs=peak_dbfs, clipped_fraction=clipped_fraction)


def _clipped_fraction(pcm_T: Pcm) -> float:
    clipped = np.flatnonzero((pcm_T >= _CLIPPED_PEAK) | (pcm_T <= -_CLIPPED_PEAK))
    ends = np.flatnonzero(np.diff(clipped, prepend=-2, append=len(pcm_T) + 1) > 1)
    runs = np.diff(ends)
    return float(runs[runs >= _CLIPPED_RUN_SAMPLES].sum()) / len(pcm_T)


def _is_short(clip: ClipRef, seconds: float, rules: ClipRules) -> bool:
    cut = clip.cut
    if clip.duration is not None or cut is None or cut.stop_seconds is None:
        return False  # `clean_audio` has held the clip to its rule, or there is none
    return seconds < cut.stop_seconds - cut.start_seconds - rules.short_tolerance_seconds


def _judge_error(clip: ClipRef, error: AudioError) -> Outcome:
    code = classify(error).code
    cut = clip.cut
    if cut is not None and cut.start_seconds and error.reason == RejectionReason.EMPTY:
        code = Code.CLIP_PAST_END
    elif cut is not None and cut.stop_seconds is not None and code is Code.WRONG_DURATION:
        code = Code.SHORT_CLIP  # a cut is never longer than it should be
    return own_outcome(code, text=str(error), expected=_expected(clip), got=error.detail[:200])


def _expected(clip: ClipRef) -> str:
    """Return what the catalogue says of a clip's length, and where it lies."""
    cut = clip.cut
    where = ""
    if cut is not None:
        stop = "its end" if cut.stop_seconds is None else f"{cut.stop_seconds:.3f} s"
        where = f"from {cut.start_seconds:.3f} s to {stop}"
    if clip.duration is not None:
        return f"{clip.duration.seconds:.3f} s {where}".rstrip()
    if cut is not None and cut.stop_seconds is not None:
        return f"{cut.stop_seconds - cut.start_seconds:.3f} s {where}"
    return where

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.availability.outcome import GROUPS, Code, Outcome
from jobs.catalogues.catalogue import ClipRef
from jobs.fetching.validate import ClipRules, judge, measure_level
from shardwriter import RejectionReason
from shardwriter.audio import CleanOptions, Cut, DurationRule, clean_audio
from shardwriter.errors import AudioError
from shardwriter.loudness import LoudnessRule
from tests.jobs.fetching import media

CLIP = ClipRef(
    id="made/a",
    file=None,
    split="train",
    labels=("noise",),
    cut=Cut(start_seconds=1.0, stop_seconds=3.0),
    video_id="abcdefghijk",
)


def judged(
    data: bytes,
    clip: ClipRef = CLIP,
    *,
    rules: ClipRules | None = None,
    options: CleanOptions | None = None,
) -> Outcome:
    """As an ingest does it."""
    try:
        audio = clean_audio(
            data,
            file="a.webm",
            sample_rate_hz=16_000,
            max_seconds=60,
            duration=clip.duration,
            cut=clip.cut,
            options=options,
        )
    except AudioError as err:
        return judge(clip, err, rules=rules)
    return judge(clip, audio, rules=rules)


def test_a_good_clip_is_ok_and_says_what_it_is() -> None:
    got = judged(media.webm(media.noise(4)))
    assert got.code is Code.OK
    assert got.evidence.expected == "2.000 s from 1.000 s to 3.000 s"
    assert got.evidence.got.startswith("2.000 s, peak -")
    assert got.evidence.got.endswith("0.00% clipped")


def test_a_clip_whose_end_is_not_there_is_short() -> None:
    got = judged(media.webm(media.noise(2)))
    assert got.code is Code.SHORT_CLIP
    assert got.evidence.got.startswith("1.0")


def test_a_clip_that_lacks_less_than_the_tolerance_is_ok() -> None:
    assert judged(media.wav(media.noise(2.9))).code is Code.OK
    strict = ClipRules(short_tolerance_seconds=0.05)
    assert judged(media.wav(media.noise(2.9)), rules=strict).code is Code.SHORT_CLIP


def test_the_catalogues_own_rule_comes_first() -> None:
    rule = DurationRule(seconds=2.0, tolerance_seconds=0.01)
    clip = dataclasses.replace(CLIP, duration=rule)
    got = judged(media.wav(media.noise(2.9)), clip)
    assert got.code is Code.SHORT_CLIP
    assert "lasts 1.900 s, expected 2.000 s" in got.evidence.got
    generous = dataclasses.replace(rule, tolerance_seconds=1.5)
    clip = dataclasses.replace(CLIP, duration=generous)
    assert judged(media.wav(media.noise(2.0)), clip).code is Code.OK


@pytest.mark.parametrize("seconds", [0.5, 1.0])
def test_a_clip_past_the_end_is_told_from_a_short_one(seconds: float) -> None:
    got = judged(media.wav(media.noise(seconds)))
    assert got.code is Code.CLIP_PAST_END
    assert got.evidence.expected == "2.000 s from 1.000 s to 3.000 s"


def test_a_file_of_another_length_is_of_the_wrong_duration() -> None:
    rule = DurationRule(seconds=5.0, tolerance_seconds=0.1)
    clip = dataclasses.replace(CLIP, cut=None, duration=rule)
    assert judged(media.wav(media.noise(4)), clip).code is Code.WRONG_DURATION
    assert judged(media.wav(media.noise(6)), clip).code is Code.WRONG_DURATION


@pytest.mark.parametrize("encode", [media.webm, media.wav, media.fragmented_m4a])
def test_a_muted_clip_is_silent(encode) -> None:
    pcm_T = media.noise(4)
    pcm_T[media.RATE_HZ // 2 : -media.RATE_HZ // 2] = 0
    got = judged(encode(pcm_T))
    assert got.code is Code.SILENT
    assert "dBFS" in got.evidence.got


def test_a_quiet_clip_is_not_silent() -> None:
    assert judged(media.flac(media.noise(4) // 2000)).code is Code.OK


def test_loudness_that_cleaning_adds_does_not_hide_silence() -> None:
    muted_T = np.zeros(4 * media.RATE_HZ, np.int16)
    muted_T[::100] = 1
    options = CleanOptions(loudness=LoudnessRule(kind="rms", target_db=-20.0))
    assert judged(media.wav(muted_T), options=options).code is Code.SILENT


def test_a_clip_of_the_class_silence_may_be_silent() -> None:
    muted = media.wav(np.zeros(4 * media.RATE_HZ, np.int16))
    clip = dataclasses.replace(CLIP, labels=("Silence",))
    assert judged(muted, clip).code is Code.OK


def test_a_published_file_may_be_silent() -> None:
    muted = media.wav(np.zeros(4 * media.RATE_HZ, np.int16))
    assert judged(muted, dataclasses.replace(CLIP, video_id=None)).code is Code.OK


def test_clipping_is_told_and_not_refused() -> None:
    loud_T = np.clip(media.noise(4).astype(np.int32) * 8, -32768, 32767).astype(np.int16)
    got = judged(media.wav(loud_T))
    assert got.code is Code.OK
    assert not got.evidence.got.endswith(" 0.00% clipped")


def test_bytes_that_are_no_audio_do_not_decode() -> None:
    got = judged(b"<html>not found</html>")
    assert got.code is Code.DECODE_ERROR
    assert "no known audio container" in got.evidence.text


@pytest.mark.parametrize("reason", list(RejectionReason))
@pytest.mark.parametrize("cut", [None, CLIP.cut, Cut(start_seconds=1.0)])
def test_every_refusal_has_a_code_that_is_not_ok(reason, cut) -> None:
    clip = dataclasses.replace(CLIP, cut=cut)
    got = judge(clip, AudioError(reason, "made up"))
    assert got.code is not Code.OK
    assert got.group is GROUPS[got.code]
    assert got.evidence.got == "made up"


@given(
    st.lists(
        st.integers(-32768, 32767) | st.sampled_from([-32768, -32767, -32766, 32766, 32767]),
        max_size=200,
    )
)
def test_the_level_is_that_of_a_slow_count(values: list[int]) -> None:
    level = measure_level(np.array(values, np.int16))
    runs, run = 0, 0
    for value in [*values, 0]:
        if abs(value) >= 32767:
            run += 1
        else:
            runs += run if run >= 3 else 0
            run = 0
    assert level.clipped_fraction == pytest.approx(runs / len(values) if values else 0.0)
    peak = max(map(abs, values), default=0)
    if peak:
        assert 10 ** (level.peak_dbfs / 20) * 32768 == pytest.approx(peak)
    else:
        assert level.peak_dbfs == -np.inf

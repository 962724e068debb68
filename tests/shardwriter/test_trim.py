import numpy as np
import pytest

from shardwriter.audio import CleanOptions, DurationRule, clean_audio
from shardwriter.errors import AudioError
from shardwriter.schema import RejectionReason
from shardwriter.trim import SilenceRule, find_sound
from tests.shardwriter.media import by_soundfile, noise

RATE = 16_000
RULE = SilenceRule(threshold_dbfs=-50, margin_seconds=0.1)
MARGIN = RATE // 10
WINDOW = RATE // 100


def padded(before: int, num: int, after: int, *, hiss: float = 0.0) -> np.ndarray:
    wave_T = np.random.default_rng(0).normal(size=before + num + after) * hiss
    wave_T[before : before + num] += noise(num)[:, 0] / 32768
    return wave_T.astype(np.float32)


@pytest.mark.parametrize("hiss", [0.0, 1e-4])
def test_margins_are_kept_on_both_sides(hiss: float) -> None:
    before, num, after = 100 * WINDOW, 50 * WINDOW, 200 * WINDOW
    found = find_sound(padded(before, num, after, hiss=hiss), rule=RULE, sample_rate_hz=RATE)
    assert found == range(before - MARGIN, before + num + MARGIN)


def test_margins_end_at_the_clip() -> None:
    found = find_sound(padded(40, 50 * WINDOW, 7), rule=RULE, sample_rate_hz=RATE)
    assert found == range(40 + 50 * WINDOW + 7)


def test_pauses_inside_are_kept() -> None:
    wave_T = np.concatenate([padded(8000, 1600, 16_000), padded(16_000, 1600, 8000)])
    found = find_sound(wave_T, rule=RULE, sample_rate_hz=RATE)
    assert found == range(8000 - MARGIN, 8000 + 1600 + 32_000 + 1600 + MARGIN)


@pytest.mark.parametrize("num_samples", [1, 3, WINDOW - 1, WINDOW + 1])
def test_clips_of_a_few_samples(num_samples: int) -> None:
    loud_T = np.full(num_samples, 0.5, np.float32)
    assert find_sound(loud_T, rule=RULE, sample_rate_hz=RATE) == range(num_samples)
    assert find_sound(loud_T * 0, rule=RULE, sample_rate_hz=RATE) is None


def test_what_was_trimmed_is_recorded() -> None:
    wave_T = padded(100 * WINDOW, 100 * WINDOW, 300 * WINDOW)
    data = by_soundfile(wave_T, RATE, "WAV", "PCM_16")
    options = CleanOptions(silence=RULE)
    audio = clean_audio(data, file="a", sample_rate_hz=RATE, max_seconds=60, options=options)
    trimmed = (audio.clean.num_trimmed_start, audio.clean.num_trimmed_stop)
    assert trimmed == (100 * WINDOW - MARGIN, 300 * WINDOW - MARGIN)
    assert len(audio.pcm_T) + sum(trimmed) == audio.source.num_samples == len(wave_T)
    plain = clean_audio(data, file="a", sample_rate_hz=RATE, max_seconds=60)
    assert np.array_equal(audio.pcm_T, plain.pcm_T[trimmed[0] : len(wave_T) - trimmed[1]])


def test_the_catalogues_duration_is_that_before_trimming() -> None:
    data = by_soundfile(padded(RATE, RATE, RATE), RATE, "WAV", "PCM_16")
    rule = DurationRule(seconds=3.0, tolerance_seconds=0.01)
    audio = clean_audio(
        data, file="a", sample_rate_hz=RATE, max_seconds=60, duration=rule,
        options=CleanOptions(silence=RULE),
    )  # fmt: skip
    assert len(audio.pcm_T) < 2 * RATE


def test_a_silent_clip_is_a_rejection_of_its_own() -> None:
    data = by_soundfile(np.zeros(RATE, np.int16), RATE, "WAV", "PCM_16")
    with pytest.raises(AudioError, match="-50 dBFS") as caught:
        clean_audio(
            data, file="a", sample_rate_hz=RATE, max_seconds=60, options=CleanOptions(silence=RULE)
        )
    assert caught.value.reason == RejectionReason.SILENT


@pytest.mark.parametrize(
    "fields", [{"threshold_dbfs": 0.0}, {"threshold_dbfs": -60, "margin_seconds": -1}]
)
def test_rules_without_sense_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        SilenceRule(**fields)

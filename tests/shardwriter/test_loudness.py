import math

import av
import numpy as np
import pytest

from shardwriter.audio import CleanOptions, clean_audio
from shardwriter.loudness import (
    LoudnessKind,
    LoudnessRule,
    gain_db,
    integrated_lufs,
    measure_db,
)
from tests.shardwriter.media import by_soundfile, noise

RATES = [8_000, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000]


def sine(hz: float, rate: int, *, seconds: float = 5.0, peak_db: float = 0.0) -> np.ndarray:
    time_T = np.arange(round(seconds * rate)) / rate
    return (10 ** (peak_db / 20) * np.sin(2 * np.pi * hz * time_T)).astype(np.float32)


def ffmpeg_lufs(wave_T: np.ndarray, rate: int) -> float:
    """FFmpeg's ebur128, which is built on the same standard by other people."""
    graph = av.filter.Graph()
    source = graph.add(
        "abuffer", f"sample_rate={rate}:sample_fmt=flt:channel_layout=mono:time_base=1/{rate}"
    )
    meter = graph.add("ebur128", "metadata=1")
    sink = graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(wave_T[None], format="flt", layout="mono")
    frame.sample_rate, frame.pts = rate, 0
    graph.push(frame)
    graph.push(None)
    loudness = -math.inf
    while True:
        try:
            loudness = float(graph.pull().metadata["lavfi.r128.I"])
        except (av.error.EOFError, av.error.BlockingIOError):
            return loudness


@pytest.mark.parametrize("rate", RATES)
def test_a_full_scale_sine_of_997_hz_has_minus_3_01_lufs(rate: int) -> None:
    assert integrated_lufs(sine(997, rate), sample_rate_hz=rate) == pytest.approx(-3.01, abs=0.01)


@pytest.mark.parametrize("rate", [32_000, 44_100, 48_000])
@pytest.mark.parametrize("hz", [25, 60, 100, 1000, 2000, 6000])
def test_it_agrees_with_ffmpeg_at_every_frequency(rate: int, hz: float) -> None:
    wave_T = sine(hz, rate, peak_db=-12)
    ours = integrated_lufs(wave_T, sample_rate_hz=rate)
    assert ours == pytest.approx(ffmpeg_lufs(wave_T, rate), abs=0.11)  # it prints tenths and less


def test_the_gates_leave_out_silence_and_quiet_parts() -> None:
    """EBU Tech 3341 cases 3 and 4 for one channel: -36, -23, -36 dB gives -23; -72 is no part."""
    rate = 48_000
    parts = [(-72, 10.0), (-36, 10.0), (-23, 60.0), (-36, 10.0), (-72, 10.0)]
    wave_T = np.concatenate([sine(1000, rate, seconds=s, peak_db=db) for db, s in parts])
    alone = integrated_lufs(sine(1000, rate, peak_db=-23), sample_rate_hz=rate)
    assert integrated_lufs(wave_T, sample_rate_hz=rate) == pytest.approx(alone, abs=0.1)
    assert ffmpeg_lufs(wave_T, rate) == pytest.approx(alone, abs=0.1)


def test_a_long_clip_is_measured_piece_by_piece_like_a_short_one() -> None:
    wave_T = noise(32_000 * 65)[:, 0] / np.float32(32768)
    ours = integrated_lufs(wave_T, sample_rate_hz=32_000)
    assert ours == pytest.approx(ffmpeg_lufs(wave_T, 32_000), abs=0.11)


def test_silence_has_no_loudness_and_gets_no_gain() -> None:
    for kind in LoudnessKind:
        rule = LoudnessRule(kind=kind, target_db=-20)
        for num_samples in (0, 100, 40_000):
            wave_T = np.zeros(num_samples, np.float32)
            assert measure_db(wave_T, kind=kind, sample_rate_hz=16_000) == -math.inf
            assert gain_db(wave_T, rule=rule, sample_rate_hz=16_000) == 0.0


def test_a_clip_shorter_than_a_block_is_one_block() -> None:
    short = integrated_lufs(sine(997, 48_000, seconds=0.2), sample_rate_hz=48_000)
    assert short == pytest.approx(-3.01, abs=0.3)


def test_peak_and_rms_of_a_sine() -> None:
    wave_T = sine(1000, 48_000, peak_db=-6)
    peak = measure_db(wave_T, kind=LoudnessKind.PEAK, sample_rate_hz=48_000)
    rms = measure_db(wave_T, kind=LoudnessKind.RMS, sample_rate_hz=48_000)
    assert (peak, rms) == (pytest.approx(-6, abs=1e-3), pytest.approx(-9.01, abs=1e-2))


@pytest.mark.parametrize("kind", list(LoudnessKind))
def test_cleaning_brings_a_clip_to_its_target_and_records_the_gain(kind: LoudnessKind) -> None:
    data = by_soundfile(noise(44_100) // 8, 44_100, "WAV", "PCM_16")
    rule = LoudnessRule(kind=kind, target_db=-26.0)
    options = CleanOptions(loudness=rule)
    audio = clean_audio(data, file="a.wav", sample_rate_hz=32_000, max_seconds=10, options=options)
    plain = clean_audio(data, file="a.wav", sample_rate_hz=32_000, max_seconds=10)
    loud_T = audio.pcm_T / np.float32(32768)
    assert measure_db(loud_T, kind=kind, sample_rate_hz=32_000) == pytest.approx(-26, abs=0.02)
    before = measure_db(plain.pcm_T / np.float32(32768), kind=kind, sample_rate_hz=32_000)
    assert audio.clean.gain_db == pytest.approx(-26 - before, abs=0.02)
    assert audio.num_clipped == 0


def test_a_gain_that_clips_says_how_many_samples_it_cost() -> None:
    data = by_soundfile(noise(44_100), 44_100, "WAV", "PCM_16")
    options = CleanOptions(loudness=LoudnessRule(kind=LoudnessKind.RMS, target_db=-3.0))
    audio = clean_audio(data, file="a", sample_rate_hz=44_100, max_seconds=10, options=options)
    wide_T = np.rint(noise(44_100)[:, 0] * 10 ** (audio.clean.gain_db / 20))
    beyond = np.count_nonzero((wide_T > 32767) | (wide_T < -32768))
    assert beyond > 0
    assert abs(audio.num_clipped - beyond) <= 2  # float32 rounds a few the other way


@pytest.mark.parametrize("target_db", [0.5, -200, math.nan])
def test_a_target_that_no_clip_can_have_is_refused(target_db: float) -> None:
    with pytest.raises(ValueError, match="target_db"):
        LoudnessRule(kind=LoudnessKind.PEAK, target_db=target_db)

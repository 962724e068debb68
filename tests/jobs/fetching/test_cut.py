"""Where a cut lies, measured against what was encoded; fetched as the beginning of a video."""

from collections.abc import Callable

import numpy as np
import pytest

from jobs.fetching.fetcher import SourceAudio
from jobs.fetching.youtube import YoutubeFetcher
from shardwriter.audio import CleanAudio, clean_audio
from tests.jobs.fetching import media
from tests.jobs.fetching.site import Site
from tests.jobs.fetching.youtube_site import clip_of, put_video
from tests.shardwriter.media import lag

SECONDS = 25.0
RATE_HZ = media.RATE_HZ
AAC_DELAY = 1024
"""Of FFmpeg's encoder: 21 ms at 48 kHz."""


@pytest.fixture(scope="module")
def pcm_T() -> np.ndarray:
    return media.noise(SECONDS)


def cut_out(
    site: Site, youtube: YoutubeFetcher, data: bytes, start: float, stop: float, **told: object
) -> CleanAudio:
    put_video(site, data, duration=SECONDS, filesize=len(data), **told)
    got = youtube.fetch(clip_of(start, stop))
    assert isinstance(got, SourceAudio), got
    return clean_audio(got.data, file=got.file, sample_rate_hz=None, max_seconds=600, cut=got.cut)


def expected(pcm_T: np.ndarray, start: float, stop: float) -> np.ndarray:
    return pcm_T[round(start * RATE_HZ) : round(stop * RATE_HZ)]


@pytest.mark.parametrize("encode", [media.wav, media.flac])
@pytest.mark.parametrize("start", [0.0, 13.3701])
def test_a_lossless_cut_is_exact_to_the_sample(
    site: Site,
    youtube: YoutubeFetcher,
    pcm_T: np.ndarray,
    encode: Callable[[np.ndarray], bytes],
    start: float,
) -> None:
    audio = cut_out(site, youtube, encode(pcm_T), start, start + 10)
    assert np.array_equal(audio.pcm_T, expected(pcm_T, start, start + 10))


@pytest.mark.parametrize("start", [0.0, 13.37])
@pytest.mark.parametrize(
    ("encode", "late", "num_priming"),
    [
        (media.webm, 0, 312),  # the container tells Opus' pre-skip
        (media.m4a, 0, AAC_DELAY),  # so does an edit list
        # As YouTube serves AAC: no edit list, so the delay stays, and nobody can know it.
        (media.fragmented_m4a, AAC_DELAY, None),
    ],
)
def test_a_lossy_cut_is_late_by_no_more_than_a_delay_that_its_container_hides(
    site: Site,
    youtube: YoutubeFetcher,
    pcm_T: np.ndarray,
    encode: Callable[[np.ndarray], bytes],
    late: int,
    num_priming: int | None,
    start: float,
) -> None:
    audio = cut_out(site, youtube, encode(pcm_T), start, start + 10)
    assert len(audio.pcm_T) == 10 * RATE_HZ
    assert lag(audio.pcm_T, expected(pcm_T, start, start + 10)) == late
    assert audio.source.num_priming_samples == num_priming


def test_a_cut_that_runs_over_the_end_is_as_long_as_what_is_there(
    site: Site, youtube: YoutubeFetcher, pcm_T: np.ndarray
) -> None:
    audio = cut_out(site, youtube, media.webm(pcm_T), 20.0, 30.0)
    assert len(audio.pcm_T) / RATE_HZ == pytest.approx(5.0, abs=0.02)

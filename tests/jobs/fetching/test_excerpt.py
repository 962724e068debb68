"""What is cut from an excerpt is what is cut from the whole, sample for sample."""

import functools
import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.fetching.excerpt import NoExcerptError, take_excerpt
from shardwriter.audio import Cut, clean_audio
from shardwriter.errors import AudioError
from shardwriter.schema import RejectionReason
from tests.jobs.fetching import media

SECONDS = 24.0
FORMS = ["webm", "youtube_webm", "m4a", "m4a_index_first", "fragmented_m4a", "youtube_m4a"]


@functools.cache
def video(form: str) -> bytes:
    if form == "m4a_index_first":
        return media.m4a(media.noise(SECONDS), index_first=True)
    data: bytes = getattr(media, form)(media.noise(SECONDS))
    return data


def decoded(data: bytes, cut: Cut) -> np.ndarray:
    return clean_audio(data, file="a", sample_rate_hz=None, max_seconds=600, cut=cut).pcm_T


def cut_from_excerpt(data: bytes, cut: Cut) -> np.ndarray:
    excerpt = take_excerpt(io.BytesIO(data), head=data[:4096], cut=cut)
    assert len(excerpt.data) < len(data)
    return decoded(excerpt.data, excerpt.cut)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(start=st.floats(0, 17), seconds=st.floats(0.05, 6))
def test_a_cut_from_an_excerpt_is_the_cut_from_the_whole(
    form: str, start: float, seconds: float
) -> None:
    cut = Cut(start_seconds=start, stop_seconds=start + seconds)
    whole = decoded(video(form), cut)
    assert np.array_equal(cut_from_excerpt(video(form), cut), whole)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("start", [0.0, 19.5])
def test_so_it_is_at_both_ends_of_a_file(form: str, start: float) -> None:
    cut = Cut(start_seconds=start, stop_seconds=start + 10)
    whole = decoded(video(form), cut)
    assert np.array_equal(cut_from_excerpt(video(form), cut), whole)


@pytest.mark.parametrize("rate_hz", [44_100, 22_050])
def test_so_it_is_at_rates_that_seconds_do_not_fit(rate_hz: int) -> None:
    data = media.encoded(
        media.noise(10, rate_hz=rate_hz), container="mp4", codec="aac", rate_hz=rate_hz
    )
    for milliseconds in range(5000, 5006):
        cut = Cut(start_seconds=milliseconds / 1000, stop_seconds=milliseconds / 1000 + 3)
        assert np.array_equal(cut_from_excerpt(data, cut), decoded(data, cut))


@pytest.mark.parametrize("frame_duration", ["2.5", "10", "60"])
def test_so_it_is_with_opus_packets_of_any_length(frame_duration: str) -> None:
    data = opus_webm(frame_duration)
    for start in (3.001, 7.77):
        cut = Cut(start_seconds=start, stop_seconds=start + 2)
        assert np.array_equal(cut_from_excerpt(data, cut), decoded(data, cut))


def opus_webm(frame_duration: str) -> bytes:
    return media.encoded(
        media.noise(12),
        container="webm",
        codec="libopus",
        codec_options={"frame_duration": frame_duration},
    )


def test_the_same_file_gives_the_same_excerpt() -> None:
    for form in FORMS:
        cut = Cut(start_seconds=14.0, stop_seconds=19.0)
        data = video(form)
        first, second = (
            take_excerpt(io.BytesIO(data), head=data[:4096], cut=cut) for _ in range(2)
        )
        assert first == second
        assert first.first_sample <= 13 * media.RATE_HZ


def test_a_clip_past_the_end_has_no_samples() -> None:
    cut = Cut(start_seconds=SECONDS + 0.5, stop_seconds=SECONDS + 5)
    with pytest.raises(AudioError) as caught:
        cut_from_excerpt(video("youtube_webm"), cut)
    assert caught.value.reason == RejectionReason.EMPTY


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"<html>", "no excerpts of such files"),
        (b"\x1aE\xdf\xa3" + bytes(4000), "FFmpeg says"),
        (media.flac(media.noise(1)), "no excerpts of flac"),
    ],
)
def test_of_other_files_no_excerpt_is_taken(data: bytes, why: str) -> None:
    with pytest.raises(NoExcerptError, match=why):
        take_excerpt(io.BytesIO(data), head=data[:4096], cut=Cut(stop_seconds=1.0))


def test_of_a_codec_without_exact_times_no_excerpt_is_taken() -> None:
    data = media.encoded(media.noise(5), container="matroska", codec="aac")
    with pytest.raises(NoExcerptError, match="times of aac"):
        take_excerpt(io.BytesIO(data), head=data[:4096], cut=Cut(stop_seconds=1.0))


def test_of_a_file_with_a_gap_no_excerpt_is_taken() -> None:
    fragments = video("fragmented_m4a").split(b"moof")
    # Left out: a fragment of one second, so that counting samples would be a second off.
    data = b"moof".join([*fragments[:12], *fragments[13:]])
    with pytest.raises(NoExcerptError, match=r"a packet begins at|FFmpeg says"):
        take_excerpt(io.BytesIO(data), head=data[:4096], cut=Cut(start_seconds=8, stop_seconds=14))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(place=st.floats(0, 1), value=st.integers(0, 255), share=st.floats(0.01, 1))
def test_a_damaged_file_gives_an_excerpt_or_says_that_there_is_none(
    place: float, value: int, share: float
) -> None:
    for form in ("youtube_webm", "youtube_m4a"):
        data = bytearray(video(form))
        data[int(place * 4000)] = value
        data = data[: int(share * len(data))]
        cut = Cut(start_seconds=12.0, stop_seconds=14.0)
        try:
            excerpt = take_excerpt(io.BytesIO(data), head=bytes(data[:4096]), cut=cut)
        except NoExcerptError:
            continue
        assert len(excerpt.data) < len(data)

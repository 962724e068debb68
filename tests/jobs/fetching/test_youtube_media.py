"""How the bytes of a video come: ranges, beginnings, resumption, fragments."""

import gc
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from jobs.availability.outcome import Code, Outcome
from jobs.fetching import prefix, youtube_media, youtube_ranges
from jobs.fetching.fetcher import SourceAudio
from jobs.fetching.youtube import YoutubeFetcher
from jobs.fetching.youtube_options import YoutubeOptions
from shardwriter.audio import clean_audio
from tests.jobs.fetching import media
from tests.jobs.fetching.site import Page, Site
from tests.jobs.fetching.youtube_site import clip_of, put_video, use_site

SECONDS = 30.0


@pytest.fixture(scope="module")
def pcm_T() -> np.ndarray:
    return media.noise(SECONDS)


@pytest.fixture(scope="module")
def opus(pcm_T: np.ndarray) -> bytes:
    return media.webm(pcm_T)


@pytest.fixture(scope="module")
def aac(pcm_T: np.ndarray) -> bytes:
    return media.fragmented_m4a(pcm_T)


@pytest.fixture
def whole(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[YoutubeFetcher]:
    use_site(site, monkeypatch)
    with YoutubeFetcher(YoutubeOptions(mode="whole", allow_private_hosts=True)).open() as fetcher:
        yield fetcher


def fetched(fetcher: YoutubeFetcher, *cut: float) -> SourceAudio:
    got = fetcher.fetch(clip_of(*cut))
    assert isinstance(got, SourceAudio), got
    return got


def samples(audio: SourceAudio) -> np.ndarray:
    clean = clean_audio(
        audio.data, file=audio.file, sample_rate_hz=None, max_seconds=600, cut=audio.cut
    )
    return clean.pcm_T


@pytest.mark.parametrize("cut", [(0.0, 10.0), (10.37, 20.37), (25.0, 35.0)])
@pytest.mark.parametrize("form", ["opus", "aac"])
def test_the_beginning_gives_the_same_samples_as_the_whole(
    site: Site, youtube: YoutubeFetcher, whole: YoutubeFetcher, request, form: str, cut
) -> None:
    data = request.getfixturevalue(form)
    put_video(site, data, duration=SECONDS, filesize=len(data), acodec=form)
    short, long = fetched(youtube, *cut), fetched(whole, *cut)
    assert long.data == data
    assert long.metadata["is_whole"]
    assert np.array_equal(samples(short), samples(long))
    if cut[1] < SECONDS - 5:
        needed = (cut[1] + 1) / SECONDS * len(data)
        assert len(short.data) < needed + (128 << 10)
        assert not short.metadata["is_whole"]


def test_a_beginning_that_does_not_reach_far_enough_is_grown(
    site: Site, youtube: YoutubeFetcher, opus: bytes
) -> None:
    # The rate that the site tells is a quarter of the true one.
    path = put_video(site, opus, duration=SECONDS, tbr=30)
    got = fetched(youtube, 10.0, 20.0)
    assert len(samples(got)) == 480_000
    asked = [headers["range"] for at, headers in site.requests if at == path]
    assert len(asked) in (2, 3)
    assert got.num_bytes == len(got.data) < len(opus)


@pytest.mark.parametrize("stop", [3.0, 9.99, 17.5])
def test_the_beginning_is_enough_without_luck(
    site: Site,
    youtube: YoutubeFetcher,
    opus: bytes,
    pcm_T: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    stop: float,
) -> None:
    # No byte more than the margin asks for, so that the margin itself is what suffices.
    monkeypatch.setattr(prefix, "_HEADER_BYTES", 0)
    monkeypatch.setattr(prefix, "_GROWTH", 1.0)
    put_video(site, opus, duration=SECONDS, tbr=10)
    got = fetched(youtube, stop - 2.0, stop)
    assert len(samples(got)) == 2 * media.RATE_HZ
    assert len(got.data) < len(opus)


def test_an_index_at_the_end_is_fetched_with_all_the_rest(
    site: Site, youtube: YoutubeFetcher, pcm_T: np.ndarray
) -> None:
    data = media.m4a(pcm_T)
    put_video(site, data, duration=SECONDS, tbr=130, ext="m4a")
    got = fetched(youtube, 0.0, 10.0)
    assert got.data == data
    assert len(samples(got)) == 480_000


@pytest.mark.parametrize("ends", ["cut", "reset"])
def test_media_that_broke_off_goes_on_where_it_stopped(
    site: Site, whole: YoutubeFetcher, opus: bytes, ends
) -> None:
    path = put_video(site, b"", duration=SECONDS)
    broken = Page(body=opus, ends=ends, end_at=200_000)
    site.put(path, broken, broken, Page(body=opus))
    got = fetched(whole)
    assert got.data == opus
    starts = [headers["range"].split("-")[0] for at, headers in site.requests if at == path]
    assert len(starts) == 3
    assert starts[0] == "bytes=0"
    assert got.num_bytes >= len(opus)


def test_ranges_are_no_larger_than_youtube_serves_at_full_speed(
    site: Site, whole: YoutubeFetcher, opus: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(youtube_ranges, "RANGE_BYTES", 300_000)
    path = put_video(site, opus)
    assert fetched(whole).data == opus
    asked = [headers["range"] for at, headers in site.requests if at == path]
    assert asked[:2] == ["bytes=0-299999", "bytes=300000-599999"]
    assert len(asked) == -(-len(opus) // 300_000)


def test_a_server_that_does_not_tell_the_length_is_asked_until_its_end(
    site: Site, whole: YoutubeFetcher, opus: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(youtube_ranges, "RANGE_BYTES", 300_000)
    put_video(site, Page(body=opus, tells_length=False))
    got = fetched(whole)
    assert got.data == opus
    assert got.metadata["is_whole"]


def test_a_server_without_ranges_sends_all(
    site: Site, youtube: YoutubeFetcher, opus: bytes
) -> None:
    put_video(site, Page(body=opus, ranges=False), duration=SECONDS, tbr=130)
    got = fetched(youtube, 5.0, 15.0)
    assert got.data == opus
    assert got.metadata["is_whole"]


def test_media_that_changes_on_the_way_is_not_patched_together(
    site: Site, whole: YoutubeFetcher, opus: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(youtube_ranges, "RANGE_BYTES", 300_000)
    path = put_video(site, b"")
    site.put(path, Page(body=opus), Page(body=opus + b"longer"))
    got = whole.fetch(clip_of())
    assert isinstance(got, Outcome)
    assert "changed from" in got.evidence.text


def test_the_formats_headers_are_sent(site: Site, youtube: YoutubeFetcher, opus: bytes) -> None:
    path = put_video(site, opus, http_headers={"X-Made-Up": "yes"})
    fetched(youtube)
    assert [headers["x-made-up"] for at, headers in site.requests if at == path] == ["yes"]


def test_media_is_not_asked_for_before_it_is_available(
    site: Site, youtube: YoutubeFetcher, opus: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(youtube_media.time, "sleep", waits.append)
    put_video(site, opus, available_at=int(time.time()) + 30)
    fetched(youtube)
    assert len(waits) == 1
    assert 20 < waits[0] <= 30


def test_media_that_is_available_only_much_later_is_not_waited_for(
    site: Site, youtube: YoutubeFetcher, opus: bytes
) -> None:
    path = put_video(site, opus, available_at=int(time.time()) + 3600)
    got = youtube.fetch(clip_of())
    assert isinstance(got, Outcome)
    assert got.code is Code.TIMEOUT
    assert path not in site.paths()


def test_media_that_takes_too_long_is_given_up(
    site: Site, opus: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_site(site, monkeypatch)
    put_video(site, opus)
    with YoutubeFetcher(
        YoutubeOptions(max_fetch_seconds=0.0, allow_private_hosts=True)
    ).open() as fetcher:
        got = fetcher.fetch(clip_of())
    assert isinstance(got, Outcome)
    assert got.code is Code.TIMEOUT


def put_fragments(site: Site, data: bytes, *, num_fragments: int = 4) -> None:
    size = -(-len(data) // num_fragments)
    urls = []
    for number in range(num_fragments):
        page = Page(body=data[number * size : (number + 1) * size])
        urls.append({"url": site.put(f"/fragment/{number}", page)})
    put_video(site, b"", protocol="http_dash_segments", fragments=urls)


def test_a_format_in_fragments_is_put_together(
    site: Site, youtube: YoutubeFetcher, opus: bytes
) -> None:
    put_fragments(site, opus)
    for _ in range(2):
        got = fetched(youtube, 5.0, 15.0)
        assert got.data == opus
        assert got.metadata["is_whole"]


@pytest.mark.parametrize(
    ("bounds", "code"),
    [({"max_bytes": 200_000}, Code.TOO_LONG), ({"max_fetch_seconds": 0.0}, Code.TIMEOUT)],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_fragments_are_bounded_while_they_come(
    site: Site, opus: bytes, monkeypatch: pytest.MonkeyPatch, bounds: dict[str, Any], code: Code
) -> None:
    use_site(site, monkeypatch)
    put_fragments(site, opus)
    with YoutubeFetcher(YoutubeOptions(allow_private_hosts=True, **bounds)).open() as fetcher:
        got = fetcher.fetch(clip_of())
    assert isinstance(got, Outcome)
    assert got.code is code
    assert "/fragment/3" not in site.paths()
    gc.collect()


# yt-dlp leaves the answers to its failed tries open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_fragment_that_is_not_there_is_told_by_its_status(
    site: Site, youtube: YoutubeFetcher, opus: bytes
) -> None:
    put_fragments(site, opus)
    site.put("/fragment/2", Page(status=403))
    got = youtube.fetch(clip_of())
    assert isinstance(got, Outcome)
    assert got.code is Code.HTTP_403_MEDIA
    gc.collect()


def test_what_youtube_says_of_a_video_is_kept(
    site: Site, youtube: YoutubeFetcher, opus: bytes
) -> None:
    licence = "Creative Commons Attribution license (reuse allowed)"
    told: dict[str, Any] = {
        "uploader": "someone",
        "channel": "a channel",
        "availability": "public",
        "age_limit": 0,
    }
    put_video(
        site,
        opus,
        duration=SECONDS,
        info=told | {"license": licence},
        asr=48_000,
        abr=128.0,
        _client="tv",
    )
    got = fetched(youtube)
    assert got.metadata["licence"] == licence
    assert told.items() <= got.metadata.items()
    assert got.metadata["format_id"] == "251"
    assert got.metadata["acodec"] == "opus"
    assert got.metadata["asr"] == 48_000
    assert got.metadata["duration"] == SECONDS
    assert got.client == "tv"
    assert got.tool == youtube.tool
    assert got.tool.startswith("yt-dlp 20")


def test_the_same_video_gives_the_same_value_at_another_time(
    site: Site, youtube: YoutubeFetcher, opus: bytes
) -> None:
    put_video(site, opus, duration=SECONDS, tbr=130, info={"epoch": 1})
    first = fetched(youtube, 5.0, 15.0)
    put_video(site, opus, duration=SECONDS, tbr=130, info={"epoch": 2})
    assert fetched(youtube, 5.0, 15.0) == first

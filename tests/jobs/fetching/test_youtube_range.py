"""Fetching the part of a video around a clip: over HTTP, by a real yt-dlp."""

import functools
import re
from collections.abc import Iterator

import numpy as np
import pytest

from jobs.availability.outcome import Code, Group, Outcome
from jobs.fetching import youtube_media
from jobs.fetching.fetcher import SourceAudio
from jobs.fetching.youtube import YoutubeFetcher
from jobs.fetching.youtube_options import YoutubeOptions
from shardwriter.audio import Cut, clean_audio
from tests.jobs.fetching import media
from tests.jobs.fetching.site import Page, Site
from tests.jobs.fetching.youtube_site import clip_of, put_video, use_site

SECONDS = 44.0
FORMS = ["webm", "youtube_webm", "m4a", "m4a_index_first", "youtube_m4a"]


@functools.cache
def video(form: str) -> bytes:
    if form == "m4a_index_first":
        return media.m4a(media.noise(SECONDS), index_first=True)
    data: bytes = getattr(media, form)(media.noise(SECONDS))
    return data


@pytest.fixture
def ranged(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[YoutubeFetcher]:
    use_site(site, monkeypatch)
    options = YoutubeOptions(mode="range", socket_timeout_seconds=1.0, allow_private_hosts=True)
    with YoutubeFetcher(options).open() as fetcher:
        yield fetcher


def publish(site: Site, data: bytes | Page, *, size: int | None = None) -> str:
    size = size or len(data if isinstance(data, bytes) else data.body)
    return put_video(site, data, duration=SECONDS, filesize=size)


def fetched(fetcher: YoutubeFetcher, start: float, stop: float) -> SourceAudio:
    got = fetcher.fetch(clip_of(start, stop))
    assert isinstance(got, SourceAudio), got
    return got


def refused(fetcher: YoutubeFetcher, start: float = 34.0, stop: float = 39.0) -> Outcome:
    got = fetcher.fetch(clip_of(start, stop))
    assert isinstance(got, Outcome), got
    return got


def samples(data: bytes, cut: Cut | None) -> np.ndarray:
    return clean_audio(data, file="a", sample_rate_hz=None, max_seconds=600, cut=cut).pcm_T


def asked(site: Site, path: str) -> list[range]:
    """The ranges of bytes that were asked for."""
    found = [headers["range"] for at, headers in site.requests if at == path]
    pairs = [re.fullmatch(r"bytes=(\d+)-(\d+)", text) for text in found]
    return [range(int(pair[1]), int(pair[2]) + 1) for pair in pairs if pair]


@pytest.mark.parametrize("form", FORMS)
def test_a_part_gives_the_samples_of_the_whole_for_a_part_of_the_bytes(
    site: Site, ranged: YoutubeFetcher, form: str
) -> None:
    data = video(form)
    path = publish(site, data)
    got = fetched(ranged, 34.37, 39.37)
    whole = samples(data, Cut(start_seconds=34.37, stop_seconds=39.37))
    assert np.array_equal(samples(got.data, got.cut), whole)
    assert got.metadata["mode"] == "range"
    assert not got.metadata["is_whole"]
    assert got.num_bytes == sum(len(data[one.start : one.stop]) for one in asked(site, path))
    assert got.num_bytes < 0.65 * len(data)
    assert len(asked(site, path)) <= 5


def test_where_the_part_begins_is_told(site: Site, ranged: YoutubeFetcher) -> None:
    publish(site, video("youtube_webm"))
    got = fetched(ranged, 34.37, 39.37)
    assert got.cut is not None
    in_video = got.metadata["first_sample"] + round(got.cut.start_seconds * media.RATE_HZ)
    assert in_video == round(34.37 * media.RATE_HZ)


def test_a_file_whose_index_is_everywhere_is_fetched_from_its_beginning(
    site: Site, ranged: YoutubeFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(youtube_media, "_MAX_EXCERPT_REQUESTS", 3)
    publish(site, video("fragmented_m4a"))
    got = fetched(ranged, 21.37, 26.37)
    assert got.metadata["mode"] == "prefix"
    assert got.cut == Cut(start_seconds=21.37, stop_seconds=26.37)
    whole = samples(video("fragmented_m4a"), got.cut)
    assert np.array_equal(samples(got.data, got.cut), whole)


def test_a_codec_without_exact_times_is_fetched_from_its_beginning(
    site: Site, ranged: YoutubeFetcher
) -> None:
    data = media.encoded(media.noise(SECONDS), container="matroska", codec="aac")
    publish(site, data)
    got = fetched(ranged, 30.0, 35.0)
    assert got.metadata["mode"] == "prefix"
    assert len(samples(got.data, got.cut)) == 5 * media.RATE_HZ


def test_a_server_without_ranges_sends_all(site: Site, ranged: YoutubeFetcher) -> None:
    data = video("youtube_webm")
    path = publish(site, Page(body=data, ranges=False))
    got = fetched(ranged, 34.0, 39.0)
    assert got.data == data
    assert got.metadata["mode"] == "whole"
    assert site.paths().count(path) == 1


def test_a_server_that_gives_up_ranges_on_the_way_sends_all(
    site: Site, ranged: YoutubeFetcher
) -> None:
    data = video("youtube_webm")
    path = publish(site, data)
    site.put(path, Page(body=data), Page(body=data, ranges=False))
    got = fetched(ranged, 34.0, 39.0)
    whole = samples(data, Cut(start_seconds=34.0, stop_seconds=39.0))
    assert np.array_equal(samples(got.data, got.cut), whole)


def test_a_server_that_does_not_tell_the_length_is_asked_for_the_beginning(
    site: Site, ranged: YoutubeFetcher
) -> None:
    publish(site, Page(body=video("youtube_webm"), tells_length=False))
    got = fetched(ranged, 21.0, 26.0)
    assert got.metadata["mode"] == "prefix"
    assert len(samples(got.data, got.cut)) == 5 * media.RATE_HZ


def test_a_range_that_broke_off_goes_on_where_it_stopped(
    site: Site, ranged: YoutubeFetcher
) -> None:
    data = video("youtube_webm")
    path = publish(site, data)
    site.put(path, Page(body=data), Page(body=data, ends="cut", end_at=40_000), Page(body=data))
    got = fetched(ranged, 34.37, 39.37)
    whole = samples(data, Cut(start_seconds=34.37, stop_seconds=39.37))
    assert np.array_equal(samples(got.data, got.cut), whole)
    _, second, third = asked(site, path)[:3]
    assert second.start < third.start < second.stop


@pytest.mark.parametrize(
    ("answer", "code", "group"),
    [
        (Page(status=429), Code.HTTP_429, Group.BLOCKED),
        (Page(status=403), Code.HTTP_403_MEDIA, Group.BLOCKED),
        (Page(status=404), Code.HTTP_404_MEDIA, Group.BLOCKED),
        (Page(status=503), Code.HTTP_5XX, Group.TRANSIENT),
        (Page(body=b"x" * 500_000, ends="stalls", end_at=0), Code.TIMEOUT, Group.TRANSIENT),
        (Page(body=b"x" * 500_000, ends="cut", end_at=0), Code.TRUNCATED, Group.TRANSIENT),
        (Page(body=b"x" * 500_000, ends="reset", end_at=0), Code.RESET, Group.TRANSIENT),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_what_goes_wrong_midway_has_the_outcome_that_it_has_in_the_other_modes(
    site: Site, ranged: YoutubeFetcher, answer: Page, code: Code, group: Group
) -> None:
    data = video("youtube_webm")
    path = publish(site, data)
    if answer.body:  # the same file, so that only its end differs
        answer = Page(body=data, ends=answer.ends, end_at=answer.end_at)
    site.put(path, Page(body=data), answer)
    outcome = refused(ranged)
    assert (outcome.code, outcome.group) == (code, group)
    # After a failure the next clip is none the worse for it.
    publish(site, data)
    assert fetched(ranged, 34.0, 39.0).metadata["mode"] == "range"


@pytest.mark.parametrize(
    "lie",
    ["bytes 7-65535/900000", "bytes 0-65535", "octets 0-65535/900000", "bytes 0-65535/70000"],
)
def test_a_server_that_lies_about_ranges_is_not_believed(
    site: Site, ranged: YoutubeFetcher, lie: str
) -> None:
    data = video("youtube_webm")
    path = publish(site, data)
    site.put(path, Page(body=data), Page(body=data, content_range=lie))
    outcome = refused(ranged)
    assert outcome.group not in (Group.OK, Group.PERMANENT, Group.GATED)
    assert "another range" in outcome.evidence.text or "changed from" in outcome.evidence.text


def test_media_that_changes_on_the_way_is_not_patched_together(
    site: Site, ranged: YoutubeFetcher
) -> None:
    data = video("youtube_webm")
    path = publish(site, data)
    site.put(path, Page(body=data), Page(body=data + b"longer"))
    assert "changed from" in refused(ranged).evidence.text


@pytest.mark.parametrize(
    ("bounds", "code"),
    [({"max_bytes": 100_000}, Code.TOO_LONG), ({"max_fetch_seconds": 0.0}, Code.TIMEOUT)],
)
def test_parts_are_bounded_in_bytes_and_time(
    site: Site, monkeypatch: pytest.MonkeyPatch, bounds: dict[str, float], code: Code
) -> None:
    use_site(site, monkeypatch)
    path = publish(site, video("youtube_webm"))
    with YoutubeFetcher(
        YoutubeOptions(mode="range", allow_private_hosts=True, **bounds)
    ).open() as fetcher:
        assert refused(fetcher).code is code
    assert sum(len(one) for one in asked(site, path)) < 600_000


def test_a_long_video_is_only_as_long_as_its_clip(
    site: Site, ranged: YoutubeFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = video("youtube_webm")
    put_video(site, data, duration=9 * 3600.0)
    assert fetched(ranged, 34.0, 39.0).metadata["mode"] == "range"


def test_a_clip_without_an_end_is_fetched_whole(site: Site, ranged: YoutubeFetcher) -> None:
    data = video("youtube_webm")
    publish(site, data)
    got = ranged.fetch(clip_of())
    assert isinstance(got, SourceAudio)
    assert (got.data, got.metadata["mode"]) == (data, "whole")


def test_a_short_file_is_there_with_its_first_block(site: Site, ranged: YoutubeFetcher) -> None:
    data = media.webm(media.noise(2))
    path = put_video(site, data, duration=2.0)
    got = fetched(ranged, 0.5, 1.5)
    assert (got.data, got.metadata["mode"]) == (data, "whole")
    assert site.paths().count(path) == 1


def test_cookies_and_headers_are_sent_with_each_range_and_told_nowhere(
    site: Site, ranged: YoutubeFetcher
) -> None:
    data = video("youtube_webm")
    path = put_video(
        site, data, duration=SECONDS, http_headers={"X-Made-Up": "s3cret"}, filesize=len(data)
    )
    site.put(path, Page(body=data), Page(body=data), Page(status=403))
    outcome = refused(ranged)
    sent = [headers["x-made-up"] for at, headers in site.requests if at == path]
    assert set(sent) == {"s3cret"}
    assert len(sent) == 3
    assert "s3cret" not in repr(outcome)

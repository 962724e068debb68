"""Every failure that YouTube or the way to it can answer with, through a real yt-dlp."""

import dataclasses
from typing import Any

import pytest

from jobs.availability.outcome import Code, Group, Outcome
from jobs.catalogues.catalogue import ClipRef
from jobs.fetching.youtube import YoutubeFetcher
from jobs.fetching.youtube_options import YoutubeOptions
from tests.jobs.fetching.site import Page, Site, free_port
from tests.jobs.fetching.youtube_site import (
    VIDEO_ID,
    clip_of,
    put_video,
    put_watch_page,
    use_site,
)

BODY = bytes(range(256)) * 1000

REASONS = [
    # As YouTube and yt-dlp word them, curly apostrophes and all.
    (
        "Video unavailable. This content isn't available, try again later. The current session has "
        "been rate-limited by YouTube for up to an hour. It is recommended to use `-t sleep` to add"
        " a delay between video requests to avoid exceeding the rate limit.",
        Code.RATE_LIMITED_SESSION,
    ),
    ("Sign in to confirm you\u2019re not a bot. Use --cookies-from-browser", Code.BOT_CHECK),
    ("All player responses are invalid. Your IP is likely being blocked by Youtube",
     Code.IP_BLOCKED),
    ("This content isn\u2019t available.", Code.SESSION_BLOCKED),
    ("The page needs to be reloaded.", Code.SESSION_BLOCKED),
    ("Video unavailable. Playback on other websites has been disabled by the video owner",
     Code.EMBED_DISABLED),
    ("Sign in to confirm your age. This video may be inappropriate for some users.",
     Code.AGE_GATED),
    ("Private video. Sign in if you've been granted access to this video.", Code.PRIVATE),
    ("Join this channel to get access to members-only content like this video, and other "
     "exclusive perks.", Code.MEMBERS_ONLY),
    ("This video is available to this channel's members on level: X (or any higher level).",
     Code.MEMBERS_ONLY),
    ("This video requires payment to watch", Code.PAID),
    ("This video is only available for registered users", Code.LOGIN_REQUIRED),
    ("Video unavailable. This video contains content from SME, who has blocked it in your "
     "country on copyright grounds", Code.COPYRIGHT_GEO),
    ("Video unavailable. This video contains content from SME, who has blocked it on copyright "
     "grounds", Code.COPYRIGHT),
    ("Video unavailable. This video is no longer available because the YouTube account associated "
     "with this video has been terminated.", Code.ACCOUNT_TERMINATED),
    ("This video has been removed for violating YouTube's Terms of Service", Code.REMOVED_TOS),
    ("Video unavailable. This video has been removed by the uploader", Code.REMOVED_BY_UPLOADER),
    ("This live event will begin in 98 minutes.", Code.LIVE_PENDING),
    ("This live stream recording is not available.", Code.LIVE_GONE),
    ("Video unavailable", Code.UNAVAILABLE_UNSPECIFIED),
    ("This video is DRM protected", Code.DRM),
]  # fmt: skip


def outcome_of(youtube: YoutubeFetcher, clip: ClipRef | None = None) -> Outcome:
    got = youtube.fetch(clip or clip_of())
    assert isinstance(got, Outcome)
    return got


@pytest.mark.parametrize(("reason", "code"), REASONS)
def test_each_reason_of_youtube_has_its_code(
    site: Site, youtube: YoutubeFetcher, reason: str, code: Code
) -> None:
    put_watch_page(site, error=reason, playability={"web": "UNPLAYABLE"}, warnings=["hm"])
    got = outcome_of(youtube)
    assert got.code is code
    assert reason[:60] in got.evidence.text
    assert got.evidence.playability == ("web:UNPLAYABLE",)
    assert "hm" in got.evidence.warnings[0]
    assert site.paths() == [f"/watch/{VIDEO_ID}"]


def test_a_geo_block_keeps_its_countries_and_is_asked_once(
    site: Site, youtube: YoutubeFetcher
) -> None:
    put_watch_page(
        site,
        error="The uploader has not made this video available in your country",
        countries=["US", "CA"],
    )
    got = outcome_of(youtube)
    assert got.code is Code.GEO_BLOCKED
    assert got.evidence.countries == ("US", "CA")
    # With yt-dlp's default there is a second one, with a made-up X-Forwarded-For.
    assert len(site.requests) == 1
    assert "x-forwarded-for" not in site.requests[0][1]


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, Code.HTTP_401), (403, Code.HTTP_403), (429, Code.HTTP_429), (503, Code.HTTP_5XX)],
)
def test_a_status_of_the_page_is_told_from_one_of_the_media(
    site: Site, youtube: YoutubeFetcher, status: int, code: Code
) -> None:
    site.put(f"/watch/{VIDEO_ID}", Page(status=status))
    got = outcome_of(youtube)
    assert (got.code, got.evidence.http_status, got.evidence.is_media) == (code, status, False)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, Code.HTTP_403_MEDIA),
        (404, Code.HTTP_404_MEDIA),
        (410, Code.HTTP_404_MEDIA),
        (416, Code.HTTP_404_MEDIA),
        (429, Code.HTTP_429),
        (500, Code.HTTP_5XX),
        (503, Code.HTTP_5XX),
    ],
)
def test_a_status_of_the_media_says_nothing_permanent(
    site: Site, youtube: YoutubeFetcher, status: int, code: Code
) -> None:
    put_video(site, Page(status=status))
    got = outcome_of(youtube)
    assert (got.code, got.evidence.http_status, got.evidence.is_media) == (code, status, True)
    assert got.group in (Group.BLOCKED, Group.TRANSIENT)


@pytest.mark.parametrize(
    ("page", "code"),
    [
        (Page(body=BODY, ends="cut", end_at=100), Code.TRUNCATED),
        (Page(body=b"", ranges=False), Code.TRUNCATED),
        (Page(body=BODY, ends="stalls", end_at=100), Code.TIMEOUT),
    ],
)
def test_media_that_does_not_come_whole_is_the_networks_fault(
    site: Site, youtube: YoutubeFetcher, page: Page, code: Code
) -> None:
    # Broken again at each resumption: every answer ends after 100 bytes, then nothing comes.
    put_video(site, page)
    site.put(f"/media/{VIDEO_ID}", page, dataclasses.replace(page, end_at=0))
    assert outcome_of(youtube).code is code


def test_a_reset_at_the_media_is_the_networks_fault(site: Site, youtube: YoutubeFetcher) -> None:
    put_video(site, Page(body=BODY, ends="reset", end_at=0))
    got = outcome_of(youtube)
    assert got.code in (Code.RESET, Code.TRUNCATED)
    assert got.group is Group.TRANSIENT


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://no-such-host.invalid/a", Code.DNS),
        ("http://127.0.0.1:{port}/a", Code.CONNECTION_REFUSED),
    ],
)
def test_a_host_that_can_not_be_reached_is_the_networks_fault(
    site: Site, youtube: YoutubeFetcher, url: str, code: Code
) -> None:
    put_video(site, b"", url=url.format(port=free_port()))
    assert outcome_of(youtube).code is code


def test_a_page_that_does_not_answer_times_out(site: Site, youtube: YoutubeFetcher) -> None:
    site.put(f"/watch/{VIDEO_ID}", Page(body=BODY, ends="stalls", end_at=10))
    assert outcome_of(youtube).code is Code.TIMEOUT


def test_a_proxy_that_is_not_there_is_ours(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    put_video(site, BODY)
    proxy = f"http://me:s3cret@127.0.0.1:{free_port()}"
    with open_with(site, monkeypatch, proxy=proxy).open() as youtube:
        got = outcome_of(youtube)
    assert (got.code, got.group) == (Code.PROXY, Group.OURS)
    assert "s3cret" not in repr(got)
    assert not site.requests


def test_a_bug_of_the_extractor_is_ours(site: Site, youtube: YoutubeFetcher) -> None:
    put_watch_page(site, has_bug=True)
    got = outcome_of(youtube)
    assert (got.code, got.group) == (Code.EXTRACTOR_BUG, Group.OURS)


def test_a_video_without_formats_tells_why_by_its_warnings(
    site: Site, youtube: YoutubeFetcher
) -> None:
    put_watch_page(
        site,
        info={"formats": []},
        warnings=["No supported JavaScript runtime could be found. Only deno is enabled"],
    )
    assert outcome_of(youtube).code is Code.JS_RUNTIME


@pytest.mark.parametrize("status", ["is_live", "is_upcoming", "post_live"])
def test_a_live_stream_is_refused_before_its_media(
    site: Site, youtube: YoutubeFetcher, status: str
) -> None:
    path = put_video(site, BODY, info={"live_status": status})
    assert outcome_of(youtube).code is Code.LIVE_PENDING
    assert path not in site.paths()


def test_a_clip_past_the_end_is_refused_before_its_media(
    site: Site, youtube: YoutubeFetcher
) -> None:
    path = put_video(site, BODY, duration=25)
    got = outcome_of(youtube, clip_of(30.0, 40.0))
    assert got.code is Code.CLIP_PAST_END
    assert (got.evidence.expected, got.evidence.got) == (
        "a clip from 30.000 s on",
        "a video of 25.000 s",
    )
    assert path not in site.paths()


def open_with(site: Site, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> YoutubeFetcher:
    use_site(site, monkeypatch)
    return YoutubeFetcher(YoutubeOptions(allow_private_hosts=True, **changes))


def test_a_video_that_lasts_too_long_is_refused_if_all_of_it_is_needed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put_video(site, BODY, duration=36_000)
    with open_with(site, monkeypatch, mode="whole").open() as youtube:
        assert outcome_of(youtube, clip_of(30.0, 40.0)).code is Code.TOO_LONG
    assert path not in site.paths()
    with open_with(site, monkeypatch, mode="prefix").open() as youtube:
        assert not isinstance(youtube.fetch(clip_of(30.0, 40.0)), Outcome)


@pytest.mark.parametrize("mode", ["prefix", "whole"])
def test_media_of_too_many_bytes_are_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch, mode
) -> None:
    put_video(site, BODY)
    with open_with(site, monkeypatch, mode=mode, max_bytes=1000).open() as youtube:
        got = outcome_of(youtube, clip_of(0.0, 10.0))
    assert got.code is Code.TOO_LONG
    assert got.evidence.expected == "at most 1000 bytes"


@pytest.mark.parametrize(
    "video_id",
    [
        "short",
        "--exec=touch x",
        "../../watch?",
        "a" * 12,
        "a b c d e f",
        "\u00fc" * 11,
        "$(reboot)xx",
    ],
)
def test_what_is_no_id_is_not_asked_for(site: Site, youtube: YoutubeFetcher, video_id: str) -> None:
    assert outcome_of(youtube, clip_of(video_id=video_id)).code is Code.INVALID_ID
    assert not site.requests


def test_a_clip_without_a_video_is_missing(youtube: YoutubeFetcher) -> None:
    clip = dataclasses.replace(clip_of(), video_id=None)
    assert outcome_of(youtube, clip).code is Code.MEMBER_MISSING


def test_the_warnings_of_one_clip_are_not_kept_for_the_next(
    site: Site, youtube: YoutubeFetcher
) -> None:
    put_watch_page(site, error="Video unavailable", warnings=["first"], playability={"tv": "ERROR"})
    outcome_of(youtube)
    put_watch_page(site, error="Video unavailable")
    got = outcome_of(youtube)
    assert (got.evidence.warnings, got.evidence.playability) == ((), ())


def test_the_pause_that_youtube_asks_for_is_kept_wherever_it_does(
    site: Site, youtube: YoutubeFetcher
) -> None:
    busy = Page(status=429, headers={"Retry-After": "33"})
    site.put(f"/watch/{VIDEO_ID}", busy)
    at_the_page = outcome_of(youtube)
    put_video(site, busy)
    at_the_media = outcome_of(youtube)
    for outcome in (at_the_page, at_the_media):
        assert outcome.code is Code.HTTP_429
        assert outcome.evidence.retry_after_seconds == 33
    put_video(site, Page(status=429))
    assert outcome_of(youtube).evidence.retry_after_seconds is None

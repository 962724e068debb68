"""What a run must not give away, and what untrusted values must not do."""

import logging
import pickle
import sys
import tempfile
from pathlib import Path

import pytest

from jobs.availability.outcome import Outcome
from jobs.fetching.youtube import YoutubeFetcher
from jobs.fetching.youtube_log import YoutubeLog
from jobs.fetching.youtube_options import YoutubeOptions, ydl_params
from shardwriter.errors import ConfigError
from tests.jobs.fetching.site import Page, Site
from tests.jobs.fetching.youtube_site import VIDEO_ID, clip_of, put_video, put_watch_page, use_site

SECRET = "s3cr3t-cookie-value"
COOKIES = (
    "# Netscape HTTP Cookie File\n"
    f"127.0.0.1\tFALSE\t/\tFALSE\t2147483647\tSID\t{SECRET}\n"
    f"#HttpOnly_.youtube.com\tTRUE\t/\tTRUE\t2147483647\tLOGIN_INFO\t{SECRET}\n"
)


@pytest.fixture
def cookies(tmp_path: Path) -> Path:
    path = tmp_path / "cookies.txt"
    path.write_text(COOKIES)
    return path


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def copies(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and SECRET in path.read_text()]


def test_cookies_are_sent_and_their_file_is_never_written(
    site: Site, cookies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_site(site, monkeypatch)
    cookies.chmod(0o400)
    before = cookies.stat()
    put_video(site, Page(body=b"x" * 100, headers={"Set-Cookie": "NEW=1; Max-Age=9999"}))
    with YoutubeFetcher(
        YoutubeOptions(cookies_file=cookies, allow_private_hosts=True)
    ).open() as fetcher:
        fetcher.fetch(clip_of())
    assert [headers["cookie"] for _, headers in site.requests] == [f"SID={SECRET}"] * 2
    assert cookies.read_text() == COOKIES
    assert cookies.stat().st_mtime_ns == before.st_mtime_ns


def test_the_copy_of_the_cookies_is_private_and_ends_with_the_fetcher(
    site: Site, cookies: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_site(site, monkeypatch)
    options = YoutubeOptions(cookies_file=cookies)
    with YoutubeFetcher(options).open(), YoutubeFetcher(options).open():
        found = copies(temporary)
        assert len(found) == 2
        for path in found:
            assert path.stat().st_mode & 0o777 == 0o600
            assert path.parent.stat().st_mode & 0o777 == 0o700
    assert not copies(temporary)


@pytest.mark.parametrize("status", [403, 404, 500])
def test_cookies_are_in_no_message(
    site: Site,
    cookies: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    status: int,
) -> None:
    use_site(site, monkeypatch)
    caplog.set_level(logging.DEBUG)
    got = []
    with YoutubeFetcher(
        YoutubeOptions(cookies_file=cookies, allow_private_hosts=True)
    ).open() as fetcher:
        site.put(f"/watch/{VIDEO_ID}", Page(status=status))
        got.append(fetcher.fetch(clip_of()))
        put_video(site, Page(status=status))
        got.append(fetcher.fetch(clip_of()))
        put_watch_page(site, error=f"Cookie: SID={SECRET}")
        got.append(fetcher.fetch(clip_of()))
    assert all(isinstance(outcome, Outcome) for outcome in got)
    captured = capfd.readouterr()
    for said in (repr(got), repr(fetcher), captured.out, captured.err, caplog.text):
        assert SECRET not in said
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"{SECRET}\n", "line 1: expected 7 fields"),
        (COOKIES + f"a\tb\t{SECRET}\n", "line 4: expected 7 fields with tabs between them, got 3"),
        (f".x.org\tFALSE\t/\tTRUE\t0\tSID\t{SECRET}\n", "line 1: the second field"),
        (f".x.org\tTRUE\t/\tTRUE\tsoon\tSID\t{SECRET}\n", "line 1: the fifth field"),
        (f'[{{"SID": "{SECRET}"}}]', "is JSON"),
        ("# Netscape HTTP Cookie File\n", "holds no cookies"),
    ],
)
def test_what_is_no_cookies_file_is_refused_without_its_content(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    path = tmp_path / "key.txt"
    path.write_text(content)
    with (
        pytest.raises(ConfigError, match=message) as caught,
        YoutubeFetcher(YoutubeOptions(cookies_file=path)).open(),
    ):
        pass
    captured = capfd.readouterr()
    assert SECRET not in str(caught.value) + captured.out + captured.err
    assert caught.value.__cause__ is None


def test_a_cookies_file_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no cookies file"):
        YoutubeFetcher(YoutubeOptions(cookies_file=tmp_path / "none.txt"))


def test_a_login_of_a_proxy_is_not_shown() -> None:
    options = YoutubeOptions(proxy=f"http://me:{SECRET}@proxy.example:8080")
    assert SECRET not in repr(options)


def test_without_yt_dlp_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yt_dlp", None)
    with pytest.raises(ConfigError, match=r"pip install 'melstream\[youtube\]'"):
        YoutubeFetcher()


def test_an_id_that_looks_like_an_option_is_asked_for_as_an_id(
    site: Site, youtube: YoutubeFetcher
) -> None:
    video_id = "--no-config"
    assert len(video_id) == 11
    put_watch_page(site, video_id, error="Video unavailable")
    youtube.fetch(clip_of(video_id=video_id))
    assert site.paths() == [f"/watch/{video_id}"]


def test_no_other_site_is_asked_whatever_a_page_links_to(
    site: Site, youtube: YoutubeFetcher
) -> None:
    trap = site.put("/trap", Page(body=b"x"))
    put_watch_page(site, info={"_type": "url", "url": trap})
    assert isinstance(youtube.fetch(clip_of()), Outcome)
    assert "/trap" not in site.paths()


def test_nothing_is_run_after_a_download_and_no_settings_are_read(tmp_path: Path) -> None:
    params = ydl_params(YoutubeOptions(), folder=tmp_path, cookies_copy=None, logger=YoutubeLog())
    assert params["ignoreerrors"] is False
    assert params["geo_bypass"] is False
    assert params["noplaylist"] is True
    for name in ("download_ranges", "postprocessors", "external_downloader", "exec_cmd"):
        assert name not in params


def test_a_fetcher_travels_into_a_worker(cookies: Path) -> None:
    fetcher = YoutubeFetcher(YoutubeOptions(cookies_file=cookies, mode="whole"))
    data = pickle.dumps(fetcher)
    assert SECRET.encode() not in data
    assert pickle.loads(data).kind == "youtube"

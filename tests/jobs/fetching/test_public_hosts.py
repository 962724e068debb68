"""Media comes from public hosts, whatever a page or a redirect names and whoever connects."""

import contextlib
import gc
import socket
import threading
import urllib.request
from collections.abc import Iterator

import pytest

from jobs.availability.outcome import Code, Group, Outcome
from jobs.fetching import public_hosts
from jobs.fetching.fetcher import SourceAudio
from jobs.fetching.public_hosts import only_public_hosts
from jobs.fetching.urls import RefusedUrlError
from jobs.fetching.youtube import YoutubeFetcher
from jobs.fetching.youtube_options import Mode, YoutubeOptions
from tests.jobs.fetching import media
from tests.jobs.fetching.site import Page, Site
from tests.jobs.fetching.youtube_site import clip_of, put_video, use_site

MODES: tuple[Mode, ...] = ("prefix", "range", "whole")


@contextlib.contextmanager
def strict(
    site: Site, monkeypatch: pytest.MonkeyPatch, mode: Mode = "prefix", proxy: str | None = None
) -> Iterator[YoutubeFetcher]:
    use_site(site, monkeypatch)
    with YoutubeFetcher(YoutubeOptions(mode=mode, proxy=proxy)).open() as fetcher:
        yield fetcher


@pytest.fixture(scope="module")
def audio() -> bytes:
    return media.webm(media.noise(12))


def refused(got: SourceAudio | Outcome) -> Outcome:
    assert isinstance(got, Outcome), got
    assert (got.code, got.group) == (Code.REFUSED_URL, Group.OURS)
    return got


@pytest.mark.parametrize("mode", MODES)
def test_media_at_a_private_address_is_not_asked_for(
    site: Site, monkeypatch: pytest.MonkeyPatch, audio: bytes, mode: Mode
) -> None:
    path = put_video(site, audio)
    with strict(site, monkeypatch, mode) as youtube:
        assert "not public" in refused(youtube.fetch(clip_of(1.0, 2.0))).evidence.text
    assert path not in site.paths()


@pytest.mark.parametrize("mode", MODES)
def test_media_at_a_name_of_a_private_address_is_not_asked_for(
    site: Site, monkeypatch: pytest.MonkeyPatch, audio: bytes, mode: Mode
) -> None:
    url = site.url.replace("127.0.0.1", "localhost")
    path = put_video(site, audio, url=f"{url}/media")
    with strict(site, monkeypatch, mode) as youtube:
        assert "not public" in refused(youtube.fetch(clip_of(1.0, 2.0))).evidence.text
    assert path not in site.paths()


@pytest.mark.parametrize("mode", MODES)
def test_a_redirect_into_ones_own_network_is_not_followed(
    site: Site, monkeypatch: pytest.MonkeyPatch, audio: bytes, mode: Mode
) -> None:
    # The site stands for a public host, that whose address is 127.0.0.2 for one that is not.
    def only_127_0_0_1_is_public(address: str, *, host: str) -> None:
        if address != "127.0.0.1":
            raise RefusedUrlError(f"{host} is not public")

    monkeypatch.setattr(public_hosts, "check_address", only_127_0_0_1_is_public)
    monkeypatch.setattr("jobs.fetching.youtube.check_url", lambda url, allow_private_hosts: None)
    inner = site.url.replace("127.0.0.1", "127.0.0.2")
    path = put_video(site, audio)
    site.put("/inner", Page(body=audio))
    site.put(path, Page(status=302, headers={"Location": f"{inner}/inner"}))
    with strict(site, monkeypatch, mode) as youtube:
        assert "127.0.0.2" in refused(youtube.fetch(clip_of(1.0, 2.0))).evidence.text
    assert "/inner" not in site.paths()


# yt-dlp leaves the file that it was writing open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_fragments_in_ones_own_network_are_not_asked_for(
    site: Site, monkeypatch: pytest.MonkeyPatch, audio: bytes
) -> None:
    url = "https://8.8.8.8/x.mpd"
    with Site().serving() as inner:
        fragments = [{"url": inner.put("/fragment", Page(body=audio))}]
        put_video(site, b"", protocol="http_dash_segments", fragments=fragments, url=url)
        with strict(site, monkeypatch) as youtube:
            refused(youtube.fetch(clip_of(1.0, 2.0)))
        assert not inner.requests
    gc.collect()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "rtmp://8.8.8.8/x", "ftp://8.8.8.8/x"])
def test_media_comes_by_http_alone(site: Site, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    put_video(site, b"", url=url, protocol=url.partition(":")[0])
    with strict(site, monkeypatch) as youtube:
        assert "by http and https" in refused(youtube.fetch(clip_of(1.0, 2.0))).evidence.text


def test_a_proxy_may_be_in_ones_own_network(
    site: Site, monkeypatch: pytest.MonkeyPatch, audio: bytes
) -> None:
    # As a proxy the site gets whole URLs; it answers those of the media of a public host.
    put_video(site, audio, url="http://media.example/audio")
    site.put("http://media.example/audio", Page(body=audio))
    site.put(f"{site.url}/watch/-hy_IdWithA", site.take("/watch/-hy_IdWithA", {}))
    with strict(site, monkeypatch, proxy=site.url) as youtube:
        got = youtube.fetch(clip_of(1.0, 2.0))
    assert isinstance(got, SourceAudio), got


def test_other_threads_and_later_connections_are_left_alone(site: Site) -> None:
    url = site.put("/a", Page(body=b"x"))
    outside: list[bytes] = []

    def ask() -> None:
        with urllib.request.urlopen(url, timeout=5) as answer:
            outside.append(answer.read())

    def ask_from_both_threads() -> None:
        with only_public_hosts():
            other = threading.Thread(target=ask)
            other.start()
            other.join()
            ask()

    with pytest.raises(RefusedUrlError, match=r"127\.0\.0\.1"):
        ask_from_both_threads()
    assert outside == [b"x"]
    ask()
    assert outside == [b"x", b"x"]


def test_an_address_that_nobody_looked_up_is_refused() -> None:
    with (
        pytest.raises(RefusedUrlError, match="by name"),
        only_public_hosts(),
        socket.socket() as connecting,
    ):
        connecting.connect(("localhost", 9))

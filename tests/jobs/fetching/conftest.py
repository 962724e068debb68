from collections.abc import Iterator

import pytest

from jobs.fetching.youtube import YoutubeFetcher
from jobs.fetching.youtube_options import YoutubeOptions
from tests.jobs.fetching.site import Site
from tests.jobs.fetching.youtube_site import find_plugin, use_site


@pytest.fixture
def site() -> Iterator[Site]:
    with Site().serving() as site:
        yield site


@pytest.fixture(scope="session")
def session_youtube() -> Iterator[YoutubeFetcher]:
    find_plugin()
    options = YoutubeOptions(socket_timeout_seconds=1.0, allow_private_hosts=True)
    with YoutubeFetcher(options).open() as fetcher:
        yield fetcher


@pytest.fixture
def youtube(
    site: Site, session_youtube: YoutubeFetcher, monkeypatch: pytest.MonkeyPatch
) -> YoutubeFetcher:
    """A fetcher that is open, and finds YouTube at the site."""
    use_site(site, monkeypatch)
    return session_youtube

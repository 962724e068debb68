from collections.abc import Iterator

import pytest

from jobs.fetching.youtube import YoutubeFetcher
from jobs.fetching.youtube_options import YoutubeOptions
from tests.jobs.fetching.site import Site
from tests.jobs.fetching.youtube_site import use_site


@pytest.fixture
def site() -> Iterator[Site]:
    with Site().serving() as site:
        yield site


@pytest.fixture
def youtube(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[YoutubeFetcher]:
    """A fetcher that is open, and finds YouTube at the site."""
    use_site(site, monkeypatch)
    with YoutubeFetcher(YoutubeOptions(socket_timeout_seconds=1.0)).open() as fetcher:
        yield fetcher

import time
from collections.abc import Iterator

import pytest

from tests.jobs.fetching.site import Site
from tests.jobs.fetching.youtube_site import use_site


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site where yt-dlp finds YouTube, in this process and those that it starts."""
    with Site().serving() as site:
        use_site(site, monkeypatch)
        yield site


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries that fail are repeated at once."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)

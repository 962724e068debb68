import socket
import threading
import time

import pytest

from jobs.fetching import http_session
from jobs.fetching.http_session import (
    HttpOptions,
    HttpSession,
    HttpStatusError,
    TooLargeError,
    pieces,
)
from jobs.fetching.retry_after import MAX_PAUSE_SECONDS
from jobs.fetching.urls import RefusedUrlError
from tests.jobs.fetching.site import Page, Site

HERE = HttpOptions(allow_private_hosts=True, read_timeout_seconds=5)


def test_a_redirect_is_followed(site: Site) -> None:
    site.put("/old", Page(status=302, headers={"Location": "/new"}))
    site.put("/new", Page(body=b"here"))
    with HttpSession(HERE).get(f"{site.url}/old") as response:
        assert b"".join(pieces(response, max_bytes=100)) == b"here"


@pytest.mark.parametrize("target", ["file:///etc/passwd", "http://me:pw@127.0.0.1/", "gopher://x/"])
def test_a_redirect_to_what_is_not_fetched_is_refused(site: Site, target: str) -> None:
    site.put("/old", Page(status=307, headers={"Location": target}))
    with (
        pytest.raises(RefusedUrlError),
        HttpSession(HERE).get(f"{site.url}/old"),
    ):
        pass


def test_redirects_in_a_circle_end(site: Site) -> None:
    site.put("/old", Page(status=301, headers={"Location": "/old"}))
    with (
        pytest.raises(RefusedUrlError, match="over 10 redirects"),
        HttpSession(HERE).get(f"{site.url}/old"),
    ):
        pass
    assert len(site.requests) == 11


def test_a_name_of_a_private_address_is_not_connected_to(site: Site) -> None:
    url = site.url.replace("127.0.0.1", "localhost")
    with pytest.raises(RefusedUrlError, match="not public"), HttpSession().get(f"{url}/a"):
        pass
    assert not site.requests


def test_a_redirect_to_a_private_host_is_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_127_0_0_1_is_public(address: str, *, host: str) -> None:
        if host != "127.0.0.1":
            raise RefusedUrlError(f"{host} is not public")

    monkeypatch.setattr(http_session, "check_address", only_127_0_0_1_is_public)
    monkeypatch.setattr(http_session, "check_url", lambda url, allow_private_hosts: None)
    inner = site.url.replace("127.0.0.1", "localhost")
    site.put("/old", Page(status=302, headers={"Location": f"{inner}/inner"}))
    with pytest.raises(RefusedUrlError, match="localhost"), HttpSession().get(f"{site.url}/old"):
        pass
    assert site.paths() == ["/old"]


def test_a_name_whose_address_changes_is_refused_before_a_byte_is_sent(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo
    answers = iter(["8.8.8.8", "127.0.0.1"])

    def rebinding(host, port, *args, **kwargs):
        return real(next(answers) if host == "rebinding.example" else host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    url = site.url.replace("127.0.0.1", "rebinding.example")
    with pytest.raises(RefusedUrlError, match=r"127\.0\.0\.1"), HttpSession().get(f"{url}/a"):
        pass
    assert not site.requests


def test_a_host_is_asked_by_as_many_connections_as_allowed(site: Site) -> None:
    site.put("/a", Page(body=b"x"))
    session = HttpSession(HttpOptions(allow_private_hosts=True, connections_per_host=2))
    pairs = threading.Barrier(2)
    counts: list[int] = []
    inside: set[int] = set()

    def fetch(number: int) -> None:
        with session.get(f"{site.url}/a") as response:
            inside.add(number)
            pairs.wait(10)  # ends only when two are inside at one time
            counts.append(len(inside))
            pairs.wait(10)
            inside.discard(number)
            list(pieces(response, max_bytes=1))

    threads = [threading.Thread(target=fetch, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert counts == [2] * 6


class Clock:
    """Time that passes by sleeping alone."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


def status_of(session: HttpSession, url: str) -> int:
    try:
        with session.get(url) as response:
            return response.status
    except HttpStatusError as err:
        return err.status


def test_a_host_that_asks_for_a_short_pause_gets_it_from_all_requests(site: Site) -> None:
    clock = Clock()
    session = HttpSession(HERE, clock=clock, sleep=clock.sleep)
    site.put("/busy", Page(status=503, headers={"Retry-After": "4"}))
    site.put("/a", Page(body=b"x"))
    assert status_of(session, f"{site.url}/a") == 200
    assert clock.waits == []
    assert status_of(session, f"{site.url}/busy") == 503
    assert status_of(session, f"{site.url}/a") == 200
    assert clock.waits == [4]


def test_a_host_that_asks_for_a_long_pause_is_not_asked(site: Site) -> None:
    clock = Clock()
    session = HttpSession(HERE, clock=clock, sleep=clock.sleep)
    site.put("/busy", Page(status=429, headers={"Retry-After": "3600"}))
    site.put("/a", Page(body=b"x"))
    assert status_of(session, f"{site.url}/busy") == 429
    assert status_of(session, f"{site.url}/a") == 429
    assert site.paths() == ["/busy"]
    with Site().serving() as other:
        assert status_of(session, other.put("/a", Page(body=b"x"))) == 200
    clock.sleep(MAX_PAUSE_SECONDS)
    assert status_of(session, f"{site.url}/a") == 200


def test_a_body_over_the_bound_is_refused_unread_where_its_header_tells(site: Site) -> None:
    site.put("/a", Page(body=b"x" * 1000))
    with (
        HttpSession(HERE).get(f"{site.url}/a") as response,
        pytest.raises(TooLargeError, match="1000 bytes are announced, allowed are 999"),
    ):
        next(pieces(response, max_bytes=999))


def test_a_body_that_drips_runs_into_its_deadline(site: Site) -> None:
    site.put("/a", Page(body=b"x" * 1000))
    with (
        HttpSession(HERE).get(f"{site.url}/a") as response,
        pytest.raises(TimeoutError, match="1000 bytes came"),
    ):
        list(pieces(response, max_bytes=1000, deadline=time.monotonic() - 1))


def test_connections_are_used_again(site: Site) -> None:
    site.put("/a", Page(body=b"x" * 10))
    session = HttpSession(HERE)
    for _ in range(3):
        with session.get(f"{site.url}/a") as response:
            assert len(b"".join(pieces(response, max_bytes=10))) == 10
    (pool,) = (session._pools.pools[key] for key in session._pools.pools.keys())  # noqa: SIM118 - no dict
    assert pool.num_connections == 1
    session.close()

import email.utils
import time

import pytest

from jobs.availability.outcome import Code, Outcome
from jobs.catalogues.catalogue import ClipRef
from jobs.fetching.fetcher import SourceAudio
from jobs.fetching.http_fetcher import HttpFetcher
from jobs.fetching.http_session import HttpOptions
from shardwriter.errors import ConfigError
from tests.jobs.fetching.site import Page, Site, free_port

BODY = bytes(range(256)) * 1000
HERE = HttpOptions(allow_private_hosts=True, read_timeout_seconds=0.3, connect_timeout_seconds=1.0)


def clip(file: str | None = "a.wav") -> ClipRef:
    return ClipRef(id="made/a", file=file, split="train", labels=("noise",))


def fetch(base_url: str, file: str | None = "a.wav", **settings) -> SourceAudio | Outcome:
    with HttpFetcher(base_url, HERE, **settings).open() as fetcher:
        return fetcher.fetch(clip(file))


def code_of(result: SourceAudio | Outcome) -> Code:
    assert isinstance(result, Outcome)
    return result.code


def test_a_file_comes_with_what_the_server_says_of_it(site: Site) -> None:
    site.put("/set/b c.wav", Page(body=BODY, etag='"v1"', headers={"Content-Type": "audio/wav"}))
    site.put("/set/b%20c.wav", Page(body=BODY, etag='"v1"', headers={"Content-Type": "audio/wav"}))
    got = fetch(f"{site.url}/set/", "b c.wav")
    assert isinstance(got, SourceAudio)
    assert got.data == BODY
    assert got.num_bytes == len(BODY)
    assert got.file == "b c.wav"
    assert got.metadata == {"content_type": "audio/wav", "etag": '"v1"'}


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, Code.HTTP_401),
        (403, Code.HTTP_403),
        (404, Code.HTTP_404),
        (410, Code.HTTP_404),
        (429, Code.HTTP_429),
        (451, Code.GEO_BLOCKED),
        (500, Code.HTTP_5XX),
        (503, Code.HTTP_5XX),
    ],
)
def test_each_status_has_its_outcome_after_one_request(site: Site, status: int, code: Code) -> None:
    site.put("/a.wav", Page(status=status))
    assert code_of(fetch(site.url)) is code
    assert len(site.requests) == 1


def test_a_host_without_an_address_is_a_dns_failure() -> None:
    assert code_of(fetch("http://no-such-host.invalid/set")) is Code.DNS


def test_a_port_where_nothing_listens_refuses() -> None:
    assert code_of(fetch(f"http://127.0.0.1:{free_port()}")) is Code.CONNECTION_REFUSED


def test_a_server_that_falls_silent_times_out(site: Site) -> None:
    site.put("/a.wav", Page(body=BODY, ends="stalls", end_at=100))
    assert code_of(fetch(site.url)) is Code.TIMEOUT


def test_a_reset_before_the_first_byte_is_a_reset(site: Site) -> None:
    site.put("/a.wav", Page(body=BODY, ends="reset", end_at=0))
    assert code_of(fetch(site.url)) in (Code.RESET, Code.TRUNCATED)


def test_a_body_that_stays_short_is_truncated(site: Site) -> None:
    site.put("/a.wav", Page(body=BODY, ends="cut", end_at=100))
    assert code_of(fetch(site.url)) is Code.TRUNCATED


def test_an_empty_body_is_truncated(site: Site) -> None:
    site.put("/a.wav", Page(body=b""))
    assert code_of(fetch(site.url)) is Code.TRUNCATED


@pytest.mark.parametrize("ends", ["reset", "cut"])
def test_a_body_that_broke_off_goes_on_where_it_stopped(site: Site, ends) -> None:
    broken = Page(body=BODY, etag='"v1"', ends=ends, end_at=70_000)
    site.put("/a.wav", broken, broken, Page(body=BODY, etag='"v1"'))
    got = fetch(site.url)
    assert isinstance(got, SourceAudio)
    assert got.data == BODY
    ranges = [headers.get("range") for _, headers in site.requests]
    assert ranges[0] is None
    assert len(ranges) == 3
    assert got.num_bytes == len(BODY)


def test_a_file_that_changed_while_it_came_is_fetched_anew(site: Site) -> None:
    other = BODY[::-1]
    site.put(
        "/a.wav",
        Page(body=BODY, etag='"v1"', ends="cut", end_at=1000),
        Page(body=other, etag='"v2"'),
    )
    got = fetch(site.url)
    assert isinstance(got, SourceAudio)
    assert got.data == other


def test_without_a_version_a_broken_body_is_not_patched_together(site: Site) -> None:
    site.put("/a.wav", Page(body=BODY, ends="cut", end_at=1000), Page(body=BODY[::-1]))
    assert code_of(fetch(site.url)) is Code.TRUNCATED


def test_a_file_over_the_bound_is_too_long(site: Site) -> None:
    site.put("/a.wav", Page(body=BODY))
    got = fetch(site.url, max_file_bytes=1000)
    assert code_of(got) is Code.TOO_LONG
    assert got.evidence.expected == "at most 1000 bytes"
    assert "256000" in got.evidence.got


def test_a_clip_without_a_file_is_missing(site: Site) -> None:
    assert code_of(fetch(site.url, None)) is Code.MEMBER_MISSING
    assert not site.requests


@pytest.mark.parametrize("file", ["../a.wav", "/a.wav", "http://169.254.169.254/latest"])
def test_a_name_from_a_csv_can_not_lead_elsewhere(site: Site, file: str) -> None:
    site.put("/a.wav", Page(body=b"secret"))
    assert code_of(fetch(f"{site.url}/set", file)) in (Code.MEMBER_MISSING, Code.HTTP_404)
    assert all(path.startswith("/set/") for path in site.paths())


def test_a_private_host_is_refused_when_the_source_is_given() -> None:
    with pytest.raises(ConfigError, match="not public"):
        HttpFetcher("http://169.254.169.254/latest")


def test_a_redirect_to_a_private_host_is_our_refusal(site: Site) -> None:
    site.put("/a.wav", Page(status=302, headers={"Location": "file:///etc/passwd"}))
    assert code_of(fetch(site.url)) is Code.REFUSED_URL


@pytest.mark.parametrize(("status", "code"), [(429, Code.HTTP_429), (503, Code.HTTP_5XX)])
def test_the_pause_that_a_server_asks_for_is_kept(site: Site, status: int, code: Code) -> None:
    site.put("/a.wav", Page(status=status, headers={"Retry-After": "120"}))
    with HttpFetcher(site.url, HERE).open() as fetcher:
        for _ in range(2):  # the second time the server is not asked
            got = fetcher.fetch(clip())
            assert isinstance(got, Outcome)
            assert got.code is code
            assert got.evidence.retry_after_seconds in (119, 120)
            assert "Retry-After 1" in got.evidence.text
    assert len(site.requests) == 1


def test_a_pause_until_a_date_is_counted_from_now(site: Site) -> None:
    date = email.utils.formatdate(time.time() + 300, usegmt=True)
    site.put("/a.wav", Page(status=503, headers={"Retry-After": date}))
    got = fetch(site.url)
    assert isinstance(got, Outcome)
    assert got.evidence.retry_after_seconds == pytest.approx(300, abs=60)


def test_messages_hold_no_query(site: Site) -> None:
    site.put("/set/a.wav", Page(status=403))
    got = fetch(f"{site.url}/set?signature=s3cret")
    assert isinstance(got, Outcome)
    assert "s3cret" not in repr(got)

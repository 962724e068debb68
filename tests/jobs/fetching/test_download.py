import email.utils
import hashlib
import json
import time
from pathlib import Path

import pytest

from jobs.fetching.download import Patience, RemoteFile, download
from jobs.fetching.http_session import HttpOptions, HttpSession
from shardwriter.errors import StorageError, TransientStorageError
from tests.jobs.fetching.site import Page, Site

BODY = bytes(range(256)) * 12_000  # 3 MB
SHA256 = hashlib.sha256(BODY).hexdigest()
MD5 = hashlib.md5(BODY, usedforsecurity=False).hexdigest()
SESSION = HttpSession(HttpOptions(allow_private_hosts=True, read_timeout_seconds=0.3))


def get(file: RemoteFile, target: Path, **settings) -> list[float]:
    """Download, and return for how long it would have slept."""
    waits: list[float] = []
    download(
        file,
        target,
        session=SESSION,
        sleep=waits.append,
        **{"max_bytes": 1 << 24, **settings},
    )
    return waits


def test_a_file_arrives_whole_and_checked_and_leaves_nothing_beside_it(
    site: Site, tmp_path: Path
) -> None:
    url = site.put("/a.zip", Page(body=BODY, etag='"v1"'))
    seen: list[int] = []
    file = RemoteFile(url=url, num_bytes=len(BODY), sha256=SHA256, md5=MD5)
    assert get(file, tmp_path / "a.zip", on_bytes=seen.append) == []
    assert (tmp_path / "a.zip").read_bytes() == BODY
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    assert seen == sorted(seen)
    assert seen[-1] == len(BODY)


@pytest.mark.parametrize("ends", ["reset", "cut", "stalls"])
def test_what_broke_off_goes_on_at_the_byte_where_it_stopped(
    site: Site, tmp_path: Path, ends
) -> None:
    broken = Page(body=BODY, etag='"v1"', ends=ends, end_at=1 << 20)
    url = site.put("/a.zip", broken, Page(body=BODY, etag='"v1"'))
    get(RemoteFile(url=url, md5=MD5), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == BODY
    _, second = site.requests
    start = int(second[1]["range"].removeprefix("bytes=").removesuffix("-"))
    assert 0 < start <= 1 << 20
    assert second[1]["if-range"] == '"v1"'


def test_a_later_run_goes_on_with_what_an_earlier_one_left(site: Site, tmp_path: Path) -> None:
    broken = Page(body=BODY, etag='"v1"', ends="cut", end_at=1 << 20)
    url = site.put("/a.zip", broken, Page(status=503))
    with pytest.raises(TransientStorageError, match="run again to go on"):
        get(RemoteFile(url=url, sha256=SHA256), tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()
    held = (tmp_path / "a.zip.part").stat().st_size
    assert held == 1 << 20
    site.put("/a.zip", Page(body=BODY, etag='"v1"'))
    get(RemoteFile(url=url, sha256=SHA256), tmp_path / "a.zip")
    assert site.requests[-1][1]["range"] == f"bytes={held}-"
    assert (tmp_path / "a.zip").read_bytes() == BODY


def test_a_new_version_is_fetched_from_its_beginning(site: Site, tmp_path: Path) -> None:
    url = site.put(
        "/a.zip",
        Page(body=BODY[::-1], etag='"v1"', ends="cut", end_at=1 << 20),
        Page(body=BODY, etag='"v2"'),
    )
    get(RemoteFile(url=url, sha256=SHA256), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == BODY


def test_without_version_and_checksum_nothing_is_patched_together(
    site: Site, tmp_path: Path
) -> None:
    url = site.put("/a.zip", Page(body=BODY))
    (tmp_path / "a.zip.part").write_bytes(b"something else")
    noted = {"url": url, "position": 14, "validator": None, "num_bytes": len(BODY)}
    (tmp_path / "a.zip.part.json").write_text(json.dumps(noted))
    get(RemoteFile(url=url), tmp_path / "a.zip")
    assert "range" not in site.requests[0][1]
    assert (tmp_path / "a.zip").read_bytes() == BODY


def test_a_server_that_can_not_serve_ranges_sends_all_again(site: Site, tmp_path: Path) -> None:
    broken = Page(body=BODY, etag='"v1"', ends="cut", end_at=1 << 20)
    url = site.put("/a.zip", broken, Page(body=BODY, etag='"v1"', ranges=False))
    get(RemoteFile(url=url, sha256=SHA256), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == BODY


def test_a_wrong_checksum_is_refused_and_not_gone_on_with(site: Site, tmp_path: Path) -> None:
    url = site.put("/a.zip", Page(body=BODY, etag='"v1"'))
    wrong = "0" * 64
    with pytest.raises(StorageError, match=f"expected sha256 {wrong}, got {SHA256}"):
        get(RemoteFile(url=url, sha256=wrong), tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()
    assert not (tmp_path / "a.zip.part").exists()


def test_a_file_that_is_there_is_checked_and_not_fetched(site: Site, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(BODY)
    get(RemoteFile(url=f"{site.url}/a.zip", sha256=SHA256), tmp_path / "a.zip")
    assert not site.requests
    with pytest.raises(StorageError, match="expected 5 bytes"):
        get(RemoteFile(url=f"{site.url}/a.zip", num_bytes=5), tmp_path / "a.zip")


def test_retry_after_is_waited_for_in_seconds_and_as_a_date(site: Site, tmp_path: Path) -> None:
    date = email.utils.formatdate(time.time() + 300, usegmt=True)
    url = site.put(
        "/a.zip",
        Page(status=429, headers={"Retry-After": "40"}),
        Page(status=503, headers={"Retry-After": date}),
        Page(body=BODY),
    )
    waits: list[float] = []
    session = HttpSession(HttpOptions(allow_private_hosts=True), clock=lambda: sum(waits))
    download(
        RemoteFile(url=url, sha256=SHA256),
        tmp_path / "a.zip",
        session=session,
        max_bytes=1 << 24,
        sleep=waits.append,
    )
    first, second = waits
    assert first == 40
    assert 200 < second <= 300


def test_pauses_double_and_tries_end(site: Site, tmp_path: Path) -> None:
    url = site.put("/a.zip", Page(status=500))
    waits: list[float] = []
    with pytest.raises(TransientStorageError, match=r"HTTP Error 500.*after 4 tries"):
        download(
            RemoteFile(url=url),
            tmp_path / "a.zip",
            session=SESSION,
            max_bytes=100,
            patience=Patience(max_failures=4, first_wait_seconds=1),
            sleep=waits.append,
        )
    assert waits == [1, 2, 4]


def test_a_pause_longer_than_our_patience_ends_the_download(site: Site, tmp_path: Path) -> None:
    url = site.put("/a.zip", Page(status=429, headers={"Retry-After": "7200"}))
    with pytest.raises(TransientStorageError, match="asks for a pause of 7200 s"):
        get(RemoteFile(url=url), tmp_path / "a.zip")
    assert len(site.requests) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_final_answer_is_not_tried_again(site: Site, tmp_path: Path, status: int) -> None:
    url = site.put("/a.zip", Page(status=status))
    with pytest.raises(StorageError, match=f"HTTP Error {status}"):
        get(RemoteFile(url=url), tmp_path / "a.zip")
    assert len(site.requests) == 1


def test_more_bytes_than_allowed_are_refused(site: Site, tmp_path: Path) -> None:
    url = site.put("/a.zip", Page(body=BODY))
    with pytest.raises(StorageError, match="allowed are 1000"):
        get(RemoteFile(url=url), tmp_path / "a.zip", max_bytes=1000)


def test_a_file_that_another_process_fetches_is_left_alone(site: Site, tmp_path: Path) -> None:
    import fcntl

    url = site.put("/a.zip", Page(body=BODY))
    with (tmp_path / "a.zip.part").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(TransientStorageError, match="another process"):
            get(RemoteFile(url=url), tmp_path / "a.zip")
    assert not site.requests


def test_a_link_in_the_way_is_not_written_through(site: Site, tmp_path: Path) -> None:
    url = site.put("/a.zip", Page(body=BODY))
    (tmp_path / "precious").write_bytes(b"mine")
    (tmp_path / "a.zip.part").symlink_to(tmp_path / "precious")
    with pytest.raises(StorageError):
        get(RemoteFile(url=url), tmp_path / "a.zip")
    assert (tmp_path / "precious").read_bytes() == b"mine"


def test_the_last_change_stands_in_for_an_etag(site: Site, tmp_path: Path) -> None:
    changed = {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}
    url = site.put(
        "/a.zip",
        Page(body=BODY, headers=changed, ends="cut", end_at=1 << 20),
        Page(body=BODY, headers=changed),
    )
    get(RemoteFile(url=url), tmp_path / "a.zip")
    assert site.requests[1][1]["if-range"] == changed["Last-Modified"]
    assert (tmp_path / "a.zip").read_bytes() == BODY

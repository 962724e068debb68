"""Exceptions to codes: real objects of yt-dlp, requests, urllib, botocore and our own stores."""

import errno
import http.server
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
import requests
import yt_dlp
from yt_dlp.extractor.common import InfoExtractor
from yt_dlp.utils import ExtractorError, GeoRestrictedError

from jobs.availability.classifier import classify
from jobs.availability.outcome import Code, Group
from shardwriter.errors import AudioError, ConfigError, StorageError, TransientStorageError
from shardwriter.s3_errors import as_ours
from shardwriter.storage import LocalStore

# yt-dlp leaves the sockets of failed requests to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Answers(http.server.BaseHTTPRequestHandler):
    """`/404` answers 404, and so on; `/short` promises more than it sends; `/drop` hangs up."""

    def do_GET(self) -> None:
        if self.path == "/drop":
            return
        is_short = self.path == "/short"
        self.send_response(200 if is_short else int(self.path[1:]))
        self.send_header("Content-Type", "audio/x-wav")
        self.send_header("Content-Length", "1000" if is_short else "0")
        self.end_headers()
        if is_short:
            self.wfile.write(b"RIFF")

    do_HEAD = do_GET

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def closed_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


class RaisingIE(InfoExtractor):  # type: ignore[misc]  # yt-dlp ships no types
    _VALID_URL = r"raise:(?P<id>\w+)"
    raised: Exception | None = None

    def _real_extract(self, url: str) -> Any:
        if self.raised is None:
            return {}["videoDetails"]
        raise self.raised


def failure(url: str, raised: Exception | None = None, **options: Any) -> Exception:
    """What a real YoutubeDL raises."""
    quiet = {
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "retries": 0,
        "cachedir": False,
    }
    with yt_dlp.YoutubeDL(quiet | {"extractor_retries": 0} | options, auto_init=False) as ydl:
        extractor = RaisingIE(ydl)
        extractor.raised = raised
        ydl.add_info_extractor(extractor)
        ydl.add_info_extractor(ydl.get_info_extractor("Generic"))
        with pytest.raises(yt_dlp.utils.DownloadError) as caught:
            ydl.extract_info(url, download=bool(options))
    return caught.value


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("401", Code.HTTP_401),
        ("403", Code.HTTP_403),
        ("404", Code.HTTP_404),
        ("410", Code.HTTP_404),
        ("429", Code.HTTP_429),
        ("451", Code.GEO_BLOCKED),
        ("500", Code.HTTP_5XX),
        ("503", Code.HTTP_5XX),
        ("405", Code.HTTP_OTHER),
        ("drop", Code.RESET),
    ],
)
def test_page_that_yt_dlp_can_not_get(server: str, path: str, code: Code) -> None:
    outcome = classify(failure(f"{server}/{path}"))
    assert outcome.code == code
    assert outcome.evidence.http_status == (int(path) if path.isdigit() else None)
    assert outcome.evidence.exceptions[0] == "DownloadError"
    assert {"HTTPError", "TransportError"} & set(outcome.evidence.exceptions)


def test_media_that_ends_early_is_truncated(server: str, tmp_path: Path) -> None:
    error = failure(f"{server}/short", outtmpl=str(tmp_path / "a.%(ext)s"))
    assert classify(error).code == Code.TRUNCATED


@pytest.mark.parametrize("name", ["", "nowhere.invalid"])
def test_host_that_can_not_be_reached(closed_port: int, name: str) -> None:
    url = f"http://{name}/a" if name else f"http://127.0.0.1:{closed_port}/a"
    code = Code.DNS if name else Code.CONNECTION_REFUSED
    with pytest.raises(requests.ConnectionError) as by_requests:
        requests.get(url, timeout=5)
    with pytest.raises(urllib.error.URLError) as by_urllib:
        urllib.request.urlopen(url, timeout=5)
    errors = [failure(url), by_requests.value, by_urllib.value]
    assert [classify(error).code for error in errors] == [code] * 3
    assert {classify(error).group for error in errors} == {Group.TRANSIENT}


def test_geo_block_keeps_the_countries() -> None:
    outcome = classify(failure("raise:a", GeoRestrictedError("not here", countries=["US", "CA"])))
    assert (outcome.code, outcome.evidence.countries) == (Code.GEO_BLOCKED, ("US", "CA"))
    assert outcome.evidence.is_expected is True


def test_reason_of_the_site_is_expected_and_read_from_the_text() -> None:
    outcome = classify(failure("raise:a", ExtractorError("Private video", expected=True)))
    assert (outcome.code, outcome.evidence.is_expected) == (Code.PRIVATE, True)


def test_bug_of_an_extractor_is_told_by_its_class() -> None:
    outcome = classify(failure("raise:a"))
    assert (outcome.code, outcome.evidence.is_expected) == (Code.EXTRACTOR_BUG, False)
    assert "KeyError" in outcome.evidence.exceptions


def test_refusal_of_requests_has_its_status(server: str) -> None:
    response = requests.get(f"{server}/403", timeout=5)
    with pytest.raises(requests.HTTPError) as caught:
        response.raise_for_status()
    assert classify(caught.value).evidence.http_status == 403
    assert classify(caught.value, is_media=True).code == Code.HTTP_403_MEDIA


def client_error(code: str, status: int) -> botocore.exceptions.ClientError:
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return botocore.exceptions.ClientError(answer, "GetObject")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (client_error("NoSuchKey", 404), Code.MEMBER_MISSING),
        (client_error("AccessDenied", 403), Code.CONFIG),
        (client_error("SlowDown", 503), Code.HTTP_5XX),
        (client_error("NoSuchBucket", 404), Code.CONFIG),
        (botocore.exceptions.NoCredentialsError(), Code.CONFIG),
        (botocore.exceptions.ReadTimeoutError(endpoint_url="http://s3"), Code.TIMEOUT),
        (botocore.exceptions.ConnectionClosedError(endpoint_url="http://s3"), Code.RESET),
    ],
)
def test_failure_of_s3_as_our_store_reports_it(error: Any, code: Code) -> None:
    with pytest.raises((StorageError, ConfigError)) as caught:
        raise as_ours(error, where="s3://b/a.wav") from error
    assert classify(caught.value).code == code


def test_file_that_a_folder_lacks_is_absent_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        LocalStore(tmp_path).read("a.wav")
    assert classify(caught.value).group == Group.ABSENT


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EMFILE])
def test_machine_that_fails_is_ours(number: int) -> None:
    outcome = classify(OSError(number, "as the kernel says"))
    assert (outcome.code, outcome.evidence.errno) == (Code.DISK, number)
    assert outcome.group == Group.OURS


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("corrupt", Code.DECODE_ERROR),
        ("truncated", Code.TRUNCATED),
        ("silent", Code.SILENT),
        ("too_long", Code.TOO_LONG),
        ("wrong_duration", Code.WRONG_DURATION),
    ],
)
def test_audio_that_is_none_keeps_its_reason(reason: str, code: Code) -> None:
    assert classify(AudioError(reason, "a detail with a timeout in it")).code == code


def test_store_that_may_recover_is_transient() -> None:
    assert classify(TransientStorageError("can't read: hm")).group == Group.TRANSIENT


def test_exceptions_that_cause_each_other_end() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert classify(first).evidence.exceptions == ("ValueError", "ValueError")


def test_exception_without_words_is_named() -> None:
    assert classify(TimeoutError()).evidence.text == "TimeoutError"
    assert classify(TimeoutError()).code == Code.TIMEOUT

import logging
import pickle
import time

import pytest

from shardwriter.errors import ConfigError, MelstreamError, StorageError, TransientStorageError
from shardwriter.s3 import S3Store
from shardwriter.s3_options import S3Options
from shardwriter.storage import open_store
from tests.s3.builders import FAST
from tests.s3.fault_proxy import Fault, FaultProxy
from tests.s3.weed import BUCKET, OPEN_BUCKET, free_ports


@pytest.mark.parametrize(
    "url", ["s3://", "s3:///x", "s3://ab/x", "s3://Clips/x", "s3://clips//x", "s3://clips/a/../b"]
)
def test_an_url_without_bucket_or_with_a_dotted_prefix_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="can't open"):
        open_store(url)


@pytest.mark.parametrize("url", ["gs://clips/x", "file:relative://x"])
def test_an_unknown_scheme_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="local folders, at s3://"):
        open_store(url)


@pytest.mark.parametrize("url", ["s3://clips", "s3://clips/", "s3://clips/a/b", "s3://clips/a/b/"])
def test_a_store_knows_its_url(url: str) -> None:
    assert open_store(url).url == url.rstrip("/")


def test_opening_makes_no_connection(proxy: FaultProxy) -> None:
    store = S3Store(BUCKET, "x", S3Options(endpoint_url=proxy.url))
    assert pickle.loads(pickle.dumps(store)).options == store.options
    assert proxy.requests == []


def test_an_absent_bucket_is_named() -> None:
    with pytest.raises(StorageError, match=r"s3://no-such-bucket/x.*no such bucket"):
        list(open_store("s3://no-such-bucket/x", FAST).names(""))


def test_an_unknown_profile_is_a_wrong_setting() -> None:
    store = open_store("s3://clips/x", S3Options(profile="nobody"))
    with pytest.raises(ConfigError, match="nobody"):
        store.exists("a")


def test_a_malformed_endpoint_is_a_wrong_setting() -> None:
    store = open_store("s3://clips/x", S3Options(endpoint_url="localhost"))
    with pytest.raises(ConfigError, match="localhost"):
        store.exists("a")


def test_without_credentials_the_message_says_how_to_give_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StorageError, match=r"no usable credentials .*AWS_ACCESS_KEY_ID"):
        open_store("s3://clips/x", FAST).exists("a")


def test_an_endpoint_where_nobody_answers_is_given_up_soon() -> None:
    (port,) = free_ports(1)
    options = S3Options(endpoint_url=f"http://127.0.0.1:{port}", max_attempts=2)
    started = time.monotonic()
    message = rf"s3://clips/x/a: EndpointConnectionError; is the endpoint {options.endpoint_url} "
    with pytest.raises(TransientStorageError, match=message):
        open_store("s3://clips/x", options).read("a")
    assert time.monotonic() - started < 10


def test_a_public_bucket_is_read_without_credentials(
    prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    S3Store(OPEN_BUCKET, prefix, FAST).put("a", b"public")
    S3Store(BUCKET, prefix, FAST).put("a", b"private")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    anonymous = S3Options(anonymous=True, max_attempts=2)
    store = S3Store(OPEN_BUCKET, prefix, anonymous)
    assert (store.read("a"), list(store.names(""))) == (b"public", ["a"])
    with pytest.raises(StorageError, match=r"denied \(AccessDenied, 403\); check the credentials"):
        S3Store(BUCKET, prefix, anonymous).read("a")


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0},
        {"read_timeout_seconds": 0},
        {"part_bytes": 1 << 20},
        {"multipart_threshold_bytes": 0},
        {"anonymous": True, "profile": "mine"},
        {"stale_upload_hours": -1},
    ],
)
def test_options_that_cannot_work_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="got"):
        S3Options(**wrong)  # type: ignore[arg-type]


def test_a_program_that_logs_everything_does_not_tell_session_tokens(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token-of-a-session")
    caplog.set_level(logging.NOTSET, logger="botocore")  # as where nobody set it
    proxy.script(Fault(kind="answer", status=403, code="InvalidToken", times=9))
    store = S3Store(BUCKET, "x", S3Options(endpoint_url=proxy.url))
    with caplog.at_level(logging.DEBUG):
        for use in (store.read, store.size, lambda name: store.put(name, b"")):
            with pytest.raises(MelstreamError):
                use("a")
    told = [record.getMessage() for record in caplog.records]
    assert told
    assert not [text for text in told if "a-token-of-a-session" in text or "Signature=" in text]


def test_a_program_that_logs_warnings_hears_no_more_of_botocore_than_these(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.NOTSET, logger="botocore")
    assert logging.getLogger().level == logging.WARNING
    assert list(open_store(url).names("")) == []
    assert not [record for record in caplog.records if record.name.startswith("botocore")]

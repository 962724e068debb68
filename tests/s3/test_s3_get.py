"""GETs beside boto3: learnt from its first one, signed anew each time, and left to it in doubt."""

import datetime
import json
import logging
import sys
import traceback
from pathlib import Path

import pytest

from shardwriter.errors import MelstreamError, ReplacedError, StorageError
from shardwriter.s3 import S3Store
from shardwriter.s3_options import S3Options
from tests.s3.builders import FAST, through
from tests.s3.fault_proxy import Fault, FaultProxy, Request
from tests.s3.weed import ACCESS_KEY, BUCKET, OPEN_BUCKET, SECRET_KEY

DATA = bytes(range(256)) * 40
NAME = "train/a ümläut+&~.tar"
TOKEN = "a-token-that-must-not-be-seen"


@pytest.fixture
def far(proxy: FaultProxy, prefix: str) -> S3Store:
    """A store behind the proxy that holds DATA, and has not asked for it."""
    store = through(proxy, prefix)
    store.put(NAME, DATA)
    proxy.script()
    return store


def read(store: S3Store, *, version: str | None = None) -> bytes:
    part = store.read_part(NAME, start=3, stop=900, version=version, max_seconds=20)
    assert part.interruption is None
    return part.data


def asked_boto3(request: Request) -> bool:
    return request.has_header("amz-sdk-request")


def test_only_the_first_request_is_boto3s(far: S3Store, proxy: FaultProxy) -> None:
    by_boto3: list[bool] = []
    proxy.on_request = lambda request: by_boto3.append(asked_boto3(request))
    assert [read(far) for _ in range(4)] == [DATA[3:900]] * 4
    assert by_boto3 == [True, False, False, False]
    assert len(set(proxy.requests)) == 1


def test_public_buckets_are_read_unsigned(proxy: FaultProxy, prefix: str) -> None:
    through(proxy, prefix, bucket=OPEN_BUCKET).put(NAME, DATA)
    store = through(proxy, prefix, bucket=OPEN_BUCKET, anonymous=True)
    signed: list[bool] = []
    proxy.on_request = lambda request: signed.append(request.has_header("authorization"))
    assert [read(store) for _ in range(3)] == [DATA[3:900]] * 3
    assert signed == [False] * 3
    assert store._getter._direct is not None


def test_requests_through_a_proxy_are_all_boto3s(
    proxy: FaultProxy, prefix: str, s3_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    store = S3Store(BUCKET, prefix, FAST)
    store.put(NAME, DATA)
    proxy.script()
    assert [read(store) for _ in range(3)] == [DATA[3:900]] * 3
    assert len(proxy.requests) == 3
    assert all(f"http://127.0.0.1:{s3_port}/" in request for request in proxy.requests)


def test_a_replaced_object_is_found_by_its_version(far: S3Store) -> None:
    version = far.read_part(NAME, start=0, stop=9, version=None, max_seconds=20).version
    assert read(far, version=version) == DATA[3:900]
    far.put(NAME, DATA[::-1], replace=True)
    with pytest.raises(ReplacedError, match="was replaced while it was read"):
        read(far, version=version)


def test_ranges_behind_the_end_bring_nothing(far: S3Store) -> None:
    for _ in ("boto3", "direct"):
        behind = far.read_part(NAME, start=len(DATA), stop=99_999, version=None, max_seconds=20)
        assert (behind.data, behind.stop) == (b"", len(DATA))
        last = far.read_part(NAME, start=len(DATA) - 2, stop=99_999, version=None, max_seconds=20)
        assert last.data == DATA[-2:]


@pytest.mark.parametrize("code", ["PermanentRedirect", "AuthorizationHeaderMalformed"])
def test_a_store_that_points_elsewhere_is_asked_by_boto3_again(
    far: S3Store, proxy: FaultProxy, code: str
) -> None:
    read(far)
    by_boto3: list[bool] = []
    proxy.on_request = lambda request: by_boto3.append(asked_boto3(request))
    status = 301 if code == "PermanentRedirect" else 400
    proxy.script(Fault(kind="answer", method="GET", status=status, code=code))
    assert [read(far) for _ in range(3)] == [DATA[3:900]] * 3
    assert by_boto3 == [False, True, False, False]


def test_a_key_that_was_taken_away_is_replaced_by_the_new_one(
    proxy: FaultProxy, far: S3Store, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "credentials"
    form = "[default]\naws_access_key_id={}\naws_secret_access_key={}\n"
    file.write_text(form.format(ACCESS_KEY, SECRET_KEY))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    store = S3Store(BUCKET, prefix, S3Options(endpoint_url=proxy.url))
    read(store)
    file.write_text(form.format("another-key", "another-secret"))
    proxy.script(Fault(kind="answer", method="GET", status=403, code="InvalidAccessKeyId"))
    keys: list[str] = []
    proxy.on_request = lambda request: keys.append(
        request.head.decode().partition("Credential=")[2].partition("/")[0]
    )
    # SeaweedFS doesn't know the new one. What counts is that it is sent.
    with pytest.raises(StorageError, match="denied"):
        read(store)
    assert keys[0] == ACCESS_KEY
    assert set(keys[1:]) == {"another-key"}


def test_credentials_of_a_program_are_renewed_between_requests(
    proxy: FaultProxy, far: S3Store, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So are those of roles: they have an end, and boto3 asks for others before it comes."""
    calls, settings = tmp_path / "calls", tmp_path / "config"
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=1)
    answer = {
        "Version": 1,
        "AccessKeyId": ACCESS_KEY,
        "SecretAccessKey": SECRET_KEY,
        "Expiration": soon.isoformat(),
    }
    (tmp_path / "answer").write_text(json.dumps(answer))
    program = tmp_path / "program.sh"
    program.write_text(f"echo called >> {calls}; cat {tmp_path / 'answer'}\n")
    settings.write_text(f"[default]\ncredential_process = /bin/sh {program}\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(settings))
    store = S3Store(BUCKET, prefix, S3Options(endpoint_url=proxy.url))
    read(store)
    num_calls = len(calls.read_text().split())
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    (tmp_path / "answer").write_text(json.dumps(answer | {"Expiration": later.isoformat()}))
    assert [read(store) for _ in range(3)] == [DATA[3:900]] * 3
    assert len(calls.read_text().split()) == num_calls + 1


def test_no_secret_signature_or_token_is_told(
    proxy: FaultProxy,
    far: S3Store,
    prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = S3Store(BUCKET, prefix, S3Options(endpoint_url=proxy.url))
    read(store)
    monkeypatch.setattr(store._getter._direct.learnt_from.credentials, "token", TOKEN)  # type: ignore[union-attr]
    signatures: list[str] = []

    def note(request: Request) -> None:
        assert request.has_header("x-amz-security-token")
        signatures.append(request.head.decode().partition("Signature=")[2].split()[0])

    told: list[str] = []
    faults = [
        Fault(kind="answer", status=403, code="AccessDenied"),
        Fault(kind="answer", status=503),
        Fault(kind="answer", status=400, code="Odd"),
        Fault(kind="refuse"),
        Fault(kind="lose"),
    ]
    proxy.on_request = note
    with caplog.at_level(logging.DEBUG):
        for fault in faults:
            proxy.script(fault)
            with pytest.raises(MelstreamError) as caught:
                read(store)
            told.append("".join(traceback.format_exception(caught.value)))
    told += [record.getMessage() for record in caplog.records]
    told.append(repr(store._getter._direct) + repr(sys.exc_info()))
    assert len(signatures) == len(faults)
    for secret in (SECRET_KEY, TOKEN, *signatures):
        assert not [text for text in told if secret in text]

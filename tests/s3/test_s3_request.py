"""Requests copied from boto3's are the ones that boto3 would have sent."""

import datetime
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.auth
import pytest
from botocore import UNSIGNED
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.credentials import Credentials, RefreshableCredentials

from shardwriter.s3_request import OVERHEARD, RequestForm

ODD_KEY = "a/tr ain~/ümläut+&=?#%2F'()*.tar"
TOKEN = "a-token-that-must-not-be-seen"
CREDENTIALS = Credentials("an-access-key", "a-secret", TOKEN)
BYTE_RANGE = {"Range": "bytes=5-9", "If-Match": '"abc"'}
SESSION = boto3.Session()
"""Reads what clients are made of once."""
AS_OURS = Config(response_checksum_validation="when_required")
NO_CONFIG = Config()
virtual = Config(s3={"addressing_style": "virtual"})
path = Config(s3={"addressing_style": "path"})
dualstack = Config(s3={"use_dualstack_endpoint": True})


class _Body:
    """An empty body, as urllib3 would have it."""

    def stream(self) -> Iterator[bytes]:
        yield b""


def ask_boto3(
    key: str, *, bucket: str = "clips", config: Config = NO_CONFIG, **settings: Any
) -> dict[str, str]:
    """Let boto3 make a request that nobody gets, and return its headers."""
    client = SESSION.client(
        "s3",
        aws_access_key_id=CREDENTIALS.access_key,
        aws_secret_access_key=CREDENTIALS.secret_key,
        aws_session_token=TOKEN,
        config=AS_OURS.merge(config),
        **settings,
    )
    sent: list[AWSPreparedRequest] = []

    def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        sent.append(request)
        return AWSResponse(request.url, 206, {}, _Body())

    OVERHEARD.listen_to(client)
    client.meta.events.register("before-send.s3.GetObject", answer)
    client.get_object(Bucket=bucket, Key=key, Range="bytes=5-9", IfMatch='"abc"')
    return {
        str(name).lower(): value.decode() if isinstance(value, bytes) else str(value)
        for name, value in sent[-1].headers.items()
    }


def heard(key: str) -> RequestForm:
    form = OVERHEARD.form(key)
    assert form is not None
    return form


@pytest.fixture(autouse=True)
def no_endpoint(aws_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signatures are of one moment."""
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: moment)
    monkeypatch.setattr("shardwriter.s3_signature._now", lambda: moment)


@pytest.mark.parametrize(
    ("settings", "address", "region"),
    [
        ({"endpoint_url": "http://127.0.0.1:99"}, "http://127.0.0.1:99/clips/", "us-east-1"),
        ({"endpoint_url": "https://one.example/s3"}, "https://one.example/s3/clips/", "us-east-1"),
        (
            {"endpoint_url": "https://x.example", "config": virtual},
            "https://clips.x.example/",
            "us-east-1",
        ),
        ({"region_name": "eu-west-3"}, "https://clips.s3.eu-west-3.amazonaws.com/", "eu-west-3"),
        (
            {"region_name": "eu-west-3", "config": path},
            "https://s3.eu-west-3.amazonaws.com/clips/",
            "eu-west-3",
        ),
        (
            {"region_name": "us-east-2", "config": dualstack},
            "https://clips.s3.dualstack.us-east-2.amazonaws.com/",
            "us-east-2",
        ),
    ],
    ids=["custom", "folder", "virtual", "aws", "path", "dualstack"],
)
@pytest.mark.parametrize("key", ["train/a-000001.tar", ODD_KEY])
@pytest.mark.usefixtures("now")
def test_a_copied_request_has_the_address_and_the_signature_of_boto3s(
    settings: dict[str, Any], address: str, region: str, key: str
) -> None:
    theirs = ask_boto3(key, **settings)
    form = heard(key)
    assert (form.origin + form.root, form.region) == (address, region)
    headers = form.headers(key, BYTE_RANGE, CREDENTIALS)
    ours = {name.lower(): value for name, value in headers.items()}
    assert ours["authorization"] == theirs["authorization"]
    assert ours["x-amz-security-token"] == TOKEN
    names = ["range", "if-match", "x-amz-date", "x-amz-content-sha256", "user-agent"]
    assert [ours[name] for name in names] == [theirs[name] for name in names]


def test_an_anonymous_request_is_copied_unsigned() -> None:
    ask_boto3("a.tar", config=Config(signature_version=UNSIGNED))
    form = heard("a.tar")
    assert form.region is None
    headers = form.headers("a.tar", BYTE_RANGE, CREDENTIALS)
    assert sorted(headers) == ["If-Match", "Range", "User-Agent"]


def test_what_is_signed_in_another_way_is_left_to_boto3() -> None:
    ask_boto3("a.tar", config=Config(signature_version="s3"))
    assert OVERHEARD.form("a.tar") is None


def test_another_key_than_the_one_sent_teaches_nothing() -> None:
    ask_boto3("a.tar")
    assert OVERHEARD.form("b.tar") is None


def test_credentials_that_are_about_to_expire_are_renewed_before_they_sign() -> None:
    def until(minutes: int) -> str:
        now = datetime.datetime.now(datetime.UTC)
        return (now + datetime.timedelta(minutes=minutes)).isoformat()

    made: list[int] = []

    def renew() -> dict[str, str]:
        made.append(len(made))
        return {
            "access_key": f"key-{len(made)}",
            "secret_key": "a-secret",
            "token": f"token-{len(made)}",
            "expiry_time": until(60 if len(made) == 2 else 1),
        }

    credentials = RefreshableCredentials.create_from_metadata(renew(), renew, "test")
    form = RequestForm(origin="http://x", root="/b/", user_agent="u", region="us-east-1")
    tokens = [form.headers("a", BYTE_RANGE, credentials)["X-Amz-Security-Token"] for _ in range(3)]
    assert tokens == ["token-2"] * 3
    assert made == [0, 1]

"""Signatures are those of botocore's own signer, whatever is signed."""

import datetime

import botocore.auth
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from shardwriter.s3_request import RequestForm

names = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=40)
words = st.text("abcXYZ0189+/=", min_size=1, max_size=60)


class Owner:
    """Credentials that don't change."""

    def __init__(self, frozen: ReadOnlyCredentials) -> None:
        self.get_frozen_credentials = lambda: frozen


@given(
    key=names,
    host=st.sampled_from(["s3.eu-west-3.amazonaws.com", "127.0.0.1", "[::1]", "Store.example"]),
    scheme=st.sampled_from(["http", "https"]),
    port=st.sampled_from(["", ":80", ":443", ":8333"]),
    region=st.sampled_from(["us-east-1", "eu-west-3", "garage"]),
    start=st.integers(0, 10**12),
    version=st.none() | st.sampled_from(['"abc"', '"a  b-2"', ' "c" ']),
    credentials=st.builds(ReadOnlyCredentials, words, words, st.none() | words, st.none()),
    moment=st.datetimes(datetime.datetime(2020, 1, 1), datetime.datetime(2100, 1, 1)),
)
def test_a_signature_is_the_one_of_botocore(
    key: str,
    host: str,
    scheme: str,
    port: str,
    region: str,
    start: int,
    version: str | None,
    credentials: ReadOnlyCredentials,
    moment: datetime.datetime,
) -> None:
    form = RequestForm(
        origin=f"{scheme}://{host}{port}", root="/clips/", user_agent="own", region=region
    )
    headers = {"Range": f"bytes={start}-{start + 9}"}
    headers |= {} if version is None else {"If-Match": version}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.auth, "get_current_datetime", lambda: moment)
        patch.setattr("shardwriter.s3_signature._now", lambda: moment)
        ours = form.headers(key, headers, Owner(credentials))  # type: ignore[arg-type]
        request = AWSRequest("GET", form.origin + form.target(key), headers=headers)
        S3SigV4Auth(credentials, "s3", region).add_auth(request)
    assert ours.pop("Host") == botocore.auth._host_from_url(form.origin)
    assert ours == {"User-Agent": "own", **dict(request.headers.items())}


def test_secrets_are_no_part_of_what_is_sent() -> None:
    form = RequestForm(origin="http://x", root="/b/", user_agent="u", region="us-east-1")
    frozen = ReadOnlyCredentials("an-access-key", "a-very-secret-key", "a-token", None)
    headers = form.headers("a", {"Range": "bytes=0-1"}, Owner(frozen))  # type: ignore[arg-type]
    assert "a-very-secret-key" not in str(headers)
    assert headers["X-Amz-Security-Token"] == "a-token"

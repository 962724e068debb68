"""GET requests for the objects of one bucket, each made once, at a fraction of boto3's cost.

boto3 takes 2 ms of the processor for a GET, all of it under Python's lock: as much as it takes to
decode the clip that comes. So it makes the first one only, and finds endpoint, region, style of
addressing and whether to sign. Those that follow are the same but for key, range and signature.
When the store points elsewhere or refuses the signature, boto3 makes that request again and is
learnt from anew. Where requests can't be copied, or go through a proxy, all of them are boto3's.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from botocore.httpsession import where
from botocore.model import Shape
from botocore.parsers import create_parser
from botocore.utils import get_environ_proxies

from shardwriter.kept_connections import KeptConnections
from shardwriter.s3_bucket import Connected, S3Bucket
from shardwriter.s3_errors import has_expired, is_for_boto3
from shardwriter.s3_request import OVERHEARD, RequestForm

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import GetObjectRequestTypeDef

LOST = (BotoCoreError, HTTPException, OSError)
"""What a connection that fails raises, before the answer or amid it."""
_BOTO3_PIECE_BYTES = 64 << 10
"""boto3 waits for all that it is asked for, and loses it with the connection."""
_MAX_ERROR_BYTES = 64 << 10
_NO_SHAPE = Shape("Error", {"type": "structure"})
"""Errors are read without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a store answers to a GET, its body still to be read."""

    version: str | None
    """The object's ETag."""
    content_range: str
    content_length: int | None
    read: Callable[[int], bytes]
    """Returns at most so many of the body's next bytes; none at its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Direct:
    """All that a request takes but for its key and range."""

    form: RequestForm
    connections: KeptConnections
    learnt_from: Connected
    """A forked child has another one, and so makes connections of its own."""


class S3Getter:
    """Makes single GET requests. Any thread may use it, and a forked child."""

    def __init__(self, bucket: S3Bucket) -> None:
        """Remember the bucket; nothing is learnt yet."""
        self.bucket = bucket
        self._direct: _Direct | None = None

    @contextlib.contextmanager
    def get(self, key: str, *, byte_range: str, version: str | None) -> Iterator[Answer]:
        """Ask for a range of an object once; its body is to be read inside the `with` block.

        Args:
            key: The object's.
            byte_range: As the header Range has it behind `bytes=`.
            version: Take only an object with this ETag; None takes any.

        Raises:
            ClientError: the store answered something else.
            BotoCoreError: boto3 could not ask.
            OSError: the connection failed.
            HTTPException: what came is no HTTP.
        """
        headers = {"Range": f"bytes={byte_range}"}
        if version is not None:
            headers["If-Match"] = version
        direct = self._direct
        connected = self.bucket.connected_with(1)
        if direct is not None and direct.learnt_from is connected:
            signed = direct.form.headers(key, headers, connected.credentials)
            with direct.connections.get(direct.form.target(key), signed) as answer:
                problem = None if answer.status in (200, 206) else _problem(answer)
                if problem is None:
                    yield _as_answer(answer)
                    return
            if not is_for_boto3(problem):
                raise problem
            self._direct = None
            if has_expired(problem):
                connected = self.bucket.renewed(connected, 1)
        with self._answered_to_boto3(connected, key, headers) as asked:
            yield asked

    @contextlib.contextmanager
    def _answered_to_boto3(
        self, connected: Connected, key: str, headers: dict[str, str]
    ) -> Iterator[Answer]:
        bucket = self.bucket
        request: GetObjectRequestTypeDef = {
            "Bucket": bucket.name, "Key": key, "Range": headers["Range"],
        }  # fmt: skip
        if "If-Match" in headers:
            request["IfMatch"] = headers["If-Match"]
        try:
            response = connected.client.get_object(**request)
        except ClientError as err:
            # Credentials of roles and single sign-on renew themselves inside boto3. Those in
            # `~/.aws/credentials` don't, though another program may have renewed the file.
            if not has_expired(err):
                raise
            connected = bucket.renewed(connected, 1)
            response = connected.client.get_object(**request)
        with contextlib.closing(response["Body"]) as body:
            if self._direct is None or self._direct.learnt_from is not connected:
                self._direct = self._learnt(connected, key)
            yield Answer(
                version=response.get("ETag"),
                content_range=response.get("ContentRange", ""),
                content_length=response.get("ContentLength"),
                read=lambda num_bytes: body.read(min(num_bytes, _BOTO3_PIECE_BYTES)),
            )

    def _learnt(self, connected: Connected, key: str) -> _Direct | None:
        """Return what boto3's last request, which was for this key, teaches."""
        bucket = self.bucket
        form = OVERHEARD.form(key)
        if form is None or get_environ_proxies(form.origin).get(form.scheme):
            return None
        options = bucket.options
        return _Direct(
            form=form,
            connections=KeptConnections(
                form.origin,
                ca_file=connected.ca_file or where(),
                connect_timeout_seconds=options.connect_timeout_seconds,
                read_timeout_seconds=options.read_timeout_seconds,
            ),
            learnt_from=connected,
        )


def _as_answer(answer: HTTPResponse) -> Answer:
    return Answer(
        version=answer.getheader("ETag"),
        content_range=answer.getheader("Content-Range", ""),
        content_length=answer.length,
        read=answer.read1,
    )


def _problem(answer: HTTPResponse) -> ClientError:
    """Return an answer that brings no object as the error that boto3 makes of it."""
    body = answer.read(_MAX_ERROR_BYTES)
    answer.read(1)
    parsed = create_parser("rest-xml").parse(
        {"status_code": answer.status, "headers": answer.headers, "body": body}, _NO_SHAPE
    )
    return ClientError(parsed, "GetObject")

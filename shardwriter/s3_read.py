"""Bytes out of S3: ranged reads that go on at the byte where a connection was lost."""

import hashlib
import time
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from shardwriter.errors import ReplacedError, TransientStorageError
from shardwriter.part import Part, Shortfall, drain, read_resuming, stop_of_answer
from shardwriter.s3_bucket import S3Bucket
from shardwriter.s3_errors import (
    PRECONDITION_FAILED,
    as_ours,
    error_code,
    error_status,
    has_expired,
)

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef, GetObjectRequestTypeDef

_HASHED_BYTES = 8 << 20


def read_object(bucket: S3Bucket, key: str, *, start: int = 0, stop: int | None = None) -> bytes:
    """Return the bytes of an object from `start` up to `stop`, or to its end if that comes first.

    Raises:
        TransientStorageError: the connection was lost too often, or the object was replaced.
        StorageError: missing, denied, or a store that doesn't answer what it was asked.
    """
    if start < 0 or (stop is not None and stop < start):
        raise ValueError(f"not a range of bytes: {start} to {stop}")
    if stop == start:
        return b""
    where = bucket.url_of(key)

    def ask(position: int, version: str | None) -> Part:
        return _ask(bucket, key, start=position, stop=stop, version=version)

    def on_shortfall(shortfall: Shortfall) -> None:
        if shortfall.num_failures >= bucket.options.max_attempts:
            raise TransientStorageError(
                f"{where}: expected {shortfall.num_bytes_expected} bytes from byte {start}, got "
                f"{shortfall.num_bytes} in {shortfall.num_failures} attempts; is the connection "
                "stable? Run again to go on"
            ) from shortfall.interruption
        bucket.pause(shortfall.num_failures)

    return read_resuming(ask, where=where, start=start, on_shortfall=on_shortfall)


def read_object_part(
    bucket: S3Bucket, key: str, *, start: int, stop: int, version: str | None, max_seconds: float
) -> Part:
    """Make one request for a range, and return what came of it; who asks decides what to do then.

    Raises:
        ThrottledError: the store asks for fewer requests.
        TransientStorageError: the request failed in a way that may pass.
        ReplacedError: the object has not the version asked for.
        StorageError: missing, denied, or a store that doesn't answer what it was asked.
    """
    return _ask(
        bucket,
        key,
        start=start,
        stop=stop,
        version=version,
        max_attempts=1,
        deadline=time.monotonic() + max_seconds,
    )


def object_sha256(bucket: S3Bucket, key: str) -> str:
    """Return the SHA-256 of an object's content, read in pieces, in hexadecimal."""
    digest = hashlib.sha256()
    position = 0
    while piece := read_object(bucket, key, start=position, stop=position + _HASHED_BYTES):
        digest.update(piece)
        position += len(piece)
        if len(piece) < _HASHED_BYTES:
            break
    return digest.hexdigest()


def _ask(
    bucket: S3Bucket,
    key: str,
    *,
    start: int,
    stop: int | None,
    version: str | None,
    max_attempts: int | None = None,
    deadline: float | None = None,
) -> Part:
    where = bucket.url_of(key)
    request: GetObjectRequestTypeDef = {
        "Bucket": bucket.name,
        "Key": key,
        "Range": f"bytes={start}-{'' if stop is None else stop - 1}",
    }
    if version is not None:
        request["IfMatch"] = version
    try:
        response = _get_object(bucket, request, max_attempts or bucket.options.max_attempts)
    except ClientError as err:
        if error_code(err) == "InvalidRange":
            return Part(data=b"", version=version, stop=start)  # begins at the object's end
        if error_status(err) == PRECONDITION_FAILED:
            raise ReplacedError(f"{where} was replaced while it was read; read it again") from err
        raise as_ours(err, where=where) from err
    except BotoCoreError as err:
        raise as_ours(err, where=where) from err
    body = response["Body"]
    try:
        answer_stop = stop_of_answer(
            response.get("ContentRange", ""),
            start=start,
            stop=stop,
            content_length=response.get("ContentLength"),
            where=where,
        )
        data, interruption = drain(
            body.read, answer_stop - start, deadline=deadline, lost=(BotoCoreError,)
        )
    finally:
        body.close()
    return Part(
        data=data, version=response.get("ETag"), stop=answer_stop, interruption=interruption
    )


def _get_object(
    bucket: S3Bucket, request: "GetObjectRequestTypeDef", max_attempts: int
) -> "GetObjectOutputTypeDef":
    """Ask once more with fresh credentials if the ones in use have expired.

    Those of roles and single sign-on renew themselves inside boto3. Those in `~/.aws/credentials`
    don't, though another program may have renewed the file meanwhile.
    """
    client = bucket.client_with(max_attempts)
    try:
        return client.get_object(**request)
    except ClientError as err:
        if not has_expired(err):
            raise
        return bucket.renewed(client, max_attempts).get_object(**request)

"""Bytes out of S3: ranged reads that go on at the byte where a connection was lost."""

import hashlib
import re
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from shardwriter.errors import StorageError, TransientStorageError
from shardwriter.s3_bucket import S3Bucket
from shardwriter.s3_errors import PRECONDITION_FAILED, as_ours, error_code, error_status

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef, GetObjectRequestTypeDef

_PIECE_BYTES = 64 << 10
"""Asked of the socket at a time: as much may be fetched twice when a connection is lost."""
_PROGRESS_BYTES = 256 << 10
"""A connection that brought so much was worth its while, and is not counted as a failure."""
_HASHED_BYTES = 8 << 20
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


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
    return _Download(bucket, key, start=start, stop=stop).run()


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


class _Download:
    """A read in progress. Asks for the same version of the object (its ETag) at each resumption."""

    def __init__(self, bucket: S3Bucket, key: str, *, start: int, stop: int | None) -> None:
        self._bucket = bucket
        self._key = key
        self._where = bucket.url_of(key)
        self._start = start
        self._stop = stop
        self._data = bytearray()
        self._expected: int | None = None
        """Bytes to come in all; known with the first answer."""
        self._etag: str | None = None

    def run(self) -> bytes:
        failures = 0
        while True:
            held = len(self._data)
            interruption = self._fetch()
            if len(self._data) == self._expected:
                return bytes(self._data)
            failures = 1 if len(self._data) - held >= _PROGRESS_BYTES else failures + 1
            if failures >= self._bucket.options.max_attempts:
                raise TransientStorageError(
                    f"{self._where}: expected {self._expected} bytes from byte {self._start}, got "
                    f"{len(self._data)} in {failures} attempts; is the connection stable? "
                    "Run again to go on"
                ) from interruption
            self._bucket.pause(failures)

    def _fetch(self) -> BotoCoreError | None:
        """Ask for what is missing; return what cut the answer short, if anything did."""
        position = self._start + len(self._data)
        # Whole objects are read as a range, too: Content-Range then says how long the object is,
        # and an answer that something on the way cut, with its Content-Length, is found short.
        last = "" if self._stop is None else self._stop - 1
        request: GetObjectRequestTypeDef = {
            "Bucket": self._bucket.name,
            "Key": self._key,
            "Range": f"bytes={position}-{last}",
        }
        if self._etag is not None:
            request["IfMatch"] = self._etag
        try:
            response = self._bucket.client.get_object(**request)
        except ClientError as err:
            if error_code(err) == "InvalidRange" and not self._data:
                self._expected = 0  # the range begins behind the object's end
                return None
            if error_status(err) == PRECONDITION_FAILED:
                raise TransientStorageError(
                    f"{self._where} was replaced while it was read; read it again"
                ) from err
            raise as_ours(err, where=self._where) from err
        except BotoCoreError as err:
            raise as_ours(err, where=self._where) from err
        self._learn(response, position)
        return self._drain(response["Body"])

    def _learn(self, response: "GetObjectOutputTypeDef", position: int) -> None:
        """Check that this is what was asked for, and how much there is of it."""
        found = _CONTENT_RANGE.fullmatch(response.get("ContentRange", ""))
        if found is not None and int(found[1]) == position:
            total = int(found[3])
        elif found is None and not position and self._stop is None:
            total = response["ContentLength"]  # all was asked for, and is all that comes
        else:
            raise StorageError(
                f"{self._where}: asked for the bytes from {position}, the store answered "
                f"{response.get('ContentRange', 'the whole object')!r}; it, or a proxy before "
                "it, can't serve ranges"
            )
        stop = total if self._stop is None else min(self._stop, total)
        self._expected = max(stop - self._start, 0)
        self._etag = response.get("ETag")

    def _drain(self, body: "StreamingBody") -> BotoCoreError | None:
        missing = (self._expected or 0) - len(self._data)
        try:
            while missing > 0 and (piece := body.read(min(_PIECE_BYTES, missing))):
                self._data += piece
                missing -= len(piece)
            if not missing:
                body.read()  # nothing is left; this hands the connection back for the next read
        except BotoCoreError as err:
            return err
        finally:
            body.close()
        return None

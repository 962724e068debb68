"""Bytes out of S3: ranged reads that go on at the byte where a connection was lost."""

import hashlib
import time

from botocore.exceptions import ClientError

from shardwriter.errors import ReplacedError, TransientStorageError
from shardwriter.part import Part, Shortfall, drain, read_resuming, stop_of_answer
from shardwriter.s3_errors import PRECONDITION_FAILED, as_ours, error_code, error_status
from shardwriter.s3_get import LOST, S3Getter

_HASHED_BYTES = 8 << 20


def read_object(getter: S3Getter, key: str, *, start: int = 0, stop: int | None = None) -> bytes:
    """Return the bytes of an object from `start` up to `stop`, or to its end if that comes first.

    Raises:
        TransientStorageError: the connection was lost too often, or the object was replaced.
        StorageError: missing, denied, or a store that doesn't answer what it was asked.
    """
    if start < 0 or (stop is not None and stop < start):
        raise ValueError(f"not a range of bytes: {start} to {stop}")
    if stop == start:
        return b""
    bucket = getter.bucket
    where = bucket.url_of(key)

    def ask(position: int, version: str | None) -> Part:
        return _ask_until_answered(getter, key, start=position, stop=stop, version=version)

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
    getter: S3Getter, key: str, *, start: int, stop: int, version: str | None, max_seconds: float
) -> Part:
    """Make one request for a range, and return what came of it; who asks decides what to do then.

    Raises:
        ThrottledError: the store asks for fewer requests.
        TransientStorageError: the request failed in a way that may pass.
        ReplacedError: the object has not the version asked for.
        StorageError: missing, denied, or a store that doesn't answer what it was asked.
    """
    deadline = time.monotonic() + max_seconds
    return _ask(getter, key, start=start, stop=stop, version=version, deadline=deadline)


def object_sha256(getter: S3Getter, key: str) -> str:
    """Return the SHA-256 of an object's content, read in pieces, in hexadecimal."""
    digest = hashlib.sha256()
    position = 0
    while piece := read_object(getter, key, start=position, stop=position + _HASHED_BYTES):
        digest.update(piece)
        position += len(piece)
        if len(piece) < _HASHED_BYTES:
            break
    return digest.hexdigest()


def _ask_until_answered(
    getter: S3Getter, key: str, *, start: int, stop: int | None, version: str | None
) -> Part:
    bucket = getter.bucket
    for attempt in range(1, bucket.options.max_attempts):
        try:
            return _ask(getter, key, start=start, stop=stop, version=version)
        except ReplacedError:
            raise
        except TransientStorageError:
            bucket.pause(attempt)
    return _ask(getter, key, start=start, stop=stop, version=version)


def _ask(
    getter: S3Getter,
    key: str,
    *,
    start: int,
    stop: int | None,
    version: str | None,
    deadline: float | None = None,
) -> Part:
    where = getter.bucket.url_of(key)
    byte_range = f"{start}-{'' if stop is None else stop - 1}"
    try:
        with getter.get(key, byte_range=byte_range, version=version) as answer:
            answer_stop = stop_of_answer(
                answer.content_range,
                start=start,
                stop=stop,
                content_length=answer.content_length,
                where=where,
            )
            data, interruption = drain(
                answer.read, answer_stop - start, deadline=deadline, lost=LOST
            )
            return Part(
                data=data, version=answer.version, stop=answer_stop, interruption=interruption
            )
    except ClientError as err:
        if error_code(err) == "InvalidRange":
            return Part(data=b"", version=version, stop=start)  # begins at the object's end
        if error_status(err) == PRECONDITION_FAILED:
            raise ReplacedError(f"{where} was replaced while it was read; read it again") from err
        raise as_ours(err, where=where) from err
    except LOST as err:
        raise as_ours(err, where=where) from err

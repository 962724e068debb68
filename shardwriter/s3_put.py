"""The requests that bring bytes into S3: a put, an upload in parts, and the end of a left one.

These raise botocore's errors; `shardwriter.s3_publish` decides what they mean.
"""

import base64
import contextlib
import datetime
import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from shardwriter.s3_bucket import S3Bucket
from shardwriter.s3_errors import NOT_FOUND, as_ours, error_status

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import (
        CompletedPartTypeDef,
        CompleteMultipartUploadRequestTypeDef,
        HeadObjectOutputTypeDef,
        PutObjectRequestTypeDef,
    )

logger = logging.getLogger(__name__)

_SHA256_METADATA = "sha256"
"""Metadata entry of each object we put: the hash of its content in hexadecimal."""
_MAX_PARTS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is to be put, and where."""

    key: str
    num_bytes: int
    sha256: str

    @classmethod
    def of_bytes(cls, key: str, data: bytes) -> "Content":
        """Describe bytes in memory."""
        return cls(key=key, num_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())

    @classmethod
    def of_file(cls, key: str, path: Path) -> "Content":
        """Describe a file; it is read once."""
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(key=key, num_bytes=path.stat().st_size, sha256=sha256)


def stated_sha256(head: "HeadObjectOutputTypeDef") -> str | None:
    """Return the hash that an object was put with, None if it was put without one."""
    for name, value in head["Metadata"].items():
        if name.lower() == _SHA256_METADATA:  # some stores give the name back as `Sha256`
            return value
    return None


def put_bytes(bucket: S3Bucket, content: Content, data: bytes, *, only_if_absent: bool) -> None:
    """Put bytes in one request."""
    request: PutObjectRequestTypeDef = {
        "Bucket": bucket.name,
        "Key": content.key,
        "Body": data,
        "ContentMD5": _md5(data),
        "Metadata": {_SHA256_METADATA: content.sha256},
    }
    if only_if_absent:
        request["IfNoneMatch"] = "*"
    bucket.client.put_object(**request)


def put_parts(bucket: S3Bucket, content: Content, path: Path, *, only_if_absent: bool) -> None:
    """Put a file in parts. The object appears with the last request; a failure removes the parts.

    boto3's `upload_file` does not take `IfNoneMatch`.
    """
    upload_id = bucket.client.create_multipart_upload(
        Bucket=bucket.name, Key=content.key, Metadata={_SHA256_METADATA: content.sha256}
    )["UploadId"]
    with contextlib.ExitStack() as undo:
        undo.callback(_abort, bucket, content.key, upload_id)
        request: CompleteMultipartUploadRequestTypeDef = {
            "Bucket": bucket.name,
            "Key": content.key,
            "UploadId": upload_id,
            "MultipartUpload": {"Parts": _send_parts(bucket, content, path, upload_id)},
        }
        if only_if_absent:
            request["IfNoneMatch"] = "*"
        bucket.client.complete_multipart_upload(**request)
        undo.pop_all()


def _send_parts(
    bucket: S3Bucket, content: Content, path: Path, upload_id: str
) -> "list[CompletedPartTypeDef]":
    part_bytes = max(bucket.options.part_bytes, -(-content.num_bytes // _MAX_PARTS))
    parts: list[CompletedPartTypeDef] = []
    with path.open("rb") as file:
        while data := file.read(part_bytes):
            answer = bucket.client.upload_part(
                Bucket=bucket.name,
                Key=content.key,
                UploadId=upload_id,
                PartNumber=len(parts) + 1,
                Body=data,
                ContentMD5=_md5(data),
            )
            parts.append({"PartNumber": len(parts) + 1, "ETag": answer["ETag"]})
    return parts


def abort_stale_uploads(bucket: S3Bucket) -> None:
    """Remove what killed writers left of uploads in parts: it is unseen, but it is paid for."""
    age = datetime.timedelta(hours=bucket.options.stale_upload_hours)
    oldest = datetime.datetime.now(datetime.UTC) - age
    try:
        pages = bucket.client.get_paginator("list_multipart_uploads").paginate(
            Bucket=bucket.name, Prefix=bucket.key_prefix
        )
        uploads = [upload for page in pages for upload in page.get("Uploads", [])]
    except (ClientError, BotoCoreError) as err:
        problem = as_ours(err, where=bucket.url)
        logger.warning("could not look for unfinished uploads: %s", problem)
        return
    for upload in uploads:
        if upload["Initiated"] <= oldest:
            logger.info("removing an unfinished upload url=%s", bucket.url_of(upload["Key"]))
            _abort(bucket, upload["Key"], upload["UploadId"])


def _abort(bucket: S3Bucket, key: str, upload_id: str) -> None:
    try:
        bucket.client.abort_multipart_upload(Bucket=bucket.name, Key=key, UploadId=upload_id)
    except (ClientError, BotoCoreError) as err:
        if isinstance(err, ClientError) and error_status(err) == NOT_FOUND:
            return  # completed or removed already
        problem = as_ours(err, where=bucket.url_of(key))
        logger.warning("an unfinished upload stays, a later writer removes it: %s", problem)


def _md5(data: bytes) -> str:
    """Return what a `Content-MD5` header holds; the store refuses a body that arrives changed."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()

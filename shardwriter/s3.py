"""A store below a prefix of an S3 bucket, at AWS or any store that speaks its protocol."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from shardwriter.errors import StorageError
from shardwriter.object_names import is_hidden
from shardwriter.part import Part
from shardwriter.s3_bucket import S3Bucket
from shardwriter.s3_errors import reporting
from shardwriter.s3_get import S3Getter
from shardwriter.s3_options import S3Options
from shardwriter.s3_publish import Publisher
from shardwriter.s3_put import abort_stale_uploads, stated_sha256
from shardwriter.s3_read import object_sha256, read_object, read_object_part
from shardwriter.scratch import scratch_folder

logger = logging.getLogger(__name__)


class S3Store:
    """A store below `s3://bucket/prefix`. Any thread may call any method."""

    def __init__(self, bucket: str, prefix: str, options: S3Options | None = None) -> None:
        """Remember where it is; no connection is made yet.

        Args:
            bucket: Name of the bucket, which must be there.
            prefix: What the names of all objects begin with, without slashes at its ends.
            options: How to reach it.
        """
        self._bucket = S3Bucket(bucket, prefix, options or S3Options())
        self._getter = S3Getter(self._bucket)
        self._publisher = Publisher(self._bucket, self._getter)
        self._scratch: Path | None = None

    def __reduce__(self) -> tuple[type["S3Store"], tuple[str, str, S3Options]]:
        bucket = self._bucket
        return S3Store, (bucket.name, bucket.prefix, bucket.options)

    @property
    def url(self) -> str:
        """`s3://bucket/prefix`."""
        return self._bucket.url

    @property
    def options(self) -> S3Options:
        """How it is reached."""
        return self._bucket.options

    @property
    def endpoint_url(self) -> str:
        """Where requests go: the option's, or what boto3 found."""
        return self._bucket.client.meta.endpoint_url

    @property
    def scratch_folder(self) -> Path:
        """A folder among the machine's temporary ones."""
        if self._scratch is None:
            raise RuntimeError(f"{self.url} is not locked for writing, so it has no scratch folder")
        return self._scratch

    @contextlib.contextmanager
    def lock_for_writing(self, lane: str = "") -> Iterator[None]:
        """Find out how to publish, and clear what killed writers left.

        Nothing is locked: conditional puts keep writers from replacing each other's objects.
        """
        with scratch_folder() as folder:
            is_conditional = self._publisher.is_conditional
            logger.debug("writing url=%s lane=%s is_conditional=%s", self.url, lane, is_conditional)
            abort_stale_uploads(self._bucket)
            self._scratch = folder
            try:
                yield
            finally:
                self._scratch = None

    def provenance(self) -> dict[str, str]:
        """Say so where the store could not refuse to replace an object."""
        if self._publisher.is_conditional:
            return {}
        return {"publishing": "look-up before each put: the store ignores If-None-Match"}

    def exists(self, name: str) -> bool:
        """Tell whether the object is there."""
        return self._bucket.head(self._bucket.key(name)) is not None

    def size(self, name: str) -> int:
        """Return the object's length in bytes."""
        key = self._bucket.key(name)
        head = self._bucket.head(key)
        if head is None:
            raise StorageError(f"{self._bucket.url_of(key)} is not there")
        return head["ContentLength"]

    def sha256(self, name: str) -> str | None:
        """Return the hash that the object was put with; without one, of what is read back."""
        key = self._bucket.key(name)
        head = self._bucket.head(key)
        if head is None:
            return None
        return stated_sha256(head) or object_sha256(self._getter, key)

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the names of the objects below the folder `prefix`, page by page."""
        root = self._bucket.key_prefix
        folder = self._bucket.key(prefix) + "/" if prefix else root
        with reporting(self.url):
            pages = self._bucket.client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket.name, Prefix=folder
            )
            for page in pages:
                for entry in page.get("Contents", []):
                    name = entry["Key"].removeprefix(root)
                    if not name.endswith("/") and not is_hidden(name):
                        yield name

    def read(self, name: str) -> bytes:
        """Return the whole object."""
        return read_object(self._getter, self._bucket.key(name))

    def read_range(self, name: str, start: int, num_bytes: int) -> bytes:
        """Return a part of the object; after a lost connection it goes on at the byte."""
        return read_object(
            self._getter, self._bucket.key(name), start=start, stop=start + num_bytes
        )

    def read_part(
        self, name: str, *, start: int, stop: int, version: str | None, max_seconds: float
    ) -> Part:
        """Make one request for a part of the object, without trying again."""
        return read_object_part(
            self._getter,
            self._bucket.key(name),
            start=start,
            stop=stop,
            version=version,
            max_seconds=max_seconds,
        )

    def put(self, name: str, data: bytes, *, replace: bool = False) -> None:
        """Put bytes, on condition that nothing is there unless `replace` allows it."""
        key = self._bucket.key(name)
        if replace:
            self._publisher.replace(key, data)
        else:
            self._publisher.publish_bytes(key, data)

    def put_file(self, name: str, path: Path) -> None:
        """Put a file, in parts if it is large, and take it away."""
        self._publisher.publish_file(self._bucket.key(name), path)
        path.unlink(missing_ok=True)

"""Stores: where datasets lie. One small protocol; an object is published whole or not at all."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, runtime_checkable

from shardwriter.errors import ConfigError
from shardwriter.local import LocalStore
from shardwriter.part import Part, Shortfall, read_resuming
from shardwriter.s3_options import S3Options

__all__ = [
    "LocalStore",
    "Part",
    "RemoteStore",
    "S3Options",
    "Shortfall",
    "Store",
    "open_store",
    "read_resuming",
]

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class Store(Protocol):
    """A folder of named objects. Names are relative, with `/` between their parts."""

    @property
    def url(self) -> str:
        """Where the store is, for messages and for opening it again."""

    @property
    def scratch_folder(self) -> Path:
        """A local folder for files on their way into the store; there while it is locked."""

    def lock_for_writing(self, lane: str = "") -> AbstractContextManager[None]:
        """Make ready to write, and clear what a killed writer left.

        A store that can't refuse to replace an object keeps other writers away as well: all of
        them, or with the name of a lane those of the same lane and those that have none.
        """

    def provenance(self) -> dict[str, str]:
        """Return what the manifest should say of how objects were published; mostly nothing."""

    def exists(self, name: str) -> bool:
        """Tell whether an object is published."""

    def size(self, name: str) -> int:
        """Return an object's length in bytes."""

    def sha256(self, name: str) -> str | None:
        """Return the hash of an object's content in hexadecimal, None if it is not there."""

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the names of the published objects below `prefix`, in no order."""

    def read(self, name: str) -> bytes:
        """Return a whole object."""

    def read_range(self, name: str, start: int, num_bytes: int) -> bytes:
        """Return `num_bytes` bytes from `start`; fewer only at the object's end."""

    def put(self, name: str, data: bytes, *, replace: bool = False) -> None:
        """Publish bytes. Without `replace`, an object of other content in the way is an error."""

    def put_file(self, name: str, path: Path) -> None:
        """Publish a file from `scratch_folder`, and take it away; never replaces other content."""


@runtime_checkable
class RemoteStore(Protocol):
    """A store behind a network, for who manages requests, retries and pauses himself."""

    @property
    def url(self) -> str:
        """Where the store is."""

    def read_part(
        self, name: str, *, start: int, stop: int, version: str | None, max_seconds: float
    ) -> Part:
        """Make one request for the bytes from `start` to `stop`, without trying again.

        Args:
            name: Name of the object.
            start: Position of the first byte.
            stop: Position behind the last byte.
            version: Take the bytes only from this version of the object; None takes any.
            max_seconds: A body that takes longer is cut there.

        Raises:
            ThrottledError: the store asks for fewer requests.
            TransientStorageError: the request failed in a way that may pass.
            ReplacedError: the object has another version.
            StorageError: it is not there, denied, or the store can't serve ranges.
        """


def open_store(url: str, options: S3Options | None = None) -> Store:
    """Open the store at a URL: a path, `file://`, `s3://bucket/prefix` or `https://host/folder`.

    No connection is made before the store is used.

    Args:
        url: Where the store is.
        options: How to reach S3; None for what boto3 finds in its environment and files.

    Raises:
        ConfigError: a scheme that no store serves, no bucket in an S3 URL, or a user, a query
            or a fragment in an http(s) URL.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return LocalStore(Path(url))
    if scheme == "file" and rest.startswith("/"):
        return LocalStore(Path(rest))
    if scheme == "s3":
        return _open_s3(url, rest, options or S3Options())
    if scheme in ("http", "https"):
        from shardwriter.http import HttpStore

        return HttpStore(url)
    raise ConfigError(
        f"can't open {url!r}: datasets lie in local folders, at s3://bucket/prefix or at "
        "https://host/folder URLs"
    )


def _open_s3(url: str, rest: str, options: S3Options) -> Store:
    bucket, _, prefix = rest.partition("/")
    parts = prefix.removesuffix("/").split("/")
    if not _BUCKET.fullmatch(bucket):
        raise ConfigError(
            f"can't open {url!r}: {bucket!r} is not the name of a bucket (3 to 63 small letters, "
            "digits, dots and hyphens); expected s3://bucket/prefix"
        )
    if prefix and not all(part not in ("", ".", "..") for part in parts):
        raise ConfigError(f"can't open {url!r}: its prefix has an empty or dotted part")
    # boto3 takes a third of a second to import, and local folders don't need it.
    from shardwriter.s3 import S3Store

    return S3Store(bucket, "/".join(parts), options)

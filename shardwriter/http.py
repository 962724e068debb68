"""A dataset behind an ordinary web server or CDN: read only, by ranges, over kept connections."""

import hashlib
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NoReturn, TypeVar
from urllib.parse import quote

from urllib3.exceptions import HTTPError

from shardwriter.errors import ReadOnlyError, ReplacedError, StorageError, TransientStorageError
from shardwriter.http_get import (
    NOT_FOUND,
    RANGE_NOT_SATISFIABLE,
    HttpGetter,
    HttpOptions,
    checked_url,
)
from shardwriter.object_names import name_parts
from shardwriter.part import Part, Shortfall, drain, read_resuming, stop_of_answer

_MAX_PAUSE_SECONDS = 20.0
_HASHED_BYTES = 8 << 20

Value = TypeVar("Value")


class HttpStore:
    """A folder of objects below an `http://` or `https://` URL. Any thread may call any method.

    Nothing can be listed or written. Redirects are followed, but never from https to http.
    """

    def __init__(self, url: str, options: HttpOptions | None = None) -> None:
        """Remember where it is; no connection is made yet.

        Raises:
            ConfigError: the URL has no host, or has a user, a query or a fragment.
        """
        self._url = checked_url(url)
        self.options = options or HttpOptions()
        self._getter = HttpGetter(self.options)

    def __reduce__(self) -> tuple[type["HttpStore"], tuple[str, HttpOptions]]:
        return HttpStore, (self._url, self.options)

    @property
    def url(self) -> str:
        """The URL, without a slash at its end."""
        return self._url

    @property
    def scratch_folder(self) -> Path:
        """There is none: nothing can be written."""
        return self._refuse("written to")

    def lock_for_writing(self, lane: str = "") -> AbstractContextManager[None]:  # noqa: ARG002  # the protocol has it
        """Refuse: nothing can be written."""
        return self._refuse("written to")

    def provenance(self) -> dict[str, str]:
        """Nothing, as nothing is published here."""
        return {}

    def exists(self, name: str) -> bool:
        """Tell whether the object is there."""
        return self._length(name) is not None

    def size(self, name: str) -> int:
        """Return the object's length in bytes."""
        length = self._length(name)
        if length is None:
            raise StorageError(f"{self._url_of(name)} is not there")
        return length

    def sha256(self, name: str) -> str | None:
        """Return the hash of the object's content, which is read for it."""
        length = self._length(name)
        if length is None:
            return None
        digest = hashlib.sha256()
        for start in range(0, length, _HASHED_BYTES):
            digest.update(self.read_range(name, start, _HASHED_BYTES))
        return digest.hexdigest()

    def names(self, prefix: str) -> Iterator[str]:  # noqa: ARG002 - the protocol's
        """Refuse: there is no listing."""
        return self._refuse("listed")

    def read(self, name: str) -> bytes:
        """Return the whole object."""
        return self._read(name, start=0, stop=None)

    def read_range(self, name: str, start: int, num_bytes: int) -> bytes:
        """Return a part of the object; after a lost connection it goes on at the byte."""
        if start < 0 or num_bytes < 0:
            raise ValueError(f"not a range of bytes: {num_bytes} from {start}")
        return self._read(name, start=start, stop=start + num_bytes) if num_bytes else b""

    def read_part(
        self, name: str, *, start: int, stop: int | None, version: str | None, max_seconds: float
    ) -> Part:
        """Make one request for a part of the object, without trying again.

        The version is the ETag, or the time of the last change where there is none. It is
        compared here and not by `If-Match`, which no weak ETag passes.
        """
        where = self._url_of(name)
        deadline = time.monotonic() + max_seconds
        last = "" if stop is None else stop - 1
        answer = self._getter.get(where, byte_range=f"{start}-{last}")
        try:
            if answer.status == RANGE_NOT_SATISFIABLE:
                return Part(data=b"", version=version, stop=start)  # begins at the object's end
            if answer.status in NOT_FOUND:
                raise StorageError(f"{where} is not there")
            found = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
            if version not in (None, found):
                raise ReplacedError(f"{where} was replaced while it was read; read it again")
            answer_stop = stop_of_answer(
                answer.headers.get("Content-Range", ""),
                start=start,
                stop=stop,
                content_length=_as_count(answer.headers.get("Content-Length", "")),
                where=where,
            )
            data, interruption = drain(
                answer.read1, answer_stop - start, deadline=deadline, lost=(HTTPError, OSError)
            )
        finally:
            answer.close()  # a connection whose answer was read to its end has gone back by then
        return Part(data=data, version=found, stop=answer_stop, interruption=interruption)

    def put(self, *_: object, **__: object) -> None:
        """Refuse: nothing can be written."""
        self._refuse("written to")

    def put_file(self, *_: object) -> None:
        """Refuse: nothing can be written."""
        self._refuse("written to")

    def _refuse(self, what: str) -> NoReturn:
        raise ReadOnlyError(
            f"{self._url} can't be {what}: a web server is only read from; use the folder or the "
            "s3:// URL behind it"
        )

    def _url_of(self, name: str) -> str:
        return f"{self._url}/{quote('/'.join(name_parts(name)))}"

    def _length(self, name: str) -> int | None:
        return self._retrying(lambda: self._ask_length(self._url_of(name)))

    def _ask_length(self, where: str) -> int | None:
        """Ask for one byte: many servers say how long an object is only beside a range."""
        answer = self._getter.get(where, byte_range="0-0")
        try:
            if answer.status in NOT_FOUND:
                return None
            total = answer.headers.get("Content-Range", "").rpartition("/")[2]
            length = _as_count(total or answer.headers.get("Content-Length", ""))
            if length is None:
                raise StorageError(f"{where}: the server doesn't say how long it is")
            return length
        finally:
            answer.close()

    def _read(self, name: str, *, start: int, stop: int | None) -> bytes:
        where = self._url_of(name)

        def ask(position: int, version: str | None) -> Part:
            return self._retrying(
                lambda: self.read_part(
                    name, start=position, stop=stop, version=version, max_seconds=float("inf")
                )
            )

        def on_shortfall(shortfall: Shortfall) -> None:
            if shortfall.num_failures >= self.options.max_attempts:
                raise TransientStorageError(
                    f"{where}: expected {shortfall.num_bytes_expected} bytes from byte {start}, "
                    f"got {shortfall.num_bytes} in {shortfall.num_failures} attempts; is the "
                    "connection stable? Run again to go on"
                ) from shortfall.interruption
            self._pause(shortfall.num_failures)

        return read_resuming(ask, where=where, start=start, on_shortfall=on_shortfall)

    def _retrying(self, ask: Callable[[], Value]) -> Value:
        for attempt in range(1, self.options.max_attempts):
            try:
                return ask()
            except ReplacedError:
                raise
            except TransientStorageError:
                self._pause(attempt)
        return ask()

    def _pause(self, attempt: int) -> None:
        longest = min(self.options.backoff_seconds * 2 ** (attempt - 1), _MAX_PAUSE_SECONDS)
        time.sleep(random.uniform(0.0, longest))


def _as_count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() else None

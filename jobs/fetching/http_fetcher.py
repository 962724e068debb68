"""Clips as files on a web server."""

import contextlib
import time
from collections.abc import Iterator

import urllib3
from urllib3.exceptions import HTTPError, IncompleteRead, ProtocolError

from jobs.availability.classifier import classify
from jobs.availability.outcome import Code, Outcome
from jobs.catalogues.catalogue import ClipRef
from jobs.fetching.fetcher import SourceAudio
from jobs.fetching.http_session import (
    TOOL,
    HttpOptions,
    HttpSession,
    HttpStatusError,
    TooLargeError,
    pieces,
)
from jobs.fetching.member_name import member_name
from jobs.fetching.own_outcome import own_outcome
from jobs.fetching.transfer import Transfer
from jobs.fetching.urls import RefusedUrlError, below, check_url, shown
from shardwriter.errors import ConfigError

MAX_FILE_BYTES = 1 << 29
_MAX_RESUMPTIONS = 3
_KEPT_HEADERS = ("Content-Type", "ETag", "Last-Modified")


class HttpFetcher:
    """Gets `ClipRef.file` from below a URL: one request a clip, resumed where it breaks off."""

    kind = "http"
    tool = TOOL

    def __init__(
        self,
        base_url: str,
        options: HttpOptions | None = None,
        *,
        max_file_bytes: int = MAX_FILE_BYTES,
        max_seconds: float = 600.0,
    ) -> None:
        """Take the settings; no connection is made.

        Args:
            base_url: The folder's URL.
            options: How the server is asked.
            max_file_bytes: A file of more is refused, and never held.
            max_seconds: That a file may take to come.

        Raises:
            ConfigError: a URL that is refused (see `jobs.fetching.urls`).
        """
        self._options = options or HttpOptions()
        try:
            check_url(base_url, allow_private_hosts=self._options.allow_private_hosts)
        except RefusedUrlError as err:
            raise ConfigError(f"source {shown(base_url)}: {err}") from err
        self._base_url = base_url
        self._max_file_bytes = max_file_bytes
        self._max_seconds = max_seconds
        self._session: HttpSession | None = None

    @property
    def connections_per_host(self) -> int:
        """How many requests a host may get at one time."""
        return self._options.connections_per_host

    @contextlib.contextmanager
    def open(self) -> Iterator["HttpFetcher"]:
        """Keep connections while the context lasts."""
        self._session = HttpSession(self._options)
        try:
            yield self
        finally:
            self._session.close()
            self._session = None

    def fetch(self, clip: ClipRef) -> SourceAudio | Outcome:
        """Return a file's bytes, or why there are none."""
        file = member_name(clip, source=shown(self._base_url))
        if isinstance(file, Outcome):
            return file
        try:
            return self._fetch(clip, file)
        except RefusedUrlError as err:
            return own_outcome(Code.REFUSED_URL, text=str(err))
        except TooLargeError as err:
            return own_outcome(
                Code.TOO_LONG, expected=f"at most {self._max_file_bytes} bytes", got=str(err)
            )
        except HttpStatusError as err:
            return classify(err, retry_after_seconds=err.retry_after_seconds)
        except (HTTPError, OSError) as err:
            return classify(err)

    def _fetch(self, clip: ClipRef, file: str) -> SourceAudio | Outcome:
        url = below(self._base_url, file)
        data, num_bytes, headers = self._read(Transfer(url=url))
        if not data:
            return own_outcome(Code.TRUNCATED, text=f"{shown(url)}: the body is empty")
        return SourceAudio(
            data=data,
            file=file,
            cut=clip.cut,
            num_bytes=num_bytes,
            tool=self.tool,
            metadata={
                name.lower().replace("-", "_"): headers[name]
                for name in _KEPT_HEADERS
                if name in headers
            },
        )

    def _read(self, transfer: Transfer) -> tuple[bytes, int, urllib3.HTTPHeaderDict]:
        """Return a body, the bytes that it took, and the headers of its last answer."""
        if self._session is None:
            raise RuntimeError("fetch was called outside `open`")
        data = bytearray()
        num_bytes = 0
        deadline = time.monotonic() + self._max_seconds
        for num_left in reversed(range(_MAX_RESUMPTIONS + 1)):
            try:
                with self._session.get(transfer.url, transfer.request_headers()) as response:
                    transfer.begin(response)
                    del data[transfer.position :]
                    allowed = self._max_file_bytes - len(data)
                    for piece in pieces(response, max_bytes=allowed, deadline=deadline):
                        data += piece
                        num_bytes += len(piece)
                    return bytes(data), num_bytes, response.headers
            except (IncompleteRead, ProtocolError):
                # The rest is asked for only if it is sure to be the rest of the same file.
                if not num_left or not data or transfer.validator is None:
                    raise
                transfer.position = len(data)
        raise RuntimeError("the last try neither returned nor raised")

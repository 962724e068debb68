"""HTTP on urllib3: redirects and addresses checked, bodies bounded, few connections to a host.

urllib3, because boto3 brings it along; it notices bodies that end early, verifies certificates,
and lets the connection class be chosen, so that the address that was really connected to can be
checked. A check of the name alone would trust a DNS server not to change its answer in between.
"""

import contextlib
import math
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from jobs.fetching.retry_after import HostPauses, pause_seconds
from jobs.fetching.urls import RefusedUrlError, check_address, check_url, shown

TOOL = f"urllib3 {version('urllib3')}"

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 10
_PIECE_BYTES = 1 << 16


class HttpStatusError(Exception):
    """A server's answer that is not what was asked for."""

    def __init__(self, status: int, reason: str, *, url: str, retry_after: str = "") -> None:
        pause = f", Retry-After {retry_after[:40]}" if retry_after else ""
        super().__init__(
            f"HTTP Error {status}: {reason or 'no reason given'} ({shown(url)}{pause})"
        )
        self.status = status
        self.retry_after_seconds = pause_seconds(retry_after, now=time.time())
        """The pause that the server asked for, from now on; None if it didn't."""


class TooLargeError(Exception):
    """A body of more bytes than are allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """How servers are asked."""

    connect_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 30.0
    """Without a byte."""
    connections_per_host: int = 2
    """At one time. Zenodo, for one, answers 429 and 403 to more."""
    allow_private_hosts: bool = False
    """Whether hosts may have addresses that are not public."""


class HttpSession:
    """Connections that are kept and shared by threads."""

    def __init__(
        self,
        options: HttpOptions | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.options = options or HttpOptions()
        self._pauses = HostPauses(clock)
        self._sleep = sleep
        self._pools = urllib3.PoolManager(
            retries=False,
            maxsize=self.options.connections_per_host,
            timeout=urllib3.Timeout(
                connect=self.options.connect_timeout_seconds,
                read=self.options.read_timeout_seconds,
            ),
            headers={
                "User-Agent": "melstream",
                # As it lies there: ranges and lengths count encoded bytes.
                "Accept-Encoding": "identity",
            },
        )
        if not self.options.allow_private_hosts:
            self._pools.pool_classes_by_scheme = {"http": _PublicPool, "https": _PublicTlsPool}
        self._lock = threading.Lock()
        self._slots: defaultdict[str, threading.BoundedSemaphore] = defaultdict(
            lambda: threading.BoundedSemaphore(self.options.connections_per_host)
        )

    def close(self) -> None:
        """Close the connections that are kept."""
        self._pools.clear()

    @contextlib.contextmanager
    def get(
        self, url: str, headers: Mapping[str, str] | None = None
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """Give the answer to a GET, with its body still to be read.

        Waits until fewer than `connections_per_host` requests to the host are under way, and until
        a pause that the host asked for (`Retry-After`) is over. If that would take longer than an
        answer may take, the host is not asked, and the answer is what it was.

        Raises:
            RefusedUrlError: it, or what it leads to, is not fetched.
            HttpStatusError: the answer is neither 200 nor 206.
            urllib3.exceptions.HTTPError: the network failed.
        """
        for _ in range(_MAX_REDIRECTS + 1):
            check_url(url, allow_private_hosts=self.options.allow_private_hosts)
            with self._slot(url):
                self._wait_for_pause(url)
                with self._ask(url, headers) as response:
                    if response.status not in _REDIRECTS:
                        if response.status not in (200, 206):
                            raise self._refused(response, url)
                        yield response
                        return
                    url = urljoin(url, response.headers.get("Location", ""))
        raise RefusedUrlError(f"over {_MAX_REDIRECTS} redirects, the last one to {shown(url)}")

    def _wait_for_pause(self, url: str) -> None:
        host = urlsplit(url).netloc
        left, status = self._pauses.left(host)
        if left > self.options.read_timeout_seconds:
            raise HttpStatusError(
                status,
                "not asked again before the pause that the server wants is over",
                url=url,
                retry_after=f"{math.ceil(left)}",
            )
        if left > 0:
            self._sleep(left)

    def _refused(self, response: urllib3.BaseHTTPResponse, url: str) -> HttpStatusError:
        error = HttpStatusError(
            response.status,
            response.reason or "",
            url=url,
            retry_after=response.headers.get("Retry-After", ""),
        )
        if error.retry_after_seconds:
            host = urlsplit(url).netloc
            self._pauses.note(host, error.retry_after_seconds, status=response.status)
        return error

    @contextlib.contextmanager
    def _ask(
        self, url: str, headers: Mapping[str, str] | None
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        response = self._pools.request(
            "GET",
            url,
            headers={**self._pools.headers, **(headers or {})},
            preload_content=False,
            redirect=False,
        )
        try:
            yield response
            if response.length_remaining == 0:
                response.read()  # nothing; it lets the connection be used again
                response.release_conn()
        finally:
            response.close()  # what is left of the body, if anything is, is not worth reading

    def _slot(self, url: str) -> threading.BoundedSemaphore:
        with self._lock:
            return self._slots[urlsplit(url).netloc]


def pieces(
    response: urllib3.BaseHTTPResponse, *, max_bytes: int, deadline: float | None = None
) -> Iterator[bytes]:
    """Yield a body as it comes.

    Args:
        response: As `HttpSession.get` gives it.
        max_bytes: A body of more is refused; by its header, if that tells.
        deadline: Time of `time.monotonic` by which it must have come: a server that sends a byte
            now and then never runs into the read time-out.

    Raises:
        TooLargeError: more bytes.
        TimeoutError: the deadline is over.
        urllib3.exceptions.HTTPError: the network failed, or the body ended early.
    """
    announced = response.length_remaining
    if announced is not None and announced > max_bytes:
        raise TooLargeError(f"{announced} bytes are announced, allowed are {max_bytes}")
    num_bytes = 0
    while piece := response.read1(_PIECE_BYTES, decode_content=False):
        num_bytes += len(piece)
        if num_bytes > max_bytes:
            raise TooLargeError(f"over {max_bytes} bytes came, and are not allowed")
        yield piece
        if deadline is not None and time.monotonic() > deadline:
            raise TimeoutError(f"Read timed out: only {num_bytes} bytes came in the time allowed")


class _PublicConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        _check_name(self.host, self.port)
        return _check_peer(super()._new_conn(), self.host)


class _PublicTlsConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        _check_name(self.host, self.port)
        return _check_peer(super()._new_conn(), self.host)


class _PublicPool(HTTPConnectionPool):
    ConnectionCls = _PublicConnection


class _PublicTlsPool(HTTPSConnectionPool):
    ConnectionCls = _PublicTlsConnection


def _check_name(host: str, port: int | None) -> None:
    """Refuse a name of which any address is not public, before a connection is made."""
    with contextlib.suppress(socket.gaierror):  # the connection meets it as well, and says so
        for *_, address in socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM):
            check_address(str(address[0]), host=host)


def _check_peer(connected: socket.socket, host: str) -> socket.socket:
    """Return a connection to a public address, before a byte is sent over it.

    The name was looked up once more to connect, and may have got another answer.
    """
    try:
        check_address(str(connected.getpeername()[0]), host=host)
    except RefusedUrlError:
        connected.close()
        raise
    return connected

"""Connections to one web server that are kept open from one GET request to the next."""

import contextlib
import select
import socket
import ssl
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit


class KeptConnections:
    """Makes GET requests with the standard library's HTTP client. Any thread may use it.

    urllib3 would do the same, and redirects, proxies and retries beside, at three times the cost.
    """

    def __init__(
        self,
        origin: str,
        *,
        ca_file: str | None,
        connect_timeout_seconds: float,
        read_timeout_seconds: float,
    ) -> None:
        """Remember where the server is; no connection is made yet.

        Args:
            origin: `http://host:port` or `https://host:port`; the port may be left out.
            ca_file: Certificates to trust; None for those of the system. For https only.
            connect_timeout_seconds: How long a new connection may take.
            read_timeout_seconds: How long the server may stay silent.
        """
        parts = urlsplit(origin)
        self._host = parts.hostname or ""
        self._port = parts.port
        self._context = (
            ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None
        )
        self._connect_timeout_seconds = connect_timeout_seconds
        self._read_timeout_seconds = read_timeout_seconds
        self._idle: deque[HTTPConnection] = deque()
        weakref.finalize(self, _close_all, self._idle)

    @contextlib.contextmanager
    def get(self, target: str, headers: Mapping[str, str]) -> Iterator[HTTPResponse]:
        """Ask for a path; the answer's body is to be read inside the `with` block.

        The connection is kept where the body was read to its end, and closed otherwise.

        Raises:
            OSError: the server can't be reached, or the connection was lost or stood still.
            HTTPException: what came is no HTTP.
        """
        connection = self._idle_connection() or self._connected()
        is_whole = False
        try:
            connection.request("GET", target, headers=dict(headers))
            with connection.getresponse() as answer:
                yield answer
                # It closes by itself when it is read behind its end, but not by `read1`.
                is_whole = answer.isclosed() or answer.length == 0
        finally:
            # A server that wants to close has said so, and the client took its socket away.
            if is_whole and connection.sock is not None:
                self._idle.append(connection)
            else:
                connection.close()

    def _idle_connection(self) -> HTTPConnection | None:
        """Return the connection used last of those that the server has not closed meanwhile."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread took the last one
                return None
            if _is_silent(connection.sock):
                return connection
            connection.close()
        return None

    def _connected(self) -> HTTPConnection:
        seconds = self._connect_timeout_seconds
        connection = (
            HTTPConnection(self._host, self._port, timeout=seconds)
            if self._context is None
            else HTTPSConnection(self._host, self._port, timeout=seconds, context=self._context)
        )
        connection.connect()
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.sock.settimeout(self._read_timeout_seconds)
        return connection


def _close_all(connections: deque[HTTPConnection]) -> None:
    while connections:
        connections.pop().close()


def _is_silent(sock: socket.socket) -> bool:
    """Tell whether an idle connection is open: an end, or bytes nobody asked for, can be read."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return not poll.poll(0)

"""A web server on the loopback address whose pages go wrong as they are told to."""

import contextlib
import http.server
import re
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """How one path is answered."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    etag: str = ""
    """Sent, and looked at in `If-Range`."""
    ranges: bool = True
    """Whether `Range` is honoured."""
    tells_length: bool = True
    """Whether `Content-Range` says how long the body is."""
    content_range: str = ""
    """Sent in place of the true `Content-Range`."""
    ends: Literal["whole", "reset", "cut", "stalls"] = "whole"
    """How an answer ends that is not sent whole: reset, closed, or silent until it is let go."""
    end_at: int = 0
    """Bytes of the body that come before that, in this answer."""


class Site:
    """The server; pages may be changed while it runs."""

    def __init__(self) -> None:
        self._pages: defaultdict[str, list[Page]] = defaultdict(list)
        self.requests: list[tuple[str, dict[str, str]]] = []
        """Path and headers (names in small letters) of each request, in order."""
        self.released = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.site = self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def put(self, path: str, *pages: Page) -> str:
        """Answer a path with these pages one after another, the last one for ever."""
        self._pages[path] = list(pages)
        return self.url + path

    def take(self, path: str, headers: dict[str, str]) -> Page:
        with self._lock:
            self.requests.append((path, headers))
            pages = self._pages[path]
            if len(pages) > 1:
                return pages.pop(0)
        return pages[0] if pages else Page(status=404)

    def paths(self) -> list[str]:
        return [path for path, _ in self.requests]

    @contextlib.contextmanager
    def serving(self) -> Iterator["Site"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.released.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    site: Site

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are part of the game."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 20

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        path = self.path.partition("?")[0]
        self._answer(self.server.site.take(path, headers), headers)

    def _answer(self, page: Page, headers: dict[str, str]) -> None:
        status, start, stop = self._range_of(page, headers)
        body = page.body[start:stop]
        self.send_response(status)
        for name, value in page.headers.items():
            self.send_header(name, value)
        if page.etag:
            self.send_header("ETag", page.etag)
        if status == 206:
            length = len(page.body) if page.tells_length else "*"
            told = page.content_range or f"bytes {start}-{stop - 1}/{length}"
            self.send_header("Content-Range", told)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if page.ends == "whole":
            self.wfile.write(body)
            return
        self.wfile.write(body[: page.end_at])
        self.close_connection = True
        if page.ends == "reset":
            reset(self.connection)
        elif page.ends == "stalls":
            self.server.site.released.wait(20)

    def _range_of(self, page: Page, headers: dict[str, str]) -> tuple[int, int, int]:
        """Status, first byte and end of what is sent."""
        num_bytes = len(page.body)
        found = _RANGE.fullmatch(headers.get("range", ""))
        if not found or not page.ranges or page.status != 200 or not self._is_same(page, headers):
            return page.status, 0, num_bytes
        start = int(found[1])
        if start >= num_bytes:
            return 416, 0, 0
        return 206, start, min(int(found[2]) + 1, num_bytes) if found[2] else num_bytes

    def _is_same(self, page: Page, headers: dict[str, str]) -> bool:
        return headers.get("if-range", page.etag) == page.etag

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def reset(connection: socket.socket) -> None:
    """Close so that the other side sees a reset, not an end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RD)
    connection.close()


def free_port() -> int:
    """A port where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

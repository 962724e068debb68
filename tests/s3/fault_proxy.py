"""A proxy on the loopback address in front of an S3 server, in which things go wrong by script."""

import contextlib
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

_TIMEOUT_SECONDS = 20.0

Kind = Literal[
    "reset",  # connection reset behind `num_bytes` of the answer's body
    "cut",  # connection closed there, though the header promises more
    "shorten",  # the answer ends there, and its Content-Length says so
    "flip",  # the byte there is another one
    "lose",  # the server does what was asked; its answer is replaced by a reset
    "refuse",  # reset before the server sees the request
    "delay",  # the answer comes `seconds` later
    "stall",  # the answer stands still for `seconds` behind `num_bytes` of its body, then ends
    "answer",  # the proxy answers with `status` and `code` itself
    "drop",  # the request's header `code` is taken away
    "spoil",  # the first byte of the request's body is another one
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong, `times` times, with requests of a method, a path and a header."""

    kind: Kind
    method: str = ""
    path: str = ""
    header: str = ""
    times: int = 1
    num_bytes: int = 0
    seconds: float = 0.0
    status: int = 503
    code: str = "SlowDown"


@dataclass(frozen=True, slots=True)
class Request:
    """The head of a request, in the order of its lines, and its body."""

    head: bytes
    body: bytes

    @property
    def method(self) -> str:
        return self.head.split(b" ", 1)[0].decode()

    @property
    def target(self) -> str:
        return self.head.split(b" ", 2)[1].decode()

    def has_header(self, name: str) -> bool:
        return f"\r\n{name.lower()}:".encode() in self.head.lower()

    def without(self, name: str) -> "Request":
        lines = self.head.split(b"\r\n")
        kept = [line for line in lines if not line.lower().startswith(f"{name.lower()}:".encode())]
        return Request(b"\r\n".join(kept), self.body)


class FaultProxy:
    """Forwards requests, one a connection, and lets faults happen to those that match."""

    def __init__(self, upstream_port: int) -> None:
        self.upstream_port = upstream_port
        self.requests: list[str] = []
        """`METHOD target` of every request that came in."""
        self.latency_seconds = 0.0
        """What every request takes longer than it would."""
        self.on_request: Callable[[Request], None] = lambda request: None
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler, bind_and_activate=True)
        self._server.proxy = self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def script(self, *faults: Fault) -> None:
        """Let these happen, each as often as it says, in place of what was left of the last."""
        with self._lock:
            self._faults = [fault for fault in faults for _ in range(fault.times)]
            self.requests.clear()

    @property
    def num_left(self) -> int:
        """How many faults have not happened yet."""
        with self._lock:
            return len(self._faults)

    def take(self, request: Request) -> Fault | None:
        """Note a request, and take the first fault that matches it off the script."""
        with self._lock:
            self.requests.append(f"{request.method} {request.target}")
            for position, fault in enumerate(self._faults):
                if (
                    fault.method in ("", request.method)
                    and fault.path in request.target
                    and (not fault.header or request.has_header(fault.header))
                ):
                    return self._faults.pop(position)
        return None

    @contextlib.contextmanager
    def serving(self) -> Iterator["FaultProxy"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    proxy: FaultProxy


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        client: socket.socket = self.request
        client.settimeout(_TIMEOUT_SECONDS)
        with contextlib.suppress(OSError):  # a client that was killed is part of the game
            request = read_request(client)
            if request is not None:
                self._answer(client, request)

    def _answer(self, client: socket.socket, request: Request) -> None:
        proxy = self.server.proxy
        fault = proxy.take(request)
        proxy.on_request(request)
        if proxy.latency_seconds:
            time.sleep(proxy.latency_seconds)
        if fault is None:
            client.sendall(self._forward(request))
        elif fault.kind == "answer":
            client.sendall(made_up_answer(fault, is_head=request.method == "HEAD"))
        elif fault.kind == "refuse":
            reset(client)
        elif fault.kind == "drop":
            client.sendall(self._forward(request.without(fault.code)))
        elif fault.kind == "spoil":
            changed = bytes([request.body[0] ^ 1]) + request.body[1:]
            client.sendall(self._forward(Request(request.head, changed)))
        else:
            spoil_answer(client, self._forward(request), fault)

    def _forward(self, request: Request) -> bytes:
        head = request.without("Connection").without("Expect").head
        address = ("127.0.0.1", self.server.proxy.upstream_port)
        with socket.create_connection(address, _TIMEOUT_SECONDS) as upstream:
            upstream.sendall(head + b"\r\nConnection: close\r\n\r\n" + request.body)
            answer = bytearray()
            while piece := upstream.recv(1 << 16):
                answer += piece
        return bytes(answer)


def read_request(client: socket.socket) -> Request | None:
    """Read one request, and tell a client that waits for leave to send its body to go on."""
    held = bytearray()
    while b"\r\n\r\n" not in held:
        piece = client.recv(1 << 16)
        if not piece:
            return None
        held += piece
    head, _, body = bytes(held).partition(b"\r\n\r\n")
    if b"\r\nexpect: 100-continue" in head.lower():
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    num_bytes = content_length(head)
    received = bytearray(body)
    while len(received) < num_bytes:
        piece = client.recv(1 << 16)
        if not piece:
            return None
        received += piece
    return Request(head, bytes(received))


def content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def spoil_answer(client: socket.socket, answer: bytes, fault: Fault) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    n = fault.num_bytes
    if fault.kind == "delay":
        time.sleep(fault.seconds)
        client.sendall(answer)
    elif fault.kind == "lose":
        reset(client)
    elif fault.kind == "flip":
        changed = body[:n] + bytes([body[n] ^ 1]) + body[n + 1 :]
        client.sendall(head + b"\r\n\r\n" + changed)
    elif fault.kind == "shorten":
        shorter = Request(head, b"").without("Content-Length").head
        length = f"\r\nContent-Length: {n}\r\n\r\n".encode()
        client.sendall(shorter + length + body[:n])
    else:
        client.sendall(head + b"\r\n\r\n" + body[:n])
        if fault.kind == "stall":
            time.sleep(fault.seconds)
        if fault.kind == "reset":
            reset(client)


def reset(client: socket.socket) -> None:
    """Close so that the other side sees a reset, not an end."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def made_up_answer(fault: Fault, *, is_head: bool) -> bytes:
    body = f"<Error><Code>{fault.code}</Code><Message>made up</Message></Error>".encode()
    head = (
        f"HTTP/1.1 {fault.status} Made Up\r\nContent-Type: application/xml\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode()
    return head if is_head else head + body

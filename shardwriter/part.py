"""What one request brings of an object, and the loop that asks again for what is missing."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from shardwriter.errors import ReplacedError, StorageError

_PIECE_BYTES = 1 << 20
"""Asked of a connection at a time, which gives what has come of it: each time is a turn at
Python's lock."""
_PROGRESS_BYTES = 256 << 10
"""A request that brought so much was worth its while, and is not counted as a failure."""
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The bytes that one request brought: all that it asked for, or those before it was lost."""

    data: bytes
    version: str | None = None
    """What tells this content of the object from another: its ETag; None where none was given."""
    stop: int | None = None
    """Where what was asked for ends: the object's end may come before it. None: not known yet."""
    interruption: Exception | None = None
    """What cut the answer short; None also where the connection just ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """Where a read stands that the last request did not finish."""

    num_failures: int
    """Requests in a row that brought next to nothing."""
    num_bytes: int
    num_bytes_expected: int | None
    interruption: Exception | None


def read_resuming(
    ask: Callable[[int, str | None], Part],
    *,
    where: str,
    start: int,
    on_shortfall: Callable[[Shortfall], None],
) -> bytes:
    """Return the bytes from `start` on, asked for again from the first missing byte on.

    Args:
        ask: Makes one request, from a position on, for a version of the object (None: any).
        where: The object's URL, for messages.
        start: Where to begin.
        on_shortfall: Called between requests: pauses, or raises to give up.

    Raises:
        ReplacedError: a later request met another version of the object.
    """
    held: list[bytes] = []
    position, stop, version, num_failures = start, None, None, 0
    while True:
        part = ask(position, version)
        if part.version is not None:
            if version not in (None, part.version):
                raise ReplacedError(f"{where} was replaced while it was read; read it again")
            version = part.version
        stop = part.stop if stop is None else stop
        held.append(part.data)
        position += len(part.data)
        if position == stop:
            return held[0] if len(held) == 1 else b"".join(held)
        num_failures = 1 if len(part.data) >= _PROGRESS_BYTES else num_failures + 1
        on_shortfall(
            Shortfall(
                num_failures=num_failures,
                num_bytes=position - start,
                num_bytes_expected=None if stop is None else stop - start,
                interruption=part.interruption,
            )
        )


def stop_of_answer(
    content_range: str, *, start: int, stop: int | None, content_length: int | None, where: str
) -> int:
    """Return where the answer to a request for a range should end.

    Whole objects are asked for as a range, too: Content-Range then says how long the object is,
    and an answer that something on the way cut, with its Content-Length, is found short.

    Raises:
        StorageError: another range, or the whole object, was answered.
    """
    found = _CONTENT_RANGE.fullmatch(content_range)
    if found is not None and int(found[1]) == start:
        total = int(found[3])
    elif not content_range and not start and stop is None and content_length is not None:
        total = content_length  # all was asked for, and is all that comes
    else:
        raise StorageError(
            f"{where}: asked for the bytes from {start}, the store answered "
            f"{content_range or 'the whole object'!r}; it, or a proxy before it, can't serve ranges"
        )
    return max(start, total if stop is None else min(stop, total))


def drain(
    read: Callable[[int], bytes],
    num_bytes: int,
    *,
    deadline: float | None,
    lost: tuple[type[Exception], ...],
) -> tuple[bytes, Exception | None]:
    """Return up to `num_bytes` bytes of an answer's body, and what cut it short if anything did.

    Args:
        read: Returns at most so many of the body's next bytes, without waiting for all of them:
            what it holds back is lost with the connection.
        num_bytes: Bytes that should come.
        deadline: On `time.monotonic`'s clock: a body that trickles is given up then.
        lost: Exceptions that mean a lost connection.
    """
    held = []
    try:
        while num_bytes > 0 and (piece := read(min(_PIECE_BYTES, num_bytes))):
            held.append(piece)
            num_bytes -= len(piece)
            if deadline is not None and num_bytes and time.monotonic() > deadline:
                return b"".join(held), TimeoutError("the answer came too slowly")
        if not num_bytes:
            read(1)  # nothing is left; this hands the connection back for the next request
    except lost as err:
        return b"".join(held), err
    return b"".join(held), None

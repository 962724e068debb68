"""Holds a library that connects by itself to public hosts.

yt-dlp looks names up, follows redirects and keeps connections in ways of its own, which change from
month to month, and has no setting for this. CPython asks an audit hook (PEP 578) before each
connection, with the address that is to be connected to, whichever library makes it. So neither a
redirect nor a name that changes its address leads into this network, and nothing was sent there.
"""

import contextlib
import functools
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

from jobs.fetching.urls import RefusedUrlError, check_address


class _Guard(threading.local):
    """Whether this thread's connections are looked at, and which of them was refused."""

    is_on = False
    refusal: RefusedUrlError | None = None


_guard = _Guard()


@contextlib.contextmanager
def only_public_hosts() -> Iterator[None]:
    """Refuse connections of this thread to addresses that are not public, while the context lasts.

    Raises:
        RefusedUrlError: a connection was refused; at the end of the context, as libraries make
            something else of what they don't expect.
    """
    _add_hook()
    _guard.is_on, _guard.refusal = True, None
    problem: Exception | None = None
    try:
        yield
    except Exception as err:
        if _guard.refusal is None:
            raise
        problem = err
    finally:
        _guard.is_on = False
    # Not kept: its traceback holds on to all that was open.
    refusal, _guard.refusal = _guard.refusal, None
    if refusal is not None:
        raise refusal from problem


@functools.cache
def _add_hook() -> None:
    sys.addaudithook(_check_connection)  # for good: Python has no way to take one away


def _check_connection(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect" or not _guard.is_on:
        return
    connecting, address = arguments
    if connecting.family not in (socket.AF_INET, socket.AF_INET6):
        return
    refusal = _refusal(str(address[0]))
    if refusal is not None:
        _guard.refusal = refusal
        connecting.close()  # whoever opened it expects other errors
        raise refusal


def _refusal(host: str) -> RefusedUrlError | None:
    try:
        check_address(host, host=host)
    except RefusedUrlError as err:
        return err
    except ValueError:
        return RefusedUrlError(f"{host!r} was to be connected to by name, unchecked")
    return None

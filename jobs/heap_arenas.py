"""Few heaps for the many threads of a process that is ours."""

import ctypes
import os

_M_ARENA_MAX = -8  # <malloc.h>
_MAX_ARENAS = 2


def limit_arenas() -> None:
    """Have all threads share two of glibc's heaps, unless MALLOC_ARENA_MAX says how many.

    By default glibc gives threads up to eight heaps for each core. What a thread that reads from
    a store takes and frees spreads over all of them, and hardly any gives memory back: a training
    that streams grows by some 20 MB a minute for a long while (`make soak`). With another C
    library nothing happens.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version") and "MALLOC_ARENA_MAX" not in os.environ:
        libc.mallopt(_M_ARENA_MAX, _MAX_ARENAS)

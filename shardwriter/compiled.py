"""Functions compiled by numba, without Python's lock, kept on disk for the next process.

Numba's cache notices a change of the file that holds a function, of nothing else: not of the files
that constants and callees come from. So a kernel's file takes nothing from others of ours but this
one, and holds its tables and all that its functions call, though it gets long. A test sees to it,
and to the options that this file gives.
"""

from collections.abc import Callable
from typing import Any

import numba


def jit(function: Callable[..., Any], **options: Any) -> Any:
    """Return a function that is compiled when it is first called; `options` are those of njit."""
    try:
        return numba.njit(nogil=True, cache=True, **options)(function)
    except RuntimeError:  # neither beside its file nor in the user's cache folder can be written
        return numba.njit(nogil=True, **options)(function)

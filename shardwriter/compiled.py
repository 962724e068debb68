"""Functions compiled by numba, without Python's lock, kept on disk for the next process.

Numba's cache notices a change of the file that holds a function, not of the files that its
callees come from: what calls each other stands in one file.
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

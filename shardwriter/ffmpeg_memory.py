"""A bound on the memory that FFmpeg's libraries take for what a header claims."""

import contextlib
import ctypes
import functools

import av._core

_MAX_BLOCK_BYTES = 128 << 20
"""MP4's tables of 33 hours of AAC take so much; the most that is decoded is 100 minutes."""


@functools.cache
def bound_blocks() -> None:
    """Have FFmpeg's libraries refuse larger blocks of memory, once in a process.

    By itself libavformat takes 36 bytes for each packet that an MP4 claims, without a look at how
    long the file is: 2 GB for 2,000 bytes. `av_max_alloc` holds for whatever uses PyAV in this
    process. Where PyAV's extension doesn't lead to libavutil's functions, FFmpeg's own bound, 2 GB
    a block, stays.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(av._core.__file__).av_max_alloc(ctypes.c_size_t(_MAX_BLOCK_BYTES))

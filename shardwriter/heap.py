"""Memory of a clip that is kept for the next one."""

import functools

import numpy as np

_NUM_BYTES = 24 << 20
"""Below 32 MiB, above which glibc never keeps memory. It keeps up to twice this."""


@functools.cache
def keep_freed_memory() -> None:
    """Make glibc keep what clips free, once in a process; elsewhere nothing happens.

    It gives large blocks back to the kernel when they are freed and gets them again page by page:
    550 page faults for 5 s of 44.1 kHz, a fifth of the clip's CPU time. What is large it learns
    from the largest block that was ever freed (`M_MMAP_THRESHOLD` in mallopt(3)), as in a process
    that has handled a long file. This block is never touched, so it takes no memory.
    """
    np.empty(_NUM_BYTES, np.uint8)

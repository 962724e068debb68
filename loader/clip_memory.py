"""Memory for the encoded clips that one thread decodes together, used again for its next ones."""

import threading

import numpy as np
from numpy.typing import NDArray

_SPARE = 1.25
"""Clips differ in size, and each part of a batch would else need a little more than the last."""
_MOST_KEPT = 64 << 20
"""A thread keeps no more bytes than that; parts of longer clips get memory of their own."""


class ClipMemory(threading.local):
    """Keeps what each thread had: the system clears all new memory before it is used."""

    def __init__(self) -> None:
        self._kept: NDArray[np.uint8] = np.empty(0, np.uint8)

    def take(self, num_bytes: int) -> NDArray[np.uint8]:
        """Return at least so many bytes, of any content; the thread's next call may return them."""
        if len(self._kept) >= num_bytes:
            return self._kept
        memory = np.empty(int(num_bytes * _SPARE), np.uint8)
        if len(memory) <= _MOST_KEPT:
            self._kept = memory
        return memory

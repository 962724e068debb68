"""Room for the samples of batches, used again when the batch that had it is gone."""

import math
import weakref
from collections import deque

import numpy as np
from numpy.typing import NDArray

_MOST_KEPT = 3
"""A loop lets go of one batch for each that it asks for, but two threads may finish several before
either begins the next: with one kept, a third of the batches got new memory."""


class BatchMemory:
    """Keeps a little of what batches had: the system clears all new memory before it is used.

    That costs as much as a tenth of decoding. numpy's is taken because it comes in huge pages:
    torch's had 10 x the faults.
    """

    def __init__(self) -> None:
        # Arrays end in any thread at any time, also while one is taken here: so there is no lock,
        # and each operation on the queue is whole in itself.
        self._free: deque[NDArray[np.int16]] = deque(maxlen=_MOST_KEPT)

    def take(self, shape: tuple[int, ...]) -> NDArray[np.int16]:
        """Return an array of any content, whose memory comes back when nothing refers to it.

        Tensors made of it by `torch.from_numpy` and views of those do.
        """
        try:
            block = self._free.pop()
        except IndexError:
            block = np.empty(0, np.int16)
        if block.size != math.prod(shape):
            block = np.empty(math.prod(shape), np.int16)
        array_BT = block.reshape(shape)
        weakref.finalize(array_BT, self._free.append, block).atexit = False
        return array_BT

"""Reads of open files, many in one call without Python's lock: compiled.

Each `os.pread` lets go of the lock and waits to have it back. Where several threads read a few
bytes of each of many clips, that waiting is more than the reading.
"""

from typing import Any

import numba
import numba.extending
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types

from shardwriter.compiled import jit

FILE, START, NUM_BYTES = range(3)
READ_FIELDS = 3
"""Of each read: the descriptor, the first byte in the file, how many bytes."""


@numba.extending.intrinsic
def _pread(_context, _file, _address, _num_bytes, _offset):
    """Return what the C library's `pread` returns: how many bytes it read, or -1."""
    signature = types.int64(types.int32, types.uintp, types.uintp, types.int64)

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64)
        kind = ir.FunctionType(word, [ir.IntType(32), word, word, word])
        return builder.call(
            cgutils.get_or_insert_function(builder.module, kind, "pread"), arguments
        )

    return signature, generate


@jit
def read_files(room, reads, counts):
    """Read into a room of bytes, one behind the other; note how many each gave, -1 for a failure.

    A read that ends early leaves the rest of its place as it is. One that the room has no place for
    fails, and those behind it are not made: their counts stay as they are.
    """
    start = 0
    for number in range(len(reads)):
        num_bytes = reads[number, NUM_BYTES]
        counts[number] = -1
        if not 0 <= num_bytes <= len(room) - start:
            return
        counts[number] = _pread(
            np.int32(reads[number, FILE]),
            np.uintp(room.ctypes.data + start),
            np.uintp(num_bytes),
            reads[number, START],
        )
        start += num_bytes

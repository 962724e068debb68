"""A published object read once, from front to back, in large pieces, and hashed on the way."""

import hashlib

from shardwriter.storage import Store

_PIECE_BYTES = 1 << 22


class ObjectStream:
    """Reads an object of a store in order; never holds more than a piece and what was asked for."""

    def __init__(self, store: Store, name: str) -> None:
        self.where = f"{store.url}/{name}"
        self.num_bytes = store.size(name)
        self._store = store
        self._name = name
        self._hash = hashlib.sha256()
        self._fetched = 0
        self._piece = memoryview(b"")

    def read(self, num_bytes: int) -> bytes:
        """Return the next `num_bytes` bytes; fewer only at the end of the object."""
        parts = []
        while num_bytes > 0 and (self._piece or self._fetch()):
            part = self._piece[:num_bytes]
            self._piece = self._piece[len(part) :]
            num_bytes -= len(part)
            parts.append(part)
        return b"".join(parts)

    def sha256(self) -> str:
        """Read what is left, and return the hash of the whole object in hexadecimal."""
        while self._fetch():
            pass
        return self._hash.hexdigest()

    def _fetch(self) -> bool:
        wanted = min(_PIECE_BYTES, self.num_bytes - self._fetched)
        piece = self._store.read_range(self._name, self._fetched, wanted) if wanted > 0 else b""
        self._hash.update(piece)
        self._fetched += len(piece)
        self._piece = memoryview(piece)
        return bool(piece)

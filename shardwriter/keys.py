"""Keys: the reversible, tar- and webdataset-safe spelling of a clip's identity.

webdataset, Hugging Face datasets and DALI split a member's name at its *first* dot, so a key
must not hold one (`Y-abc_30.000_40.000.flac` loses its audio there). Letters, digits, `_` and `-`
stand for themselves, `/` is written `+`, and every other byte of the UTF-8 form is written `=XX`
in capital hexadecimal digits.
"""

import re

MAX_KEY_LENGTH = 94
"""A ustar name holds 100 bytes; `.flac` and `.json` take five, one is kept in reserve."""

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
_KEY = re.compile(r"(?:[A-Za-z0-9_\-+]|=[0-9A-F]{2})+")


def to_key(identity: str) -> str:
    """Return the key of an identity such as `audioset/--PJHxphWEs_30000`.

    Raises:
        ValueError: the identity is empty, or its key is longer than `MAX_KEY_LENGTH`.
    """
    key = "".join(
        chr(byte) if byte in _PLAIN else "+" if byte == 0x2F else f"={byte:02X}"
        for byte in identity.encode()
    )
    if not 0 < len(key) <= MAX_KEY_LENGTH:
        raise ValueError(
            f"the key of {identity!r} has {len(key)} characters, allowed are 1 to {MAX_KEY_LENGTH}"
        )
    return key


def from_key(key: str) -> str:
    """Return the identity of a key; what `to_key` never returns is a `ValueError`."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"not a key: {key!r}")
    raw = re.sub(
        rb"=([0-9A-F]{2})",
        lambda match: bytes([int(match[1], 16)]),
        key.replace("+", "/").encode(),
    )
    identity = raw.decode()
    if to_key(identity) != key:
        raise ValueError(f"not a key: {key!r}; the key of {identity!r} is {to_key(identity)!r}")
    return identity

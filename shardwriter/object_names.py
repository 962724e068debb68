"""Names of objects in a store: relative, with `/` between their parts; some are hidden."""

from pathlib import PurePosixPath

TEMPORARY_PREFIX = ".tmp-"
"""Objects whose name, or a folder of it, begins so are being written, or were left by a killed
writer; readers skip them."""


def name_parts(name: str) -> tuple[str, ...]:
    """Return the parts of an object's name; one that leaves the root is a `ValueError`."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        raise ValueError(f"not a name of an object: {name!r}")
    return parts


def is_hidden(name: str) -> bool:
    """Tell whether a name is one that readers skip."""
    return any(part.startswith(TEMPORARY_PREFIX) for part in name.split("/"))

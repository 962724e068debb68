"""The local folder that outlives a killed run: fetched bytes, journals of the attempts log."""

import contextlib
import hashlib
import os
from pathlib import Path

from shardwriter.object_names import TEMPORARY_PREFIX
from shardwriter.storage import LocalStore, Store


def default_work_folder(store: Store) -> Path:
    """Return where work is kept when the user names no folder.

    Beside a local dataset, hidden in its folder: there is room for audio, and on a file system
    that machines share another machine can go on. For S3, in the user's cache, by the URL.
    """
    if isinstance(store, LocalStore):
        return Path(store.url) / f"{TEMPORARY_PREFIX}work"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "melstream" / "ingest" / hashlib.sha256(store.url.encode()).hexdigest()[:16]


def remove_empty_folders(folder: Path) -> None:
    """Remove a folder and those in it as far as they hold no file."""
    for path, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):
            Path(path).rmdir()

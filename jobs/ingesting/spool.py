"""Fetched bytes that no published shard holds yet: after a kill they are not fetched again.

One file a clip: a line of JSON, then the bytes as they came. It appears whole, by a rename; what
was torn by a power cut is told by its hash, and fetched again.
"""

import contextlib
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from jobs.fetching.fetcher import SourceAudio
from shardwriter.audio import Cut
from shardwriter.errors import StorageError

_TEMPORARY = ".part-"
_STALE_SECONDS = 3600.0
"""A temporary file that is older was left by a killed process: writing one takes no hour."""


class Spool:
    """A folder of fetched clips; any number of processes may use it, each for clips of its own."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; it is made when something is put there."""
        self.folder = folder

    def get(self, clip_id: str) -> SourceAudio | None:
        """Return what was fetched for a clip; None: nothing, or not whole."""
        try:
            head, _, data = self._path(clip_id).read_bytes().partition(b"\n")
            row = json.loads(head)
            if hashlib.sha256(data).hexdigest() != row.pop("sha256") or row.pop("id") != clip_id:
                return None
            cut = row.pop("cut")
            return SourceAudio(data=data, cut=Cut(**cut) if cut else None, **row)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, clip_id: str, audio: SourceAudio) -> int:
        """Keep what was fetched for a clip; return how many bytes that takes.

        Raises:
            StorageError: the folder can't be written.
        """
        row = {
            "id": clip_id,
            "sha256": hashlib.sha256(audio.data).hexdigest(),
            "file": audio.file,
            "cut": asdict(audio.cut) if audio.cut else None,
            "num_bytes": audio.num_bytes,
            "tool": audio.tool,
            "client": audio.client,
            "metadata": dict(audio.metadata),
        }
        content = json.dumps(row).encode() + b"\n" + audio.data
        path = self._path(clip_id)
        temporary = path.parent / f"{_TEMPORARY}{secrets.token_hex(8)}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
            temporary.replace(path)
        except OSError as err:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise StorageError(
                f"can't keep fetched audio in {self.folder}: {err.strerror}; free some space or "
                "choose another --work folder, and run the same command again"
            ) from err
        return len(content)

    def holds(self, clip_id: str) -> bool:
        """Whether something is kept of a clip."""
        return self._path(clip_id).is_file()

    def drop(self, clip_ids: Iterable[str]) -> int:
        """Forget clips; return how many bytes that freed."""
        return sum(_remove(self._path(clip_id)) for clip_id in clip_ids)

    def clear(self, is_done: Callable[[str], bool]) -> int:
        """Forget clips that are done, and what killed processes left; return the bytes that stay.

        Args:
            is_done: Tells of the id of a clip whether a published shard holds it.
        """
        return sum(self._clear(path, is_done) for path in self._files())

    def _files(self) -> Iterator[Path]:
        for folder, _, names in os.walk(self.folder):  # passes over folders that others remove
            yield from (Path(folder, name) for name in names)

    def _clear(self, path: Path, is_done: Callable[[str], bool]) -> int:
        """Remove a file that nobody wants; return how many bytes of it stay."""
        try:
            found = path.stat()
        except FileNotFoundError:  # another process has renamed or removed it since it was listed
            return 0
        if path.name.startswith(_TEMPORARY):
            if time.time() - found.st_mtime > _STALE_SECONDS:
                _remove(path)
            return 0
        clip_id = _held_id(path)
        if clip_id is None or is_done(clip_id):
            _remove(path)
            return 0
        return found.st_size

    def remove_if_empty(self) -> None:
        """Remove the folder where nothing is kept."""
        for folder in (*self.folder.glob("*"), self.folder):
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _path(self, clip_id: str) -> Path:
        name = hashlib.sha256(clip_id.encode()).hexdigest()[:40]
        return self.folder / name[:2] / name


def _held_id(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return str(json.loads(file.readline())["id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remove(path: Path) -> int:
    try:
        num_bytes = path.stat().st_size
        path.unlink()
    except FileNotFoundError:
        return 0
    return num_bytes

"""Whether the published archives lie in a folder, and are whole."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from jobs.catalogues.description import PublishedFile
from jobs.sources.archives import archives_in
from jobs.sources.joined import JoinedFile
from shardwriter.errors import StorageError

_PIECE_BYTES = 1 << 20


class ArchiveState(StrEnum):
    """What is known of one published file."""

    OK = "ok"
    MISSING = "missing"
    WRONG_SIZE = "wrong size"
    WRONG_CHECKSUM = "wrong checksum"
    UNCHECKED = "not checked"  # it is there, and no checksum is published


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveCheck:
    """One published file, as it lies in a folder."""

    archive: PublishedFile
    state: ArchiveState
    detail: str = ""


def check_archives(
    folder: Path,
    archives: Sequence[PublishedFile],
    *,
    advance: Callable[[int], object] = lambda _: None,
) -> Iterator[ArchiveCheck]:
    """Yield what is known of each published file, reading every byte of those that are there.

    A file that is published in parts is checked over the parts, if they are there.

    Args:
        folder: Where the files lie, under their published names.
        archives: What is published.
        advance: Called with the number of bytes of each piece that was hashed.

    Raises:
        ConfigError: of an archive in volumes or parts, one is missing.
        StorageError: a file can't be read.
    """
    joined = {found.name: found.paths for found in archives_in(folder)}
    for archive in archives:
        path = folder / archive.file
        paths = (path,) if path.is_file() else joined.get(archive.file, ())
        if not paths:
            yield ArchiveCheck(archive=archive, state=ArchiveState.MISSING)
            continue
        with JoinedFile(paths) as file:
            yield _check(archive, file, advance)


def _check(
    archive: PublishedFile, file: JoinedFile, advance: Callable[[int], object]
) -> ArchiveCheck:
    if archive.num_bytes is not None and file.num_bytes != archive.num_bytes:
        return ArchiveCheck(
            archive=archive,
            state=ArchiveState.WRONG_SIZE,
            detail=f"expected {archive.num_bytes:,} bytes, got {file.num_bytes:,}",
        )
    name, expected = ("sha256", archive.sha256) if archive.sha256 else ("md5", archive.md5)
    if expected is None:
        return ArchiveCheck(archive=archive, state=ArchiveState.UNCHECKED)
    got = _hash(file, name, advance)
    if got != expected:
        return ArchiveCheck(
            archive=archive,
            state=ArchiveState.WRONG_CHECKSUM,
            detail=f"expected {name} {expected}, got {got}",
        )
    return ArchiveCheck(archive=archive, state=ArchiveState.OK, detail=f"{name} {got}")


def _hash(file: JoinedFile, name: str, advance: Callable[[int], object]) -> str:
    # md5 is what was published; it guards against damage here, not against forgery.
    hasher = hashlib.new(name, usedforsecurity=False)
    try:
        while piece := file.read(_PIECE_BYTES):
            hasher.update(piece)
            advance(len(piece))
    except OSError as err:
        raise StorageError(f"can't read an archive to its end: {err.strerror}") from err
    return hasher.hexdigest()

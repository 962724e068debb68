"""Packed tars (`.tar.gz` and the like), unpacked once to plain tars, which are read by name.

Compression of this kind can only be undone from the front, and clips are read in an order that
mixes. So the compression is undone once, as `gunzip` does it, and nothing else: members stay in
the tar, and none of their names becomes a path.
"""

import bz2
import gzip
import lzma
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

from jobs.sources.archives import Archive, Kind, archive_with, archives_in, plain_tar_name
from shardwriter.errors import ConfigError, StorageError

RESERVE_BYTES = 1 << 30
"""Of the disk, left free: whatever an archive claims to be, it can't fill it."""
_PIECE_BYTES = 1 << 22
_DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError)


def unpack_tars(
    place: str, into: Path, *, advance: Callable[[int], object] = lambda _: None
) -> str:
    """Make a plain tar of every packed one at a place, and return the place to open instead.

    What was unpacked before is taken as it is. The checksum inside each archive is checked, and
    a tar appears under its name only when it is whole.

    Args:
        place: A packed tar, or a folder that holds some; anything else is returned as it is.
        into: Folder of the tars; it may be the one in which the archives lie.
        advance: Called with the number of bytes of each piece that was unpacked.

    Raises:
        ConfigError: an archive is damaged, or the folder that holds it has other files, which
            the tars would have to lie beside.
        StorageError: it can't be read, or the tar can't be written.
    """
    location = Path(place)
    is_folder = location.is_dir()
    found = archive_with(location) if location.is_file() else None
    archives = archives_in(location) if is_folder else [found] if found else []
    packed = [archive for archive in archives if is_packed_tar(archive)]
    if not packed:
        return place
    if is_folder and not _is_same(location, into):
        _check_alone(location, packed, into)
    tars = [_unpack(archive.paths[0], into, advance) for archive in packed]
    return str(into if is_folder else tars[0])


def is_packed_tar(archive: Archive) -> bool:
    """Return whether it is a tar whose compression can be undone here."""
    return archive.kind is Kind.PACKED and plain_tar_name(archive.name) is not None


def _is_same(folder: Path, other: Path) -> bool:
    return other.exists() and folder.samefile(other)


def _check_alone(folder: Path, packed: list[Archive], into: Path) -> None:
    """Refuse to part the tars from files that belong to them."""
    known = {archive.name for archive in packed}
    others = sorted(path.name for path in folder.iterdir() if path.name not in known)
    others = [name for name in others if not name.startswith(".")]
    if others:
        raise ConfigError(
            f"{folder} also holds {others[0]}, which is read together with what is unpacked; "
            f"unpack into {folder} itself, or move the other files to {into} first"
        )


def _unpack(path: Path, into: Path, advance: Callable[[int], object]) -> Path:
    name = plain_tar_name(path.name)
    if name is None:
        raise ValueError(f"{path} is no packed tar")
    target = into / name
    try:
        into.mkdir(parents=True, exist_ok=True)
        made = path.stat().st_mtime_ns
        if target.exists():
            return _unpacked_before(target, path, made)
        with tempfile.NamedTemporaryFile(dir=into, prefix=f".{name}.", delete=False) as partial:
            try:
                _copy(path, partial, into, advance)
                os.fsync(partial.fileno())
                shutil.copymode(path, partial.name)  # it was made for nobody else to read
                os.utime(partial.name, ns=(made, made))  # as gunzip: it tells which was newer
                Path(partial.name).replace(target)
            except BaseException:
                Path(partial.name).unlink(missing_ok=True)
                raise
    except _DAMAGED as err:
        raise ConfigError(f"{path} is cut or damaged: {err}; get it again") from err
    except OSError as err:
        raise StorageError(f"{path} can't be unpacked to {target}: {err}") from err
    return target


def _unpacked_before(target: Path, path: Path, made: int) -> Path:
    if target.stat().st_mtime_ns < made:
        raise ConfigError(
            f"{target} is older than {path}, so it was not made of it; remove the one that is "
            "not wanted"
        )
    return target


def _copy(path: Path, partial: IO[bytes], into: Path, advance: Callable[[int], object]) -> None:
    with _open(path) as archive:
        while piece := archive.read(_PIECE_BYTES):
            if shutil.disk_usage(into).free < RESERVE_BYTES + len(piece):
                raise StorageError(
                    f"{path} unpacks to over {partial.tell():,} bytes, and {into} has no room "
                    f"for more (1 GiB is left free); choose a folder on another disk"
                )
            partial.write(piece)
            advance(len(piece))


def _open(path: Path) -> gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile:
    suffix = path.suffix.lower()
    if suffix == ".bz2":
        return bz2.open(path)
    if suffix == ".xz":
        return lzma.open(path)
    return gzip.open(path)

"""Which files of a folder make up an archive: single files, volumes, parts."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from shardwriter.errors import ConfigError

_VOLUME = re.compile(r"(?P<name>.+)\.z(?P<number>\d{2,4})", re.ASCII | re.IGNORECASE)
_NUMBERED = re.compile(r"(?P<name>.+\.zip)\.(?P<number>\d{3})", re.ASCII | re.IGNORECASE)
_LETTERED = re.compile(r"(?P<name>.+)_part(?P<letters>[a-z]{2})", re.ASCII)
_PACKED_TARS = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_PACKED = (*_PACKED_TARS, ".7z", ".rar")


class Kind(StrEnum):
    """How an archive is read."""

    ZIP = "zip"
    VOLUMES = "volumes"  # a split zip: a directory over numbered volumes
    PARTS = "parts"  # a zip cut into pieces, to be put together by `cat`
    TAR = "tar"
    PACKED = "packed"  # can only be read from front to back


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """An archive, and the files that hold it, in order."""

    name: str
    """As published, or as its parts put together would be called."""
    kind: Kind
    paths: tuple[Path, ...]


def archives_in(folder: Path) -> list[Archive]:
    """Return the archives that lie directly in a folder, by name.

    Raises:
        ConfigError: a volume or part is missing.
    """
    return _archives(_files_in(folder))


def archive_with(path: Path) -> Archive | None:
    """Return the archive that a file is, or is a part of; None if its name is no archive's.

    Raises:
        ConfigError: a volume or part is missing beside it.
    """
    related = [file for file in _files_in(path.parent) if _base(file) == _base(path)]
    return next((found for found in _archives(related) if path in found.paths), None)


def plain_tar_name(name: str) -> str | None:
    """Return what a packed tar is called when its compression is undone; None if it is none."""
    for suffix in _PACKED_TARS:
        if name.lower().endswith(suffix):
            return f"{name[: -len(suffix)]}.tar"
    return None


def _files_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as err:
        raise ConfigError(f"{folder}: {err.strerror}") from err


def _base(path: Path) -> str:
    """Return what the names of one archive's files have in common."""
    for pattern in (_VOLUME, _NUMBERED, _LETTERED):
        match = pattern.fullmatch(path.name)
        if match is not None:
            return match["name"].removesuffix(".zip")
    return path.stem if path.suffix.lower() == ".zip" else path.name


def _archives(paths: Sequence[Path]) -> list[Archive]:
    found = [*_volumes(paths), *_numbered(paths), *_lettered(paths)]
    taken = {path for archive in found for path in archive.paths}
    found += [
        Archive(name=path.name, kind=kind, paths=(path,))
        for path in paths
        if path not in taken and (kind := _kind(path)) is not None
    ]
    return sorted(found, key=lambda archive: archive.name)


def _kind(path: Path) -> Kind | None:
    name = path.name.lower()
    if name.startswith("."):
        return None
    if name.endswith(_PACKED):
        return Kind.PACKED
    return {".zip": Kind.ZIP, ".tar": Kind.TAR}.get(path.suffix.lower())


def _volumes(paths: Iterable[Path]) -> list[Archive]:
    archives = []
    for name, numbered in _groups(paths, _VOLUME, "number").items():
        last = next(
            (path for path in paths if path.stem == name and path.suffix.lower() == ".zip"), None
        )
        first = next(iter(numbered.values()))
        _check_complete(sorted(int(number) for number in numbered), start=1, first=first)
        if last is None:
            raise ConfigError(
                f"{first.parent} holds {first.name}, but not {name}.zip, the last volume of that "
                "archive and its directory; get it too"
            )
        volumes = [numbered[number] for number in sorted(numbered, key=int)]
        archives.append(Archive(name=last.name, kind=Kind.VOLUMES, paths=(*volumes, last)))
    return archives


def _numbered(paths: Iterable[Path]) -> list[Archive]:
    archives = []
    for name, parts in _groups(paths, _NUMBERED, "number").items():
        first = next(iter(parts.values()))
        _check_complete(sorted(int(number) for number in parts), start=1, first=first)
        ordered = tuple(parts[number] for number in sorted(parts))
        archives.append(Archive(name=name, kind=Kind.PARTS, paths=ordered))
    return archives


def _lettered(paths: Iterable[Path]) -> list[Archive]:
    archives = []
    for name, parts in _groups(paths, _LETTERED, "letters").items():
        numbers = sorted(26 * ord(letters[0]) + ord(letters[1]) for letters in parts)
        _check_complete(numbers, start=27 * ord("a"), first=next(iter(parts.values())))
        ordered = tuple(parts[letters] for letters in sorted(parts))
        archives.append(Archive(name=f"{name}.zip", kind=Kind.PARTS, paths=ordered))
    return archives


def _groups(
    paths: Iterable[Path], pattern: re.Pattern[str], what: str
) -> dict[str, dict[str, Path]]:
    groups: dict[str, dict[str, Path]] = {}
    for path in paths:
        match = pattern.fullmatch(path.name)
        if match is not None:
            groups.setdefault(match["name"], {})[match[what]] = path
    return groups


def _check_complete(numbers: Sequence[int], *, start: int, first: Path) -> None:
    missing = [number for number in range(start, start + len(numbers)) if number not in numbers]
    if missing:
        raise ConfigError(
            f"{first.parent} holds {len(numbers)} parts with {first.name}, but not number "
            f"{missing[0] - start + 1}; get every part, and keep their names as published"
        )

import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from jobs.sources import open_source, unpacking
from jobs.sources.unpacking import unpack_tars
from shardwriter.errors import ConfigError, StorageError
from tests.jobs.archive_builders import tar_bytes, zip_bytes
from tests.jobs.builders import tree, write_folder

FILES = {"UrbanSound8K/metadata/UrbanSound8K.csv": b"x" * 700, "UrbanSound8K/audio/1.wav": b"1"}
Usage = namedtuple("Usage", "total used free")


def packed(mode: str = "w:gz") -> bytes:
    return tar_bytes(FILES, mode=mode)


@pytest.mark.parametrize(
    ("name", "mode"),
    [("x.tar.gz", "w:gz"), ("x.tgz", "w:gz"), ("x.tar.bz2", "w:bz2"), ("x.tar.xz", "w:xz")],
)
def test_packed_tar_is_read_by_name_once_it_is_unpacked(
    tmp_path: Path, name: str, mode: str
) -> None:
    write_folder(tmp_path, {name: packed(mode)})
    source = open_source(str(tmp_path / name), unpack_into=tmp_path / "work")
    assert {member: source.read(member) for member in source.names()} == FILES
    assert source.url == str(tmp_path / "work" / "x.tar")
    again = open_source(source.url)  # as a worker opens it
    assert again.names() == source.names()


def test_packed_tars_of_a_folder_are_unpacked_beside_its_other_files(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a.tar.gz": packed(), "b.zip": zip_bytes({"c.csv": b"c"})})
    source = open_source(str(tmp_path), unpack_into=tmp_path)
    assert source.url == str(tmp_path)
    assert list(source.names()) == [*(f"a.tar/{name}" for name in sorted(FILES)), "b.zip/c.csv"]
    assert source.unread == ()
    assert open_source(str(tmp_path)).names() == source.names()


def test_packed_tar_is_passed_over_where_its_plain_one_lies_beside_it(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a.tar.gz": packed(), "a.tar": tar_bytes(FILES)})
    assert list(open_source(str(tmp_path / "a.tar.gz")).names()) == sorted(FILES)


def test_tars_are_not_parted_from_the_files_beside_them(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "set", {"a.tar.gz": packed(), "list.csv": b""})
    with pytest.raises(ConfigError, match=r"also holds list\.csv, which is read together"):
        open_source(str(folder), unpack_into=tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_what_was_unpacked_before_is_not_unpacked_again(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(packed())
    os.utime(path, (1e9, 1e9))
    path.chmod(0o640)
    sizes: list[int] = []
    first = unpack_tars(str(path), tmp_path / "work", advance=sizes.append)
    made = Path(first).stat()
    assert (made.st_mtime, made.st_mode & 0o777) == (1e9, 0o640)
    assert sum(sizes) == len(tar_bytes(FILES))
    assert unpack_tars(str(path), tmp_path / "work", advance=sizes.append) == first
    assert sum(sizes) == len(tar_bytes(FILES))
    os.utime(path, (2e9, 2e9))
    with pytest.raises(ConfigError, match="is older than"):
        unpack_tars(str(path), tmp_path / "work")


@pytest.mark.parametrize("place", ["", "plain.tar", "x.zip", "none"])
def test_places_without_packed_tars_stay_as_they_are(tmp_path: Path, place: str) -> None:
    write_folder(tmp_path, {"plain.tar": tar_bytes(FILES), "x.zip": zip_bytes(FILES)})
    at = str(tmp_path / place)
    assert unpack_tars(at, tmp_path / "work") == at
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-9],
        lambda data: data[: len(data) // 2],
        lambda data: data[:-8] + b"\0\0\0\0" + data[-4:],
        lambda data: b"not gzip at all",
    ],
)
def test_damaged_archive_is_refused_and_leaves_nothing_behind(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    write_folder(tmp_path, {"a.tar.gz": damage(packed())})
    with pytest.raises(ConfigError, match=r"a\.tar\.gz is cut or damaged: .*get it again"):
        open_source(str(tmp_path / "a.tar.gz"), unpack_into=tmp_path / "work")
    assert tree(tmp_path / "work") == {}


def test_an_archive_can_t_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "_PIECE_BYTES", 1000)
    free = iter([5 << 30, 2 << 30, 1 << 30])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, next(free)))
    write_folder(tmp_path, {"a.tar.gz": packed()})
    with pytest.raises(StorageError, match=r"unpacks to over 2,000 bytes, and .* has no room"):
        unpack_tars(str(tmp_path / "a.tar.gz"), tmp_path / "work")
    assert tree(tmp_path / "work") == {}


def test_folder_that_can_t_be_written_is_a_storage_error(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a.tar.gz": packed(), "work": b"a file"})
    with pytest.raises(StorageError, match=r"a\.tar\.gz can't be unpacked to"):
        unpack_tars(str(tmp_path / "a.tar.gz"), tmp_path / "work")

import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.sources import ZipSource, open_source
from shardwriter.errors import ConfigError, StorageError
from tests.jobs.archive_builders import split_zip, write_split_zip

RNG = random.Random(0)
FILES = {f"FSD50K.dev_audio/{number}.wav": RNG.randbytes(700 + number) for number in range(20)}
NAME = "FSD50K.dev_audio"


def volumes_in(folder: Path) -> list[Path]:
    return write_split_zip(folder, NAME, FILES, volume_bytes=3000)


def test_members_of_all_volumes_are_read_those_across_volumes_too(tmp_path: Path) -> None:
    paths = volumes_in(tmp_path)
    assert [path.name for path in paths][-2:] == ["FSD50K.dev_audio.z05", "FSD50K.dev_audio.zip"]
    source = ZipSource.of_volumes(paths)
    assert list(source.names()) == sorted(FILES)
    assert {name: source.read(name) for name in source.names()} == FILES


@pytest.mark.parametrize("suffix", [".zip", ".z01", ".z03"])
def test_any_volume_stands_for_the_archive(tmp_path: Path, suffix: str) -> None:
    volumes_in(tmp_path)
    source = open_source(str(tmp_path / f"{NAME}{suffix}"))
    assert source.read("FSD50K.dev_audio/7.wav") == FILES["FSD50K.dev_audio/7.wav"]
    assert open_source(source.url).names() == source.names()


@pytest.mark.skipif(shutil.which("zip") is None, reason="Info-ZIP is not installed")
def test_volumes_that_info_zip_made_are_read(tmp_path: Path) -> None:
    files = {f"audio/{number}.wav": RNG.randbytes(40_000) for number in range(8)}
    for name, data in files.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    command = ["zip", "-q", "-r", "-s", "64k", "../split.zip", "audio"]
    subprocess.run(command, cwd=tmp_path / "in", check=True, timeout=60)
    assert (tmp_path / "split.z04").is_file()
    source = open_source(str(tmp_path / "split.zip"))
    assert {name: source.read(name) for name in source.names()} == files


def test_offsets_and_sizes_may_be_in_the_zip64_field(tmp_path: Path) -> None:
    paths = volumes_in(tmp_path)
    data = bytearray(paths[-1].read_bytes())
    entry = data.index(b"PK\1\2")  # the first one of this volume
    name_bytes, extra_bytes = struct.unpack_from("<2H", data, entry + 28)
    packed, size = struct.unpack_from("<2L", data, entry + 20)
    (volume,) = struct.unpack_from("<H", data, entry + 34)
    (offset,) = struct.unpack_from("<L", data, entry + 42)
    assert extra_bytes == 0
    field = struct.pack("<2H3QL", 1, 28, size, packed, offset, volume)
    struct.pack_into("<2L", data, entry + 20, 0xFFFFFFFF, 0xFFFFFFFF)
    struct.pack_into("<H", data, entry + 30, len(field))
    struct.pack_into("<H", data, entry + 34, 0xFFFF)
    struct.pack_into("<L", data, entry + 42, 0xFFFFFFFF)
    data[entry + 46 + name_bytes : entry + 46 + name_bytes] = field
    end = data.rindex(b"PK\5\6")
    (num_bytes,) = struct.unpack_from("<L", data, end + 12)
    struct.pack_into("<L", data, end + 12, num_bytes + len(field))
    paths[-1].write_bytes(data)
    source = ZipSource.of_volumes(paths)
    assert {name: source.read(name) for name in source.names()} == FILES


@pytest.mark.parametrize("missing", [0, 2])
def test_missing_volume_is_named(tmp_path: Path, missing: int) -> None:
    paths = volumes_in(tmp_path)
    paths[missing].unlink()
    with pytest.raises(ConfigError, match=rf"but not number {missing + 1}; get every part"):
        open_source(str(tmp_path))


def test_last_but_one_volume_missing_is_told_by_the_directory(tmp_path: Path) -> None:
    paths = volumes_in(tmp_path)
    paths[-2].unlink()
    with pytest.raises(ConfigError, match=r"it is volume 6 of its archive, and 5 are here"):
        open_source(str(paths[-1]))


def test_volumes_without_the_zip_are_told_which_file_lacks(tmp_path: Path) -> None:
    volumes_in(tmp_path)[-1].unlink()
    with pytest.raises(ConfigError, match=r"but not FSD50K\.dev_audio\.zip, the last volume"):
        open_source(str(tmp_path))


def test_last_volume_alone_is_refused(tmp_path: Path) -> None:
    for path in volumes_in(tmp_path)[:-1]:
        path.unlink()
    with pytest.raises(ConfigError, match=r"dev_audio\.zip .* 1 are here; get every volume"):
        open_source(str(tmp_path / f"{NAME}.zip"))


def test_members_of_a_volume_that_was_cut_are_storage_errors(tmp_path: Path) -> None:
    paths = volumes_in(tmp_path)
    paths[0].write_bytes(paths[0].read_bytes()[:-100])
    source = ZipSource.of_volumes(paths)
    with pytest.raises(StorageError, match=r"FSD50K\.dev_audio\.zip: FSD50K\.dev_audio/3\.wav"):
        source.read("FSD50K.dev_audio/3.wav")
    assert source.read("FSD50K.dev_audio/0.wav") == FILES["FSD50K.dev_audio/0.wav"]


@pytest.mark.parametrize(
    ("at", "value", "problem"),
    [
        (12, 0x7FFFFFFF, "its directory says 2147483647 bytes"),
        (16, 0x7FFFFFFF, "points to byte"),
        (10, 60_000, "its directory is damaged at member 21"),
    ],
)
def test_directory_that_lies_about_itself_is_refused(
    tmp_path: Path, at: int, value: int, problem: str
) -> None:
    paths = volumes_in(tmp_path)
    data = bytearray(paths[-1].read_bytes())
    end = data.rindex(b"PK\5\6")
    struct.pack_into("<H" if at == 10 else "<L", data, end + at, value)
    paths[-1].write_bytes(data)
    with pytest.raises(ConfigError, match=problem):
        ZipSource.of_volumes(paths)


def test_entry_that_points_into_a_volume_that_is_not_there_is_refused(tmp_path: Path) -> None:
    paths = volumes_in(tmp_path)
    data = bytearray(paths[-1].read_bytes())
    struct.pack_into("<H", data, data.index(b"PK\1\2") + 34, 77)
    paths[-1].write_bytes(data)
    with pytest.raises(ConfigError, match="points into volume 78, there are 6"):
        ZipSource.of_volumes(paths)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damage_anywhere_gives_the_true_bytes_or_an_error_of_ours(
    tmp_path: Path, data: st.DataObject
) -> None:
    volumes = split_zip(FILES, volume_bytes=3000)
    number = data.draw(st.sampled_from([0, len(volumes) - 2, len(volumes) - 1]))
    damaged = bytearray(volumes[number])
    position = data.draw(st.integers(0, len(damaged) - 1))
    damaged[position] ^= data.draw(st.integers(1, 255))
    paths = [tmp_path / f"{place}" for place in range(len(volumes))]
    for place, path in enumerate(paths):
        path.write_bytes(damaged if place == number else volumes[place])
    try:
        source = ZipSource.of_volumes(paths)
        names = source.names()
    except ConfigError:
        return
    for name in names:
        try:
            held = source.read(name)
        except StorageError:
            continue
        assert name not in FILES or held == FILES[name]

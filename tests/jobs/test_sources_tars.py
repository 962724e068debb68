import io
import tarfile
from pathlib import Path

import pytest

import jobs.sources.source
from jobs.sources import TarSource, open_source
from shardwriter.errors import ConfigError, StorageError
from tests.jobs.archive_builders import tar_bytes

FILES = {"genres/blues/blues.00000.wav": b"blues" * 300, "genres/pop/pop.00001.wav": b"", "a": b"1"}


def write_tar(folder: Path, data: bytes) -> Path:
    path = folder / "genres.tar"
    path.write_bytes(data)
    return path


def tar_with(info: tarfile.TarInfo) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(info)
    return file.getvalue()


def test_members_are_listed_and_read_in_any_order(tmp_path: Path) -> None:
    source = open_source(str(write_tar(tmp_path, tar_bytes(FILES))))
    assert list(source.names()) == sorted(FILES)
    assert {name: source.read(name) for name in reversed(source.names())} == FILES
    assert source.find("blues.00000.wav") == "genres/blues/blues.00000.wav"


def test_names_that_begin_with_the_current_folder_are_the_plain_ones(tmp_path: Path) -> None:
    source = TarSource(write_tar(tmp_path, tar_bytes({"./x/1.wav": b"one"})))
    assert source.read("x/1.wav") == b"one"


def test_headers_are_passed_without_reading_what_lies_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tar(tmp_path, tar_bytes({f"{n}.wav": bytes(1_000_000) for n in range(5)}))
    sizes: list[int] = []
    read = jobs.sources.tars.os.pread

    def spy(descriptor: int, num_bytes: int, offset: int) -> bytes:
        data = read(descriptor, num_bytes, offset)
        sizes.append(len(data))
        return data

    monkeypatch.setattr(jobs.sources.tars.os, "pread", spy)
    assert len(TarSource(path).names()) == 5
    assert sum(sizes) < 20_000


@pytest.mark.parametrize("name", ["../../etc/cron.d/job", "/etc/passwd", "x/../../y"])
def test_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    path = write_tar(tmp_path, tar_with(tarfile.TarInfo(name)))
    with pytest.raises(ConfigError, match=r"genres\.tar at byte 0: a member is refused"):
        open_source(str(path))


@pytest.mark.parametrize(
    ("kind", "what"),
    [(tarfile.SYMTYPE, "a symbolic link"), (tarfile.LNKTYPE, "a hard link")],
)
def test_link_is_refused_with_the_way_out(tmp_path: Path, kind: bytes, what: str) -> None:
    info = tarfile.TarInfo("audio/1.wav")
    info.type, info.linkname = kind, "/etc/passwd"
    path = write_tar(tmp_path, tar_with(info))
    with pytest.raises(ConfigError, match=rf"is {what}.*; get it again, or unpack it"):
        open_source(str(path))


@pytest.mark.parametrize("keep", [100, 1000, 1536])
def test_cut_tar_is_refused(tmp_path: Path, keep: int) -> None:
    path = write_tar(tmp_path, tar_bytes(FILES)[:keep])
    with pytest.raises(ConfigError, match=r"genres\.tar at byte"):
        open_source(str(path))


def test_member_over_the_bound_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = TarSource(write_tar(tmp_path, tar_bytes(FILES)))
    monkeypatch.setattr(jobs.sources.source, "MAX_FILE_BYTES", 1000)
    with pytest.raises(StorageError, match=r"blues\.00000\.wav unpacks to 1500 bytes"):
        source.read("genres/blues/blues.00000.wav")


def test_member_that_is_not_there_is_a_storage_error(tmp_path: Path) -> None:
    source = TarSource(write_tar(tmp_path, tar_bytes(FILES)))
    with pytest.raises(StorageError, match="holds no absent"):
        source.read("absent")


def test_packed_tar_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "genres.tar.gz"
    path.write_bytes(tar_bytes(FILES, mode="w:gz"))
    with pytest.raises(ConfigError, match=r"only be read from front to back: .*`gunzip --keep`"):
        open_source(str(path))

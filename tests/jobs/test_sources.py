import os
import struct
import zipfile
from pathlib import Path

import pytest

import jobs.sources.source
from jobs.sources import FolderSource, Source, ZipSource, open_source
from shardwriter.errors import ConfigError, StorageError
from tests.jobs.builders import write_folder, write_zip

FILES = {
    "meta/esc50.csv": b"filename\n",
    "audio/1-1-A-0.wav": b"wav one",
    "audio/1-1-A-0.ogg": b"ogg one",
    "audio/1-2-A-0.ogg": b"ogg two",
    "audio/.1-3-A-0.wav": b"hidden",
    "__MACOSX/audio/._1-2-A-0.wav": b"resource fork",
    "odd/näme with spaces & [brackets] 日本 \n.txt": b"odd",
    "README.md": b"",
}


@pytest.fixture(params=["folder", "zip", "zip with a top folder"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    """The same files three ways."""
    if request.param == "folder":
        return open_source(str(write_folder(tmp_path / "files", FILES)))
    top = "ESC-50-master/" if "top" in request.param else ""
    return open_source(str(write_zip(tmp_path / "files.zip", FILES, top=top)))


def test_every_file_is_listed_in_order_and_read(source: Source) -> None:
    top = "ESC-50-master/" if source.names()[0].startswith("ESC-50-master/") else ""
    assert list(source.names()) == sorted(top + name for name in FILES)
    assert {name.removeprefix(top): source.read(name) for name in source.names()} == FILES


def test_find_takes_a_name_at_any_depth_and_only_whole_parts_of_it(source: Source) -> None:
    found = source.find("meta/esc50.csv")
    assert found in {"meta/esc50.csv", "ESC-50-master/meta/esc50.csv"}
    assert source.find("esc50.csv") == found
    assert source.find("sc50.csv") is None
    assert source.find("absent.csv") is None


def test_file_of_a_stem_is_the_one_with_the_preferred_suffix(source: Source) -> None:
    files = source.files_by_stem((".wav", ".ogg"))
    assert {stem: source.read(name) for stem, name in files.items()} == {
        "1-1-A-0": b"wav one",
        "1-2-A-0": b"ogg two",
    }
    assert source.read(source.files_by_stem((".ogg", ".wav"))["1-1-A-0"]) == b"ogg one"


def test_find_prefers_the_shortest_name(tmp_path: Path) -> None:
    files = {"backup/old/meta/esc50.csv": b"", "z/meta/esc50.csv": b"", "b/meta/esc50.csv": b""}
    assert FolderSource(write_folder(tmp_path, files)).find("meta/esc50.csv") == "b/meta/esc50.csv"


def test_place_that_is_not_there_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no folder or archive at .*nowhere; give the place"):
        open_source(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04" + bytes(100)])
def test_file_that_is_no_zip_is_a_config_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ESC-50.zip"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"ESC-50\.zip is not a readable zip"):
        open_source(str(path))


def test_zip_that_was_cut_is_a_config_error(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "ESC-50.zip", FILES)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ConfigError, match="is not a readable zip"):
        open_source(str(path))


def test_file_that_has_gone_is_a_storage_error_naming_it(tmp_path: Path) -> None:
    source = FolderSource(write_folder(tmp_path, {"audio/1.wav": b"x"}))
    (tmp_path / "audio" / "1.wav").unlink()
    with pytest.raises(StorageError, match=r"audio/1\.wav: No such file"):
        source.read("audio/1.wav")


def test_names_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    write_folder(tmp_path, {"audio/1-1-A-0.wav": b"x"})
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.wav"))).write_bytes(b"")
    source = FolderSource(tmp_path)
    assert len(source.names()) == 2
    assert source.files_by_stem((".wav",))["1-1-A-0"] == "audio/1-1-A-0.wav"


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_damaged_member_is_a_storage_error_naming_it_wherever_the_damage_is(
    tmp_path: Path, method: int
) -> None:
    content = bytes(range(256)) * 2 + b"x" * 300
    path = tmp_path / "files.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("audio/1.wav", content)
        start = archive.getinfo("audio/1.wav").header_offset
        end = archive.start_dir
    data = path.read_bytes()
    for position in range(start, end):
        path.write_bytes(data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :])
        source = ZipSource(path)
        try:
            held = source.read("audio/1.wav")
        except StorageError as err:
            assert "audio/1.wav" in str(err)  # noqa: PT017  # some bytes of the header don't count
        else:
            assert held == content


def test_member_that_unpacks_to_more_than_the_bound_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_zip(tmp_path / "bomb.zip", {"bomb.wav": bytes(100_001), "fits.wav": bytes(100)})
    monkeypatch.setattr(jobs.sources.source, "MAX_FILE_BYTES", 100_000)
    source = ZipSource(path)
    with pytest.raises(
        StorageError, match=r"bomb\.wav unpacks to 100001 bytes, allowed are 100000"
    ):
        source.read("bomb.wav")
    assert source.read("fits.wav") == bytes(100)


def test_member_that_unpacks_to_more_than_it_says_is_not_unpacked_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 50_000_000
    path = write_zip(tmp_path / "liar.zip", {"liar.wav": bytes(size)})
    path.write_bytes(path.read_bytes().replace(struct.pack("<L", size), struct.pack("<L", 1000)))
    asked: list[int] = []
    read = zipfile.ZipExtFile.read

    def spy(self: zipfile.ZipExtFile, n: int | None = -1) -> bytes:
        asked.append(-1 if n is None else n)
        return read(self, n)

    monkeypatch.setattr(zipfile.ZipExtFile, "read", spy)
    with pytest.raises(StorageError, match=r"liar\.wav"):
        ZipSource(path).read("liar.wav")
    assert asked == [1000]


def test_encrypted_member_is_a_storage_error(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "secret.zip", {"audio/1.wav": b"secret"})
    data = bytearray(path.read_bytes())
    for signature, flags_at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + flags_at] |= 1
    path.write_bytes(data)
    with pytest.raises(StorageError, match=r"audio/1\.wav: .*encrypted"):
        ZipSource(path).read("audio/1.wav")


def test_member_of_an_unknown_compression_is_a_storage_error(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "odd.zip", {"audio/1.wav": b"compressed in another way"})
    data = bytearray(path.read_bytes())
    for signature, method_at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        data[data.index(signature) + method_at] = 97
    path.write_bytes(data)
    with pytest.raises(StorageError, match=r"audio/1\.wav: .*compression"):
        ZipSource(path).read("audio/1.wav")


def test_zip_of_a_version_that_is_not_known_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "damaged.zip", {"a.wav": b"x" * 99})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 6] = 84  # the version needed to read it: 8.4
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"damaged\.zip is not a readable zip: zip file version"):
        ZipSource(path)

import pickle
from pathlib import Path

import pytest

from jobs.sources import FolderSource, open_source
from jobs.sources.archives import Kind, archives_in
from jobs.sources.stored import StoredSource
from shardwriter.errors import ConfigError, StorageError
from shardwriter.storage import LocalStore
from tests.jobs.archive_builders import tar_bytes, write_parts, write_split_zip, zip_bytes
from tests.jobs.builders import write_folder

WAVS = {f"wav/id10001/video/{number:05d}.wav": bytes([number]) * 900 for number in range(4)}


def test_archives_and_own_files_are_one_namespace(tmp_path: Path) -> None:
    write_split_zip(tmp_path, "dev_audio", WAVS, volume_bytes=200)
    (tmp_path / "more.tar").write_bytes(tar_bytes({"wav/extra.wav": b"extra"}))
    (tmp_path / "truth.zip").write_bytes(zip_bytes({"truth/dev.csv": b"fname\n"}))
    write_folder(tmp_path, {"notes/README.txt": b"own"})
    source = open_source(str(tmp_path))
    assert list(source.names()) == [
        *(f"dev_audio.zip/{name}" for name in WAVS),
        "more.tar/wav/extra.wav",
        "notes/README.txt",
        "truth.zip/truth/dev.csv",
    ]
    assert source.read("notes/README.txt") == b"own"
    assert source.read("more.tar/wav/extra.wav") == b"extra"
    found = source.find("truth/dev.csv")
    assert found is not None
    assert source.read(found) == b"fname\n"
    for name, data in WAVS.items():
        assert source.read(f"dev_audio.zip/{name}") == data


def test_two_archives_may_hold_the_same_names(tmp_path: Path) -> None:
    for place in ("vox1_dev_wav.zip", "vox1_test_wav.zip"):
        (tmp_path / place).write_bytes(zip_bytes({"wav/README": place.encode()}))
    source = open_source(str(tmp_path))
    assert {source.read(name) for name in source.names()} == {
        b"vox1_dev_wav.zip",
        b"vox1_test_wav.zip",
    }


@pytest.mark.parametrize(
    "names",
    [
        [f"vox1_dev_wav_parta{letter}" for letter in "abcd"],
        ["mp3.zip.001", "mp3.zip.002", "mp3.zip.003"],
    ],
)
def test_parts_are_read_as_one_zip(tmp_path: Path, names: list[str]) -> None:
    paths = write_parts(tmp_path, names, zip_bytes(WAVS))
    (archive,) = archives_in(tmp_path)
    assert (archive.kind, archive.paths) == (Kind.PARTS, tuple(paths))
    assert archive.name in ("vox1_dev_wav.zip", "mp3.zip")
    for place in (tmp_path, paths[1]):
        source = open_source(str(place))
        assert sorted(source.read(name) for name in source.names()) == sorted(WAVS.values())


def test_more_than_26_parts_are_in_order(tmp_path: Path) -> None:
    names = [
        f"big_part{first}{second}" for first in "ab" for second in "abcdefghijklmnopqrstuvwxyz"
    ]
    write_parts(tmp_path, names, zip_bytes(WAVS))
    assert len(open_source(str(tmp_path)).names()) == 4


@pytest.mark.parametrize("missing", ["vox1_dev_wav_partaa", "vox1_dev_wav_partac"])
def test_missing_part_is_told(tmp_path: Path, missing: str) -> None:
    write_parts(tmp_path, [f"vox1_dev_wav_parta{letter}" for letter in "abcd"], zip_bytes(WAVS))
    (tmp_path / missing).unlink()
    with pytest.raises(
        ConfigError, match=r"holds 3 parts with vox1_dev_wav_parta., but not number"
    ):
        open_source(str(tmp_path))


def test_missing_last_part_is_told_when_the_archive_is_opened(tmp_path: Path) -> None:
    paths = write_parts(tmp_path, ["x_partaa", "x_partab", "x_partac"], zip_bytes(WAVS))
    paths[-1].unlink()
    with pytest.raises(ConfigError, match="x_partaa is not a readable zip"):
        open_source(str(tmp_path)).names()


def test_packed_archive_is_not_opened_and_said_so(tmp_path: Path) -> None:
    (tmp_path / "UrbanSound8K.tar.gz").write_bytes(b"")
    write_folder(tmp_path, {"meta/x.csv": b"x"})
    source = open_source(str(tmp_path))
    assert list(source.names()) == ["meta/x.csv"]
    assert "UrbanSound8K.tar.gz can only be read from front to back" in source.unread[0]


def test_archives_of_others_beside_a_chosen_one_don_t_matter(tmp_path: Path) -> None:
    (tmp_path / "ESC-50.zip").write_bytes(zip_bytes({"meta/esc50.csv": b"x"}))
    (tmp_path / "other.z02").write_bytes(b"half of something")
    assert open_source(str(tmp_path / "ESC-50.zip")).find("esc50.csv") == "meta/esc50.csv"


def test_a_worker_opens_only_the_archive_that_it_reads_from(tmp_path: Path) -> None:
    (tmp_path / "good.zip").write_bytes(zip_bytes({"1.wav": b"one"}))
    (tmp_path / "bad.zip").write_bytes(b"not a zip")
    url = pickle.loads(pickle.dumps(open_source(str(tmp_path)).url))
    assert open_source(url).read("good.zip/1.wav") == b"one"
    with pytest.raises(ConfigError, match=r"bad\.zip is not a readable zip"):
        open_source(url).names()


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "audio/../../secret"])
def test_no_name_leads_out_of_a_folder(tmp_path: Path, name: str) -> None:
    write_folder(tmp_path, {"secret": b"secret", "root/audio/1.wav": b"x"})
    with pytest.raises(StorageError, match="leads out of"):
        FolderSource(tmp_path / "root").read(name)


@pytest.mark.parametrize("name", ["../1.wav", "/1.wav", "a/../../1.wav", "..\\1.wav"])
def test_zip_with_a_member_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.zip").write_bytes(zip_bytes({"fine.wav": b"", name: b""}))
    with pytest.raises(ConfigError, match="leads out of the archive"):
        open_source(str(tmp_path / "x.zip"))


def test_objects_of_a_store_are_a_source(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    with store.lock_for_writing():
        store.put("audio/1.wav", b"one")
    source = StoredSource(store)
    assert list(source.names()) == ["audio/1.wav"]
    assert source.read("audio/1.wav") == b"one"
    assert source.files_by_stem((".wav",)) == {"1": "audio/1.wav"}

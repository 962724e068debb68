import zipfile
from pathlib import Path

import pytest

from jobs.availability.outcome import Code, Group, Outcome
from jobs.catalogues.catalogue import ClipRef
from jobs.fetching.fetcher import SourceAudio
from jobs.fetching.own_files import OwnFilesFetcher
from jobs.fetching.s3 import S3Fetcher
from shardwriter.errors import ConfigError

BODY = bytes(range(256)) * 40


def clip(file: str | None) -> ClipRef:
    return ClipRef(id="made/a", file=file, split="train", labels=("noise",))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "set" / "audio").mkdir(parents=True)
    (tmp_path / "set" / "audio" / "a.wav").write_bytes(BODY)
    return tmp_path / "set"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("audio/a.wav", BODY)
        opened.writestr("audio/b.wav", BODY)
    return path


def fetch(place: Path, file: str | None, kind: str = "folder") -> SourceAudio | Outcome:
    with OwnFilesFetcher(str(place), kind=kind).open() as fetcher:
        assert fetcher.kind == kind
        return fetcher.fetch(clip(file))


@pytest.mark.parametrize(("place", "kind"), [("folder", "folder"), ("archive", "zip")])
def test_a_file_comes_as_it_lies_there(request, place: str, kind: str) -> None:
    got = fetch(request.getfixturevalue(place), "audio/a.wav", kind)
    assert isinstance(got, SourceAudio)
    assert (got.data, got.num_bytes, got.file) == (BODY, len(BODY), "audio/a.wav")


@pytest.mark.parametrize("file", [None, "audio/none.wav"])
def test_a_file_that_is_not_there_says_nothing_of_other_sources(folder: Path, file) -> None:
    got = fetch(folder, file)
    assert isinstance(got, Outcome)
    assert (got.code, got.group) == (Code.MEMBER_MISSING, Group.ABSENT)


@pytest.mark.parametrize("file", ["../secret", "audio/../../secret", "/etc/passwd", "a\0b", ""])
def test_a_name_from_a_csv_can_not_lead_out_of_the_source(folder: Path, file: str) -> None:
    (folder.parent / "secret").write_bytes(b"secret")
    with S3Fetcher(f"file://{folder}").open() as store:
        outcomes = [fetch(folder, file), store.fetch(clip(file))]
    for outcome in outcomes:
        assert isinstance(outcome, Outcome)
        assert outcome.code is Code.MEMBER_MISSING


def test_a_damaged_member_does_not_decode_and_the_others_do(archive: Path) -> None:
    data = bytearray(archive.read_bytes())
    data[data.index(BODY) + 5] ^= 1
    archive.write_bytes(data)
    got = fetch(archive, "audio/a.wav", "zip")
    assert isinstance(got, Outcome)
    assert got.code is Code.DECODE_ERROR
    assert "audio/a.wav" in got.evidence.text
    assert isinstance(fetch(archive, "audio/b.wav", "zip"), SourceAudio)


def test_a_disk_that_fails_is_ours(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(path: Path) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", failing)
    got = fetch(folder, "audio/a.wav")
    assert isinstance(got, Outcome)
    assert (got.code, got.group) == (Code.DISK, Group.OURS)


def test_a_place_that_is_not_there_is_said_before_the_first_clip(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError),
        OwnFilesFetcher(str(tmp_path / "none"), kind="folder").open(),
    ):
        pass


def test_a_store_is_read_by_name(folder: Path) -> None:
    with S3Fetcher(f"file://{folder}").open() as fetcher:
        got = fetcher.fetch(clip("audio/a.wav"))
        assert isinstance(got, SourceAudio)
        assert got.data == BODY
        for file in ("audio/none.wav", None):
            missing = fetcher.fetch(clip(file))
            assert isinstance(missing, Outcome)
            assert missing.code is Code.MEMBER_MISSING


def test_an_object_over_the_bound_is_too_long(folder: Path) -> None:
    with S3Fetcher(f"file://{folder}", max_object_bytes=100).open() as fetcher:
        got = fetcher.fetch(clip("audio/a.wav"))
    assert isinstance(got, Outcome)
    assert got.code is Code.TOO_LONG

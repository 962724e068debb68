import hashlib
from pathlib import Path

from jobs.catalogues.description import PublishedFile
from jobs.catalogues.registry import DATASETS
from jobs.sources.checksums import ArchiveState, check_archives
from tests.jobs.archive_builders import write_parts

DATA = bytes(range(256)) * 40


def published(file: str, data: bytes = DATA) -> PublishedFile:
    return PublishedFile(file=file, url="", md5=hashlib.md5(data).hexdigest())


def states(folder: Path, *files: PublishedFile) -> list[ArchiveState]:
    return [check.state for check in check_archives(folder, files)]


def test_files_are_hashed_whole_and_parts_as_one(tmp_path: Path) -> None:
    (tmp_path / "one.zip").write_bytes(DATA)
    write_parts(tmp_path, ["x_partaa", "x_partab"], DATA)
    parts = (published("x_partaa", DATA[:5120]), published("x_partab", DATA[5120:]))
    seen: list[int] = []
    checks = check_archives(
        tmp_path, [published("one.zip"), *parts, published("x.zip")], advance=seen.append
    )
    assert [check.state for check in checks] == [ArchiveState.OK] * 4
    assert sum(seen) == 3 * len(DATA)


def test_what_is_wrong_is_told_apart(tmp_path: Path) -> None:
    for name in ("short.zip", "changed.zip", "unknown.zip"):
        (tmp_path / name).write_bytes(DATA[:-1] + b"!")
    short = PublishedFile(file="short.zip", url="", num_bytes=len(DATA) + 1, md5="0" * 32)
    unknown = PublishedFile(file="unknown.zip", url="")
    assert states(tmp_path, published("absent.zip"), short, published("changed.zip"), unknown) == [
        ArchiveState.MISSING,
        ArchiveState.WRONG_SIZE,
        ArchiveState.WRONG_CHECKSUM,
        ArchiveState.UNCHECKED,
    ]


def test_sha256_goes_before_md5(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(DATA)
    sha256 = hashlib.sha256(DATA).hexdigest()
    assert states(tmp_path, PublishedFile(file="x", url="", md5="0" * 32, sha256=sha256)) == [
        ArchiveState.OK
    ]


def test_every_published_file_has_a_checksum_of_the_right_length_or_none() -> None:
    own = [dataset for dataset in DATASETS if not dataset.archives_of]  # not another one's
    files = [file for dataset in own for file in dataset.archives]
    assert len({(file.file, file.url) for file in files}) == len(files) > 200
    for file in files:
        assert len(file.md5 or 32 * "0") == 32
        assert len(file.sha256 or 64 * "0") == 64
        assert file.url.startswith(("http://", "https://")) or "put together" in file.note

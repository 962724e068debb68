"""`melstream datasets`: what there is, what to get, whether the archives are whole."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from jobs import dataset_list
from jobs.catalogues.description import Dataset, PublishedFile
from jobs.catalogues.registry import DATASETS, find_dataset
from jobs.cli import main
from jobs.fetching.http_session import HttpOptions
from tests.jobs.builders import write_folder
from tests.jobs.fetching.site import Page, Site

DATA = b"an archive" * 1000
LOOPBACK = HttpOptions(allow_private_hosts=True)
MD5 = hashlib.md5(DATA, usedforsecurity=False).hexdigest()


def test_every_dataset_has_a_line_and_a_description(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(DATASETS)
    for dataset in DATASETS:
        assert main(["datasets", dataset.name]) == 0
        printed = capsys.readouterr().out
        for word in ("licence", "how to get it", "layout"):
            assert f"  {word} " in printed
        assert ("  counts " in printed) == bool(dataset.expected)


@pytest.mark.parametrize("name", [dataset.name for dataset in DATASETS])
def test_every_dataset_has_a_command_with_its_options(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exited:
        main(["ingest", name, "--help"])
    assert exited.value.code == 0
    printed = capsys.readouterr().out
    for option in find_dataset(name).options:
        assert f"--{option.name} " in printed
    assert ("--cookies" in printed) == find_dataset(name).has_videos


def test_unknown_dataset_is_refused_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["datasets", "fsd"]) == 2
    there_are = ", ".join(dataset.name for dataset in DATASETS)
    assert f"no dataset is called 'fsd'; there are {there_are}" in capsys.readouterr().err


def test_damaged_archive_is_told_and_ingest_refuses_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(tmp_path, {"FSD50K.doc.zip": b"damaged"})
    assert main(["datasets", "fsd50k", "--check", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "FSD50K.doc.zip: wrong checksum  expected md5" in printed
    assert "FSD50K.dev_audio.zip: missing" in printed
    command = ["ingest", "fsd50k", "--source", str(tmp_path), "--check-archives"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 1
    assert "not as published: FSD50K.doc.zip; download it again" in capsys.readouterr().err


def publish_at(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset of one file that is public and one that is not, at the site."""
    files = (
        PublishedFile(file="public.zip", url=site.url + "/public.zip", md5=MD5),
        PublishedFile(file="own.zip", url=site.url + "/own", note="needs a registration"),
    )
    dataset = replace(find_dataset("esc50"), name="made", title="Made")
    monkeypatch.setattr(Dataset, "archives", property(lambda self: files))
    monkeypatch.setattr(dataset_list, "find_dataset", lambda name: dataset)


def test_public_files_are_downloaded_checked_and_the_others_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Site().serving() as site:
        site.put("/public.zip", Page(body=DATA))
        publish_at(site, monkeypatch)
        for _ in range(2):
            assert dataset_list.download_archives("made", tmp_path, http=LOOPBACK) == 1
            captured = capsys.readouterr()
            assert "public.zip: ok" in captured.out
            assert "own.zip: needs a registration" in captured.out
            assert "1 of Made's files could not be had: own.zip" in captured.err
        assert site.paths() == ["/public.zip"]  # the second time it lies there
    assert (tmp_path / "public.zip").read_bytes() == DATA

import json
from pathlib import Path

import pytest

from jobs.catalogues.catalogue import Catalogue
from jobs.catalogues.reading import read_catalogue
from jobs.catalogues.registry import find_dataset
from jobs.fetching.open_fetcher import open_fetcher
from jobs.ingest import IngestOptions, ingest
from jobs.sources import open_source
from shardwriter.errors import ConfigError
from tests.jobs.archive_builders import write_split_zip, zip_bytes
from tests.jobs.builders import wav, write_folder
from tests.jobs.shard_records import records_of

FSD50K = find_dataset("fsd50k")
VOCABULARY = b"0,Animal,/m/0jbk\n1,Bark,/m/05tny_\n2,Gull_and_seagull,/m/01dwxx\n"
DEV = (
    b"fname,labels,mids,split\n"
    b'64760,"Bark,Animal","/m/05tny_,/m/0jbk",train\n'
    b"16399,Animal,/m/0jbk,train\n"
    b'16401,"Gull_and_seagull,Animal","/m/01dwxx,/m/0jbk",val\n'
)
EVAL = b"fname,labels,mids\n37199,Animal,/m/0jbk\n"
TRUTH = {
    "FSD50K.ground_truth/dev.csv": DEV,
    "FSD50K.ground_truth/eval.csv": EVAL,
    "FSD50K.ground_truth/vocabulary.csv": VOCABULARY,
}
CC0 = "http://creativecommons.org/publicdomain/zero/1.0/"


def page(uploader: str) -> dict[str, object]:
    return {
        "title": "Bark.wav",
        "description": "A dog",
        "tags": ["dog"],
        "license": CC0,
        "uploader": uploader,
    }


def pages(**uploaders: str) -> bytes:
    return json.dumps({clip: page(uploader) for clip, uploader in uploaders.items()}).encode()


METADATA = {
    "FSD50K.metadata/dev_clips_info_FSD50K.json": pages(
        **{"64760": "anna", "16399": "anna", "16401": "bert"}
    ),
    "FSD50K.metadata/eval_clips_info_FSD50K.json": pages(**{"37199": "carl"}),
}


def publish(folder: Path) -> Path:
    """The files of the Zenodo record, small: split zips of audio, and zips of the rest."""
    clips = {"dev": ("64760", "16399", "16401"), "eval": ("37199",)}
    for part, names in clips.items():
        files = {
            f"FSD50K.{part}_audio/{name}.wav": wav(0.3 + number / 10)
            for number, name in enumerate(names)
        }
        write_split_zip(folder, f"FSD50K.{part}_audio", files, volume_bytes=700)
    (folder / "FSD50K.ground_truth.zip").write_bytes(zip_bytes(TRUTH))
    (folder / "FSD50K.metadata.zip").write_bytes(zip_bytes(METADATA))
    return folder


def read(folder: Path, files: dict[str, bytes]) -> Catalogue:
    return read_catalogue(FSD50K, open_source(str(write_folder(folder, files))))


def test_published_archives_go_to_shards_and_back(tmp_path: Path) -> None:
    source = open_source(str(publish(tmp_path / "zenodo")))
    catalogue = read_catalogue(FSD50K, source)
    assert catalogue.warnings == ()
    out = tmp_path / "shards"
    options = IngestOptions(out=str(out), sample_rate_hz=16_000, num_workers=1, quiet=True)
    summary = ingest(catalogue, open_fetcher(source.url), options)
    assert (summary.num_written, summary.rejections) == (4, ())
    records = {record.id: record for record in records_of(out)}
    assert {name: record.split for name, record in records.items()} == {
        "fsd50k/64760": "train",
        "fsd50k/16399": "train",
        "fsd50k/16401": "val",
        "fsd50k/37199": "eval",
    }
    record = records["fsd50k/16401"]
    assert (record.labels, record.label_ids) == (("Gull_and_seagull", "Animal"), (2, 0))
    assert record.group == "bert"
    assert record.duration_seconds == pytest.approx(0.5, abs=0.001)
    assert record.metadata == {
        "mids": ["/m/01dwxx", "/m/0jbk"],
        "uploader": "bert",
        "licence": CC0,
        "title": "Bark.wav",
    }
    assert record.source is not None
    assert record.source.file == "FSD50K.dev_audio.zip/FSD50K.dev_audio/16401.wav"


def test_unpacked_folders_are_read_alike(tmp_path: Path) -> None:
    audio = {"FSD50K.dev_audio/64760.wav": b"", "FSD50K.eval_audio/37199.wav": b""}
    catalogue = read(tmp_path, TRUTH | METADATA | audio)
    assert {clip.id: clip.file for clip in catalogue.clips} == {
        "fsd50k/64760": "FSD50K.dev_audio/64760.wav",
        "fsd50k/16399": None,
        "fsd50k/16401": None,
        "fsd50k/37199": "FSD50K.eval_audio/37199.wav",
    }
    assert catalogue.labels == ("Animal", "Bark", "Gull_and_seagull")
    assert catalogue.label_codes["Bark"] == "/m/05tny_"


def test_without_the_metadata_uploader_and_licence_are_missing_and_said_so(tmp_path: Path) -> None:
    catalogue = read(tmp_path, TRUTH)
    assert {clip.group for clip in catalogue.clips} == {None}
    assert len(catalogue.warnings) == 2
    assert "neither uploader (as group) nor licence" in catalogue.warnings[0]


def test_every_count_that_differs_is_listed(tmp_path: Path) -> None:
    differences = [str(found) for found in read(tmp_path, TRUTH).differences]
    assert differences[:3] == [
        "clips of split train: expected 36,796, got 2",
        "clips of split val: expected 4,170, got 1",
        "clips of split eval: expected 10,231, got 1",
    ]
    assert differences[-1] == "classes: expected 200, got 3"


@pytest.mark.parametrize(
    ("name", "old", "new", "problem"),
    [
        ("dev.csv", b"64760,", b"../64760,", "line 2: fname is '../64760', expected a Freesound"),
        ("dev.csv", b",train\n16399", b",test\n16399", "line 2: split is 'test', expected train"),
        ("dev.csv", b"/m/05tny_,/m/0jbk", b"/m/0jbk,/m/05tny_", "line 2: labels .* don't agree"),
        ("dev.csv", b"Bark", b"Meow", "line 2: labels .* don't agree"),
        ("eval.csv", b"fname,labels,mids", b"fname,labels", "expected the columns fname,labels"),
        ("vocabulary.csv", b"1,Bark", b"2,Bark", "line 2: expected index 1 and a new label"),
        ("vocabulary.csv", b"1,Bark", b"1,Animal", "line 2: expected index 1 and a new label"),
    ],
)
def test_ground_truth_that_contradicts_itself_is_refused(
    tmp_path: Path, name: str, old: bytes, new: bytes, problem: str
) -> None:
    path = f"FSD50K.ground_truth/{name}"
    assert old in TRUTH[path]
    with pytest.raises(ConfigError, match=problem) as caught:
        read(tmp_path, TRUTH | {path: TRUTH[path].replace(old, new)})
    assert str(caught.value).startswith(f"{tmp_path}/{path}")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "a clip lacks"),
        (b'{"64760": {"title": "x"}}', "a clip lacks 'uploader'"),
    ],
)
def test_metadata_of_another_form_is_refused(tmp_path: Path, data: bytes, problem: str) -> None:
    name = "FSD50K.metadata/dev_clips_info_FSD50K.json"
    with pytest.raises(ConfigError, match=problem):
        read(tmp_path, TRUTH | {name: data})


def test_source_without_the_ground_truth_is_told_what_to_get(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no FSD50K\.ground_truth/vocabulary\.csv"):
        read(tmp_path, {"FSD50K.dev_audio/1.wav": b""})


def test_known_identical_recordings_are_named() -> None:
    pairs = [clips for leak in FSD50K.leaks for clips in leak.clips]
    assert frozenset({"fsd50k/124855", "fsd50k/199878"}) in pairs

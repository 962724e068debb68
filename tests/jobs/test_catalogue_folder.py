from pathlib import Path

import pytest

from jobs.catalogues.catalogue import Catalogue
from jobs.catalogues.reading import read_catalogue
from jobs.catalogues.registry import find_dataset
from jobs.sources import open_source
from shardwriter.errors import ConfigError
from tests.audio import encoded, tone
from tests.jobs.builders import wav, write_folder, write_zip
from tests.jobs.ingest_and_load import round_trip

FOLDER = find_dataset("folder")
TABLE = (
    b"\xef\xbb\xbffile;kinds;part;who;room\r\n"
    b"a.wav;dog|rain;train;anna;kitchen\r\n"
    b"sub/b.wav;dog;test;bert;\r\n"
    b"gone.wav;rain;test;carl;\r\n"
)
CHOICES = {
    "csv": "list.csv",
    "delimiter": "semicolon",
    "label": "kinds",
    "separator": "|",
    "split": "part",
    "group": "who",
    "name": "mine",
    "licence": "CC0",
}


def read(folder: Path, files: dict[str, bytes], **options: str) -> Catalogue:
    return read_catalogue(FOLDER, open_source(str(write_folder(folder, files))), options)


def test_csv_with_columns_by_option_goes_to_shards_and_back(tmp_path: Path) -> None:
    stereo_24_bit = encoded(tone(8000)[:, None].repeat(2, axis=1), subtype="PCM_24")
    files = {"list.csv": TABLE, "audio/a.wav": wav(0.5), "audio/sub/b.wav": stereo_24_bit}
    found = round_trip("folder", write_folder(tmp_path / "in", files), tmp_path / "out", **CHOICES)
    assert found.targets == {
        "train": {"mine/a": {"dog", "rain"}},
        "test": {"mine/sub/b": {"dog"}},
    }
    assert found.reasons == {"mine/gone": "absent"}
    record = found.records["mine/a"]
    assert (record.group, record.metadata) == ("anna", {"file": "a.wav", "room": "kitchen"})
    manifest = found.summary.manifest
    assert (manifest.settings.name, manifest.provenance["licence"]) == ("mine", "CC0")


def test_folder_for_each_class_needs_no_csv(tmp_path: Path) -> None:
    files = {
        "train/dog/1.wav": wav(0.3),
        "train/cat/1.flac": encoded(tone(4000), container="FLAC"),
        "Test/dog/2.ogg": encoded(tone(4000), container="OGG"),
        "readme.txt": b"",
        "train/dog/.hidden.wav": b"",
    }
    archive = write_zip(tmp_path / "pets.zip", files)
    found = round_trip("folder", archive, tmp_path / "out")
    assert found.targets == {
        "train": {"pets/train/dog/1": {"dog"}, "pets/train/cat/1": {"cat"}},
        "test": {"pets/Test/dog/2": {"dog"}},
    }
    assert (found.reasons, found.summary.manifest.settings.labels) == ({}, ("cat", "dog"))


def test_noise_without_labels_is_a_dataset_too(tmp_path: Path) -> None:
    place = write_folder(tmp_path / "noises", {"a/hum.wav": wav(0.3), "b/hiss.wav": wav(0.3)})
    found = round_trip("folder", place, tmp_path / "out", label="none")
    assert found.targets == {"train": dict.fromkeys(("noises/a/hum", "noises/b/hiss"), frozenset())}


@pytest.mark.parametrize("called", ["x/a.wav", "./x/a.wav", "/home/me/x/a.wav", "a.wav", "a"])
def test_file_is_found_by_path_name_or_stem(tmp_path: Path, called: str) -> None:
    data = f"path,label\n{called},dog\n".encode()
    catalogue = read(tmp_path, {"list.csv": data, "x/a.wav": b""}, csv="list.csv", name="mine")
    assert [clip.file for clip in catalogue.clips] == ["x/a.wav"]


def test_name_that_two_files_have_finds_neither(tmp_path: Path) -> None:
    files = {"list.csv": b"path,label\na.wav,dog\n", "x/a.wav": b"", "y/a.wav": b""}
    catalogue = read(tmp_path, files, csv="list.csv", name="mine")
    assert [clip.file for clip in catalogue.clips] == [None]


def test_csv_may_lie_elsewhere_and_tsv_has_tabs(tmp_path: Path) -> None:
    table = write_folder(tmp_path / "lists", {"my.tsv": b"file\tlabel\tfold\na\tdog\t3\n"})
    catalogue = read(tmp_path / "in", {"a.wav": b""}, csv=str(table / "my.tsv"), name="mine")
    (clip,) = catalogue.clips
    assert (clip.file, clip.labels, clip.fold, clip.split) == ("a.wav", ("dog",), 3, "train")


def test_vocabulary_sets_the_order_of_ids(tmp_path: Path) -> None:
    files = {"x/dog/a.wav": b"", "x/cat/b.wav": b""}
    words = tmp_path / "words.txt"
    words.write_text("dog\ncat\nhorse\n")
    catalogue = read(tmp_path / "in", files, name="mine", vocabulary=str(words))
    assert catalogue.labels == ("dog", "cat", "horse")
    words.write_text("dog\n")
    with pytest.raises(ConfigError, match="labels that the vocabulary lacks: cat"):
        read(tmp_path / "in", files, name="mine", vocabulary=str(words))


def test_long_paths_get_ids_that_fit_a_key(tmp_path: Path) -> None:
    catalogue = read(tmp_path, {f"{'é' * 40}/{number}.wav": b"" for number in "12"}, name="mine")
    assert {len(clip.id) for clip in catalogue.clips} == {len("mine/") + 32}


def test_same_path_twice_is_a_rejection_and_no_difference(tmp_path: Path) -> None:
    data = b"path,label\na.wav,dog\na.wav,cat\n"
    catalogue = read(tmp_path, {"list.csv": data, "a.wav": b""}, csv="list.csv", name="mine")
    assert [rejection.reason.value for rejection in catalogue.rejections] == ["duplicate"]
    assert (len(catalogue.clips), catalogue.differences) == (1, ())


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"file": "song"}, "has no column song for the file; name one of file, kinds"),
        ({"label": ""}, "has no column of a usual name for the label"),
        ({"group": "artist"}, "has no column artist for group"),
        ({"csv": "none.csv"}, "holds no none.csv"),
        ({"delimiter": "comma"}, "up to line 2|expected|no column"),
        ({"fold": "who"}, "line 2: who is 'anna', expected a whole number"),
        ({"name": "my set"}, "is called by 1 to 40 letters"),
        ({"csv": ""}, "without a csv the label is the folder's name, or none"),
    ],
)
def test_wrong_choice_is_refused_with_the_way_out(
    tmp_path: Path, options: dict[str, str], problem: str
) -> None:
    files = {"list.csv": TABLE, "a.wav": b""}
    with pytest.raises(ConfigError, match=problem):
        read(tmp_path, files, **(CHOICES | options))

import json
from pathlib import Path

import datasets
import pyarrow as pa
import pytest

from jobs.catalogues.catalogue import Catalogue
from jobs.catalogues.huggingface_tables import split_of
from jobs.catalogues.reading import read_catalogue
from jobs.catalogues.registry import find_dataset
from jobs.cli import main
from jobs.sources import open_source
from shardwriter.errors import ConfigError
from tests.jobs.archive_builders import tar_bytes
from tests.jobs.builders import wav, write_folder
from tests.jobs.ingest_and_load import round_trip
from tests.jobs.table_builders import FEATURES, flac, save_to_disk, table, write_parquet


def read(place: Path, **options: str) -> Catalogue:
    return read_catalogue(find_dataset("huggingface"), open_source(str(place)), options)


def test_parquet_of_the_hub_goes_to_shards_and_back(tmp_path: Path) -> None:
    place = tmp_path / "words"
    write_parquet(place / "data/train-00000-of-00002.parquet", table([0, 1]), rows_a_group=1)
    write_parquet(place / "data/train-00001-of-00002.parquet", table([1], first=2))
    write_parquet(place / "data/test-00000-of-00001.parquet", table([0, -1], first=3))
    write_folder(place, {"README.md": b"---\n---\n"})
    found = round_trip("huggingface", place, tmp_path / "out", label="word", group="speaker")
    assert found.targets == {
        "train": {
            "words/train/00000000": {"yes"},
            "words/train/00000001": {"no"},
            "words/train/00000002": {"no"},
        },
        "test": {"words/test/00000000": {"yes"}, "words/test/00000001": frozenset()},
    }
    assert found.reasons == {}
    assert found.summary.manifest.settings.labels == ("yes", "no")
    record = found.records["words/train/00000002"]
    assert record.group == "speaker-0"
    assert record.metadata == {"path": "2.flac", "speaker": "speaker-0", "tags": [0, 1]}
    assert len({record.pcm_sha256 for record in found.records.values()}) == 5


def test_row_without_audio_is_told_from_a_table_that_is_gone(tmp_path: Path) -> None:
    audio = [{"bytes": flac(0), "path": None}, {"bytes": None, "path": "/home/me/1.flac"}]
    place = tmp_path / "words"
    write_parquet(place / "train.parquet", pa.table({"audio": audio, "label": ["yes", "no"]}))
    found = round_trip("huggingface", place, tmp_path / "out")
    assert found.targets == {"train": {"words/train/00000000": {"yes"}}}
    assert found.reasons == {"words/train/00000001": "decode_error"}


def test_dataset_saved_to_disk_goes_to_shards_and_back(tmp_path: Path) -> None:
    place = save_to_disk(tmp_path / "words", train=table([0, 1]), test=table([1], first=2))
    found = round_trip("huggingface", place, tmp_path / "out", label="word")
    assert found.targets == {
        "train": {"words/train/00000000": {"yes"}, "words/train/00000001": {"no"}},
        "test": {"words/test/00000000": {"no"}},
    }


def test_list_of_classes_gives_several_labels(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", table([0, 0, 0]))
    catalogue = read(tmp_path, label="tags", name="words")
    assert [clip.labels for clip in catalogue.clips] == [(), ("loud",), ("loud", "clear")]
    assert catalogue.labels == ("loud", "clear")


@pytest.mark.parametrize("spelt", ["Sequence", "List", "bare"])
def test_every_spelling_of_a_list_of_classes_is_read(tmp_path: Path, spelt: str) -> None:
    classes = {"names": ["loud", "clear"], "_type": "ClassLabel"}
    feature: object = [classes] if spelt == "bare" else {"feature": classes, "_type": spelt}
    audio = {"sampling_rate": 8000, "_type": "Audio"}
    said = json.dumps({"info": {"features": {"audio": audio, "tags": feature}}})
    rows = table([0]).select(["audio", "tags"]).replace_schema_metadata({"huggingface": said})
    write_parquet(tmp_path / "train.parquet", rows)
    assert read(tmp_path, name="words").labels == ("loud", "clear")


def test_tables_without_features_have_names_or_numbers(tmp_path: Path) -> None:
    rows = table([1, 3, 0]).replace_schema_metadata(None)
    write_parquet(tmp_path / "a.parquet", rows)
    numbered = read(tmp_path, label="word", name="words")
    assert numbered.labels == ("0", "1", "2", "3")  # a bare number stays its id
    named = read(tmp_path, label="speaker", name="words")
    assert named.labels == ("speaker-0", "speaker-1")


def test_tables_of_other_configurations_are_chosen_by_a_glob(tmp_path: Path) -> None:
    write_parquet(tmp_path / "en/train-00000-of-00001.parquet", table([0]))
    write_parquet(tmp_path / "de/train-00000-of-00001.parquet", table([1, 1]))
    assert len(read(tmp_path, files="en/*", name="words").clips) == 1


def test_tables_that_number_classes_differently_are_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", table([0]))
    features = datasets.Features(FEATURES | {"word": datasets.ClassLabel(names=["no", "yes"])})
    write_parquet(tmp_path / "b.parquet", table([0], features=features))
    with pytest.raises(ConfigError, match=r"b\.parquet numbers its classes otherwise"):
        read(tmp_path, name="words", label="word")


@pytest.mark.parametrize(
    ("rows", "options", "problem"),
    [
        (table([2]), {"label": "word"}, "row 0: label 2 is none of the 2 classes' numbers"),
        (table([0]), {"label": "sound"}, "has no column sound for the label"),
        (table([0]), {"group": "room"}, "has no column 'room' for the group"),
        (table([0]).select(["word"]), {}, "no table with a column of audio bytes"),
        (table([0]).replace_schema_metadata({"huggingface": "{"}), {}, "metadata `huggingface`"),
    ],
)
def test_table_that_does_not_fit_is_refused(
    tmp_path: Path, rows: pa.Table, options: dict[str, str], problem: str
) -> None:
    write_parquet(tmp_path / "train.parquet", rows)
    with pytest.raises(ConfigError, match=problem):
        read(tmp_path, name="words", **options)


def test_audio_folder_with_metadata_goes_to_shards_and_back(tmp_path: Path) -> None:
    line = {"file_name": "sub/c.wav", "label": ["yes", "loud"], "speaker": "bert", "age": 30}
    place = write_folder(
        tmp_path / "words",
        {
            "train/metadata.csv": b"file_name,label,speaker\na.wav,yes,anna\nb.wav,no,anna\n",
            "train/a.wav": wav(0.3),
            "test/metadata.jsonl": json.dumps(line).encode() + b"\n",
            "test/sub/c.wav": wav(0.4),
        },
    )
    found = round_trip("huggingface", place, tmp_path / "out", group="speaker")
    assert found.targets == {
        "train": {"words/train/a": {"yes"}},
        "test": {"words/test/sub/c": {"yes", "loud"}},
    }
    assert found.reasons == {"words/train/b": "absent"}
    assert found.records["words/test/sub/c"].group == "bert"
    assert found.records["words/test/sub/c"].metadata["age"] == 30


def test_audio_folder_without_metadata_has_a_folder_for_each_class(tmp_path: Path) -> None:
    files = {"train/yes/1.wav": b"", "validation/no/2.wav": b""}
    catalogue = read(write_folder(tmp_path, files), name="words")
    assert {clip.id: (clip.split, clip.labels) for clip in catalogue.clips} == {
        "words/train/yes/1": ("train", ("yes",)),
        "words/validation/no/2": ("validation", ("no",)),
    }


def test_tars_of_webdataset_go_to_shards_and_back(tmp_path: Path) -> None:
    members = {
        "a/000.flac": flac(0),
        "a/000.json": b'{"label": "yes", "speaker": "anna"}',
        "001.flac": flac(1),
        "001.json": b'{"label": "no", "speaker": "bert"}',
    }
    place = write_folder(
        tmp_path / "words",
        {
            "train-0000.tar": tar_bytes(members),
            "validation-0000.tar": tar_bytes({"002.flac": flac(2), "002.json": b'{"label": "no"}'}),
        },
    )
    found = round_trip("huggingface", place, tmp_path / "out", group="speaker")
    assert sorted(found.targets["train"].values(), key=sorted) == [{"no"}, {"yes"}]
    assert list(found.targets["validation"].values()) == [{"no"}]
    assert {record.group for record in found.records.values()} == {"anna", "bert", None}


def test_tars_that_were_indexed_for_the_loader_are_read_all_the_same(tmp_path: Path) -> None:
    members = {"0.flac": flac(0), "0.cls": b"1", "1.flac": flac(1), "1.cls": b"0"}
    place = write_folder(tmp_path / "words", {"train-0000.tar": tar_bytes(members)})
    before = read(place)
    assert main(["index", str(place), "--workers", "0"]) == 0
    after = read(place)
    assert (place / "index" / "train.parquet").exists()
    assert (after.clips, after.labels) == (before.clips, before.labels)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("data/train-00000-of-00005.parquet", "train"),
        ("data/train-00000-of-00005-0123456789abcdef.parquet", "train"),
        ("data/dev.clean-00000-of-00001.parquet", "dev.clean"),
        ("en/test-00000-of-00001.parquet", "test"),
        ("data/bal_train/00.parquet", "bal_train"),
        ("data/eval/07.parquet", "test"),
        ("validation/data-00000-of-00001.arrow", "validation"),
        ("data-00000-of-00001.arrow", "train"),
        ("dev.parquet", "validation"),
        ("my_test_set.parquet", "test"),
        ("clips.parquet", "train"),
        ("train-0000.tar", "train"),
    ],
)
def test_split_is_told_by_the_name_of_a_file(name: str, split: str) -> None:
    assert split_of(name) == split

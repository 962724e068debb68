from dataclasses import replace
from pathlib import Path

from jobs.catalogues.reading import read_catalogue
from jobs.catalogues.registry import DATASETS, find_dataset
from jobs.catalogues.showing import description, overview, shortcomings, split_duplicates
from jobs.sources import open_source
from shardwriter.keys import to_key
from shardwriter.overlaps import DuplicateAudio
from tests.jobs.builders import csv_bytes, esc50_row, write_folder


def duplicate(first: str, second: str) -> DuplicateAudio:
    return DuplicateAudio(
        key=to_key(second), split="eval", same_as_key=to_key(first), same_as_split="train"
    )


def test_overview_has_a_row_for_each_dataset() -> None:
    rows = overview(DATASETS)
    assert [name for name, _ in rows] == [dataset.name for dataset in DATASETS]
    assert rows[0][1] == ("ESC-50: 2,000 environmental sounds of 5 s, 50 classes, 5 folds; 600 MB")


def test_description_says_what_to_get_how_it_must_lie_and_what_to_expect() -> None:
    rows = description(find_dataset("fsd50k"))
    text = "\n".join(f"{name}: {value}" for name, value in rows)
    assert [name for name, _ in rows].count("file") == 1  # its further rows have no name
    assert sum("md5" in value for _, value in rows) == 11
    assert (
        ": https://zenodo.org/record/4060432/files/FSD50K.dev_audio.z01  "
        "md5 faa7cf4cc076fc34a44a479a5ed862a3" in text
    )
    assert "counts: FSD50K: 51,197 clips (train 36,796, val 4,170, eval 10,231)" in text
    assert "known leak: 124855 (dev) and 199878 (eval) are the same recording" in text
    assert (
        "--audio clips|videos|parquet: what a file named by its video alone holds; parquet: clips "
        "are rows of tables, as in agkphysics/AudioSet on the Hugging Face Hub (default: clips)"
    ) in [value for _, value in description(find_dataset("audioset"))]


def test_every_difference_to_what_was_published_is_a_row(tmp_path: Path) -> None:
    rows = [esc50_row(number) for number in range(1, 4)]
    source = open_source(str(write_folder(tmp_path, {"meta/esc50.csv": csv_bytes(rows)})))
    catalogue = read_catalogue(find_dataset("esc50"), source)
    found = shortcomings(replace(catalogue, warnings=("no licences",)))
    assert found[0] == ("not as published", "clips of split train: expected 2,000, got 3")
    assert found[-1] == ("note", "no licences")
    assert len(found) == len(catalogue.differences) + 1 == 1 + 5 + 1 + 1 + 1


def test_equal_audio_that_is_known_is_told_from_what_is_not(tmp_path: Path) -> None:
    write_folder(tmp_path, {"meta/esc50.csv": csv_bytes([esc50_row(1)])})
    catalogue = read_catalogue(find_dataset("esc50"), open_source(str(tmp_path)))
    catalogue = replace(catalogue, leaks=find_dataset("fsd50k").leaks)
    known = duplicate("fsd50k/199878", "fsd50k/124855")
    other = duplicate("fsd50k/199878", "fsd50k/1")
    assert split_duplicates(catalogue, [known, other]) == ([known], [other])

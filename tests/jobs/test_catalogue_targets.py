"""From metadata columns to targets: kinds, vocabularies, and a round trip to the loader."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from jobs.catalogues.catalogue import Catalogue, ClipRef
from jobs.catalogues.counts import ExpectedCounts
from jobs.catalogues.description import Dataset
from jobs.catalogues.reading import assemble, read_catalogue
from jobs.catalogues.registry import find_dataset
from jobs.catalogues.targets import find_targets, sample_targets
from jobs.fetching.open_fetcher import open_fetcher
from jobs.ingest import IngestOptions, ingest
from jobs.inspection import inspect_dataset
from jobs.sources import Source, open_source
from jobs.verify import verify
from loader import LoaderConfig, ShardLoader, World
from shardwriter.errors import ConfigError
from shardwriter.keys import to_key
from shardwriter.targets import class_target, number_target
from tests.jobs.builders import wav, write_folder
from tests.jobs.test_catalogue_voxceleb import DEV, META1, TEST, publish_vox1, speech

ROWS: dict[str, dict[str, Any]] = {
    "bass_1.wav": {"family": "bass", "pitch": 40, "is_loud": True, "tags": ["a"], "note": ""},
    "bass_2.wav": {"family": "bass", "pitch": 41, "is_loud": False, "tags": [], "note": ""},
    "flute_1.wav": {"family": "flute", "pitch": 72.5, "is_loud": True, "tags": ["b"], "note": ""},
    "odd_1.wav": {"family": None, "is_loud": False, "tags": ["b"], "note": ""},
}


def _read(source: Source, _options: Mapping[str, str]) -> Catalogue:
    clips = [
        ClipRef(
            id=f"notes/{name}",
            file=source.find(name),
            split="train",
            labels=("note",),
            metadata=metadata,
        )
        for name, metadata in ROWS.items()
    ]
    return assemble(NOTES, clips, labels=("note",), expected=NOTES.expected[0], where=source.url)


NOTES = replace(
    find_dataset("esc50"),
    name="notes",
    read=_read,
    options=(),
    leaks=(),
    expected=(ExpectedCounts(name="all", num_by_split={"train": 4}, num_classes=1),),
    targets={"pitch": "a number", "family": "", "is_loud": "", "tags": "a list", "note": "empty"},
)


def test_texts_and_truth_are_classes_in_order_numbers_are_numbers_and_lists_are_none() -> None:
    assert find_targets(ROWS.values(), NOTES.targets, dataset="notes") == {
        "family": class_target(["bass", "flute"]),
        "is_loud": class_target(["false", "true"]),
        "pitch": number_target(),
    }


def test_sample_has_the_values_that_are_there() -> None:
    targets = find_targets(ROWS.values(), NOTES.targets, dataset="notes")
    assert sample_targets(ROWS["odd_1.wav"], targets) == {"is_loud": "false"}
    assert sample_targets(ROWS["bass_1.wav"], targets) == {
        "family": "bass",
        "is_loud": "true",
        "pitch": 40,
    }
    assert sample_targets({"pitch": math.nan, "family": ""}, targets) == {}


def test_column_of_texts_and_numbers_is_refused_with_one_of_each() -> None:
    rows: list[dict[str, Any]] = [{"pitch": 3}, {"pitch": "high"}]
    with pytest.raises(ConfigError, match=r"column 'pitch' of notes holds texts \('high'\) and nu"):
        find_targets(rows, ["pitch"], dataset="notes")


def load_all(out: Path, split: str) -> ShardLoader:
    config = LoaderConfig(url=str(out), split=split, batch_size=1, crop_seconds=None)
    return ShardLoader(config, world=World(rank=0, size=1, local_rank=0))


def test_columns_come_out_of_the_loader_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = open_source(str(write_folder(tmp_path / "in", {name: wav(0.2) for name in ROWS})))
    out = tmp_path / "out"
    options = IngestOptions(out=str(out), sample_rate_hz=8000, num_workers=0, quiet=True)
    ingest(read_catalogue(NOTES, source), open_fetcher(source.url), options)
    verify(str(out))
    loader = load_all(out, "train")
    assert loader.target_labels("family") == ("bass", "flute")
    got = {batch.keys[0]: batch.targets for batch in loader}
    bass, odd = got[to_key("notes/bass_2.wav")], got[to_key("notes/odd_1.wav")]
    assert {name: float(value) for name, value in bass.items()} == {
        "family": 0.0,
        "is_loud": 0.0,
        "pitch": 41.0,
    }
    assert (int(odd["family"]), bool(odd["pitch"].isnan())) == (-1, True)
    assert got[to_key("notes/flute_1.wav")]["pitch"].dtype == torch.float32
    capsys.readouterr()
    inspect_dataset(str(out))
    shown = " ".join(capsys.readouterr().out.split())
    assert "target family 2 classes target is_loud 2 classes target pitch a number" in shown


def test_speakers_of_voxceleb_come_out_of_the_loader(tmp_path: Path) -> None:
    source = open_source(str(publish_vox1(tmp_path / "in")))
    out = tmp_path / "out"
    options = IngestOptions(out=str(out), sample_rate_hz=16_000, num_workers=0, quiet=True)
    ingest(read_catalogue(find_dataset("voxceleb1"), source), open_fetcher(source.url), options)
    loader = load_all(out, "test")
    assert loader.target_labels("speaker") == ("id10001", "id10003", "id10270")
    assert loader.target_labels("nationality") == ("India", "Ireland", "USA")
    batches = list(loader)
    assert [int(batch.targets["speaker"]) for batch in batches] == [2, 2]
    assert [int(batch.label_B) for batch in batches] == [2, 2]
    assert {loader.target_labels("gender")[int(b.targets["gender"])] for b in batches} == {"f"}


def test_vocabulary_of_speakers_does_not_change_when_more_files_are_there(tmp_path: Path) -> None:
    some = {"vox1_meta.csv": META1, f"wav/{DEV[0]}.wav": speech(0)}
    more = {**some, f"wav/{TEST[0]}.wav": speech(1)}
    voxceleb1: Dataset = find_dataset("voxceleb1")
    catalogues = [
        read_catalogue(voxceleb1, open_source(str(write_folder(tmp_path / name, files))))
        for name, files in (("some", some), ("more", more))
    ]
    assert catalogues[0].targets == catalogues[1].targets
    assert catalogues[0].targets["speaker"].labels == ("id10001", "id10003", "id10270")


@pytest.mark.parametrize("name", ["esc50", "fsd50k", "audioset"])
def test_dataset_with_columns_of_lists_only_has_no_targets(name: str) -> None:
    rows = [{"mids": ["/m/0bt9lr"], "events": [{"label": "Dog"}]}]
    assert find_targets(rows, find_dataset(name).targets, dataset=name) == {}

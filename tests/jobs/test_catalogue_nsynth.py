import json
from pathlib import Path
from typing import Any

import pytest

from jobs.catalogues.catalogue import Catalogue
from jobs.catalogues.reading import read_catalogue
from jobs.catalogues.registry import find_dataset
from jobs.sources import open_source
from shardwriter.errors import ConfigError
from tests.jobs.archive_builders import tar_bytes
from tests.jobs.builders import wav, write_folder
from tests.jobs.published_files import DATASETS, ListedSource, needs_published_files
from tests.jobs.round_trip import round_trip

QUALITIES = (
    *("bright", "dark", "distortion", "fast_decay", "long_release"),
    *("multiphonic", "nonlinear_env", "percussive", "reverb", "tempo-synced"),
)


def note(name: str, *qualities: str, **changed: Any) -> dict[str, Any]:
    instrument, pitch, velocity = name.split("-")
    family, source, _ = instrument.rsplit("_", 2)
    return {
        "qualities": [int(quality in qualities) for quality in QUALITIES],
        "pitch": int(pitch),
        "note": 217_499,  # a global number, not the pitch
        "instrument_source_str": source,
        "velocity": int(velocity),
        "instrument_str": instrument,
        "instrument": 656,  # not the number in the name
        "sample_rate": 16_000,
        "qualities_str": list(qualities),
        "note_str": name,
        "instrument_family_str": family,
    } | changed


NOTES = {
    "train": {
        name: note(name, *qualities)
        for name, qualities in {
            "synth_lead_synthetic_003-060-025": ("bright", "tempo-synced"),
            "bass_synthetic_068-049-025": (),
        }.items()
    },
    "valid": {"guitar_acoustic_010-066-100": note("guitar_acoustic_010-066-100", "dark")},
    "test": {"guitar_acoustic_010-067-127": note("guitar_acoustic_010-067-127", "percussive")},
}


def part(split: str) -> dict[str, bytes]:
    folder = f"nsynth-{split}"
    text = json.dumps(NOTES[split], indent=4, separators=(", ", ": ")).encode()
    audio = {f"{folder}/audio/{name}.wav": wav(4.0, hz=16_000) for name in NOTES[split]}
    return audio | {f"{folder}/examples.json": text}


def publish(folder: Path) -> Path:
    archives = {f"nsynth-{split}.jsonwav.tar": tar_bytes(part(split)) for split in NOTES}
    return write_folder(folder, archives)


def read(folder: Path, files: dict[str, bytes], **chosen: str) -> Catalogue:
    source = open_source(str(write_folder(folder, files)))
    return read_catalogue(find_dataset("nsynth"), source, chosen)


def test_notes_go_to_shards_and_back(tmp_path: Path) -> None:
    trip = round_trip("nsynth", publish(tmp_path / "in"), tmp_path / "out")
    assert trip.loaded == {
        "synth_lead_synthetic_003-060-025": ("synth_lead",),
        "bass_synthetic_068-049-025": ("bass",),
        "guitar_acoustic_010-066-100": ("guitar",),
        "guitar_acoustic_010-067-127": ("guitar",),
    }
    assert trip.splits["guitar_acoustic_010-066-100"] == "val"
    record = trip.records["synth_lead_synthetic_003-060-025"]
    assert (record.group, record.num_samples) == ("synth_lead_synthetic_003", 64_000)
    assert record.metadata == {
        "pitch": 60,
        "velocity": 25,
        "instrument": "synth_lead_synthetic_003",
        "family": "synth_lead",
        "source": "synthetic",
        "qualities": ["bright", "tempo-synced"],
    }


@pytest.mark.parametrize(
    ("labels", "num_labels", "expected"),
    [
        ("pitch", 128, ("60",)),
        ("source", 3, ("synthetic",)),
        ("qualities", 10, ("bright", "tempo-synced")),
    ],
)
def test_classes_are_pitches_sources_or_qualities_too(
    tmp_path: Path, labels: str, num_labels: int, expected: tuple[str, ...]
) -> None:
    trip = round_trip("nsynth", publish(tmp_path / "in"), tmp_path / "out", labels=labels)
    assert len(trip.catalogue.labels) == num_labels
    assert trip.loaded["synth_lead_synthetic_003-060-025"] == expected
    assert len(trip.loaded) == 4  # a note without qualities is one of none


def test_one_split_needs_no_other(tmp_path: Path) -> None:
    catalogue = read(tmp_path, part("test"), split="test")
    assert [clip.split for clip in catalogue.clips] == ["test"]
    assert [str(found) for found in catalogue.differences] == [
        "clips of split test: expected 4,096, got 1"
    ]
    with pytest.raises(ConfigError, match=r"holds no nsynth-train/examples\.json"):
        read(tmp_path, {})


NAME = "guitar_acoustic_010-067-127"


@pytest.mark.parametrize(
    ("notes", "problem"),
    [
        (b"[]", "is no JSON object"),
        (b"{", "is no JSON object"),
        ({"../x": note(NAME)}, "note '../x': is not called FAMILY_SOURCE_NUMBER"),
        ({NAME: []}, r"is \[\], expected its fields"),
        ({NAME: note(NAME, note_str="x")}, "note_str is 'x', the name says"),
        ({NAME: note(NAME, pitch=66)}, "pitch is 66, the name says 67"),
        ({NAME: note(NAME, instrument_str="x")}, "instrument_str is 'x', the name says"),
        ({NAME: note(NAME, qualities=[0])}, "qualities .0. are not those of"),
        ({NAME: note(NAME, qualities_str=None)}, "are not those of None"),
        ({"harp_acoustic_010-067-127": note("harp_acoustic_010-067-127")}, "family is called 'ha"),
        ({"reed_wooden_010-067-127": note("reed_wooden_010-067-127")}, "no source is called 'wo"),
        ({"reed_acoustic_010-128-127": note("reed_acoustic_010-128-127")}, "velocity go to 127"),
    ],
)
def test_notes_that_contradict_their_names_are_refused(
    tmp_path: Path, notes: Any, problem: str
) -> None:
    data = notes if isinstance(notes, bytes) else json.dumps(notes).encode()
    with pytest.raises(ConfigError, match=problem):
        read(tmp_path, {"nsynth-test/examples.json": data}, split="test")


@needs_published_files
def test_real_entries_of_the_test_set_are_read() -> None:
    data = (DATASETS / "nsynth" / "examples.first23.json").read_bytes()
    names = [f"nsynth-test/audio/{name}.wav" for name in json.loads(data)]
    source = ListedSource(names, {"nsynth-test/examples.json": data})
    catalogue = read_catalogue(find_dataset("nsynth"), source, {"split": "test"})
    assert {clip.file for clip in catalogue.clips} == set(names)
    assert len(catalogue.clips) == 23

"""SUPERB's tasks on Fluent Speech Commands, IEMOCAP and VoxCeleb1."""

import gzip
import json
from collections import Counter
from pathlib import Path

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
from tests.jobs.test_catalogue_voxceleb import DEV, TEST, publish_vox1

SPEAKERS = ("2BqVo8kVB2Skwgyb", "4aGjX3AG5xcxeL7a")
UUID = "0a3129c0-4474-11e9-a9a5-5dbec3b8816a"
FLUENT = "fluent_speech_commands_dataset"
HEADER = b",path,speakerId,transcription,action,object,location\n"


def command(number: int, speaker: str, rest: str) -> bytes:
    return f"{number},wavs/speakers/{speaker}/{UUID}.wav,{speaker},{rest}\n".encode()


LISTS = {
    "train": HEADER
    + command(0, SPEAKERS[0], "Change language,change language,none,none")
    + command(1, SPEAKERS[1], '"Lights, in the kitchen, on",activate,lights,kitchen'),
    "valid": HEADER,
    "test": HEADER.replace(b"\n", b"\r\n"),
}


def fluent(**changed: bytes) -> dict[str, bytes]:
    lists = {f"{FLUENT}/data/{part}_data.csv": data for part, data in (LISTS | changed).items()}
    audio = {f"{FLUENT}/wavs/speakers/{each}/{UUID}.wav": wav(2.0, hz=16_000) for each in SPEAKERS}
    return lists | audio


def read(name: str, folder: Path, files: dict[str, bytes], **chosen: str) -> Catalogue:
    source = open_source(str(write_folder(folder, files)))
    return read_catalogue(find_dataset(name), source, chosen)


def test_intents_go_to_shards_and_back_as_three_slots(tmp_path: Path) -> None:
    place = write_folder(tmp_path / "in", {"fluent.tar": tar_bytes(fluent())})
    trip = round_trip("superb_ic", place, tmp_path / "out")
    assert trip.catalogue.labels == (
        *("action=activate", "action=change language"),
        *("object=lights", "object=none"),
        *("location=kitchen", "location=none"),
    )
    assert trip.loaded == {
        f"{SPEAKERS[0]}/{UUID}": ("action=change language", "object=none", "location=none"),
        f"{SPEAKERS[1]}/{UUID}": ("action=activate", "object=lights", "location=kitchen"),
    }
    record = trip.records[f"{SPEAKERS[1]}/{UUID}"]
    assert record.group == SPEAKERS[1]
    assert record.metadata == {
        "speaker": SPEAKERS[1],
        "transcription": "Lights, in the kitchen, on",
        "action": "activate",
        "object": "lights",
        "location": "kitchen",
    }


def test_intents_are_one_label_where_that_is_asked_for(tmp_path: Path) -> None:
    catalogue = read("superb_ic", tmp_path, fluent(), labels="intent")
    assert catalogue.labels == ("activate/lights/kitchen", "change language/none/none")
    assert "classes: expected 31, got 2" in map(str, catalogue.differences)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (b"0,wavs/speakers/b/x.wav,a,Go,x,y,z\n", "line 2: path .* is not wavs/speakers/a/NAME"),
        (b"0,../../x.wav,a,Go,x,y,z\n", "line 2: path '../../x.wav' is not"),
        (b"0,wavs/speakers/a/x.wav,a,Go,x,,z\n", "line 2: action, object, location: one is empty"),
        (b"0,wavs/speakers/a/x.wav,a,Go, now,x,y,z\n", "line 2: expected 7 columns, got 8"),
    ],
)
def test_command_that_contradicts_itself_is_refused(
    tmp_path: Path, row: bytes, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        read("superb_ic", tmp_path, fluent(test=HEADER + row))


def evaluation(*turns: tuple[str, str]) -> bytes:
    """As published: a header, and behind each turn what every judge said of it."""
    lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
    for name, emotion in turns:
        lines += [
            f"[6.2901 - 8.2357]\t{name}\t{emotion}\t[2.5000, 2.5000, 3.0000]",
            "C-E2:\tNeutral;\t()",
            "A-E3:\tval 3; act 2; dom  2;\t()",
            "",
        ]
    return "\n".join(lines).encode()


DIALOG = "Ses01F_impro01"
TURNS = {"F000": "neu", "M001": "exc", "F002": "fru", "M003": "xxx", "M004": "sad"}


def iemocap(root: str = "IEMOCAP_full_release/") -> dict[str, bytes]:
    names = {f"{DIALOG}_{turn}": emotion for turn, emotion in TURNS.items()}
    held = {
        f"{root}Session1/sentences/wav/{DIALOG}/{name}.wav": wav(1.0, hz=16_000) for name in names
    }
    held[f"{root}Session1/sentences/wav/{DIALOG}/{DIALOG}_M004.wav"] = b"RIFF"
    folder = f"{root}Session1/dialog/EmoEvaluation"
    held[f"{folder}/{DIALOG}.txt"] = evaluation(*names.items())
    held[f"{folder}/._{DIALOG}.txt"] = b"\0\5\x16\7"
    held[f"{folder}/Categorical/{DIALOG}_e2_cat.txt"] = b"Ses01F_impro01_F000 :Neutral; ()\n"
    held[f"{root}Session5/dialog/EmoEvaluation/Ses05M_script01_3.txt"] = evaluation(
        ("Ses05M_script01_3_F000", "hap")
    )
    held[f"{root}Session5/sentences/wav/Ses05M_script01_3/Ses05M_script01_3_F000.wav"] = wav(
        1.0, hz=16_000
    )
    return held


def test_emotions_go_to_shards_and_back(tmp_path: Path) -> None:
    place = write_folder(tmp_path / "in", iemocap())
    trip = round_trip("superb_er", place, tmp_path / "out")
    assert trip.loaded == {
        f"{DIALOG}_F000": ("neu",),
        f"{DIALOG}_M001": ("hap",),
        "Ses05M_script01_3_F000": ("hap",),
    }
    assert trip.rejected == {f"{DIALOG}_M004": "unreadable"}
    record = trip.records["Ses05M_script01_3_F000"]
    assert (record.fold, record.group) == (5, "Session5")
    assert record.metadata["speaker"] == "Ses05F"  # Ses05M wore the sensors
    assert trip.records[f"{DIALOG}_M001"].metadata == {
        "speaker": "Ses01M",
        "dialog": DIALOG,
        "emotion": "exc",
        "valence": 2.5,
        "activation": 2.5,
        "dominance": 3.0,
    }


@pytest.mark.parametrize(
    "line",
    [
        b"[6.29 - 8.23]\tSes02F_impro01_F000\tneu\t[2.5, 2.5, 2.5]",
        b"[6.29 - 8.23]\tSes01F_impro01_F000\tneutral\t[2.5, 2.5, 2.5]",
        b"[6.29 - 8.23] Ses01F_impro01_F000 neu [2.5, 2.5, 2.5]",
    ],
)
def test_turn_of_another_form_is_refused(tmp_path: Path, line: bytes) -> None:
    name = f"Session1/dialog/EmoEvaluation/{DIALOG}.txt"
    with pytest.raises(ConfigError, match=rf"{DIALOG}\.txt line 2: .* is not \[START - STOP\]"):
        read("superb_er", tmp_path, {name: b"% header\n" + line + b"\n"})


def test_folder_without_dialogs_is_told_what_to_hold(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no dialog with one of the four emotions"):
        read("superb_er", tmp_path, {"Session1/readme.txt": b""})


@needs_published_files
def test_published_turns_of_iemocap_have_their_counts() -> None:
    turns: dict[str, list[tuple[str, str]]] = {}
    names = []
    for session in "12345":
        path = DATASETS / "superb" / "iemocap_s3prl" / f"Session{session}_test_meta_data.json.gz"
        for row in json.loads(gzip.decompress(path.read_bytes()))["meta_data"]:
            names.append(row["path"])
            dialog = f"Session{session}/dialog/EmoEvaluation/{row['path'].split('/')[3]}.txt"
            turns.setdefault(dialog, []).append((Path(row["path"]).stem, row["label"]))
    files = {name: evaluation(*found) for name, found in turns.items()}
    catalogue = read_catalogue(find_dataset("superb_er"), ListedSource(names, files))
    assert (catalogue.differences, catalogue.rejections) == ((), ())
    assert {clip.file for clip in catalogue.clips} == set(names)
    speakers = Counter(clip.metadata["speaker"] for clip in catalogue.clips)
    assert len(speakers) == 10


def test_speaker_identification_is_voxceleb1_s(tmp_path: Path) -> None:
    trip = round_trip("superb_sid", publish_vox1(tmp_path / "in"), tmp_path / "out")
    assert trip.catalogue.name == "superb_sid"
    assert trip.splits == {
        DEV[0]: "train",
        DEV[1]: "val",
        DEV[2]: "test",
        TEST[0]: "train",
        TEST[1]: "test",
    }
    assert trip.loaded[DEV[2]] == ("id10003",)
    assert find_dataset("superb_sid").archives == find_dataset("voxceleb1").archives

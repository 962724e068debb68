import gzip
import shutil
from collections import Counter
from pathlib import Path

import pytest

from jobs.catalogues.catalogue import Catalogue
from jobs.catalogues.reading import read_catalogue
from jobs.catalogues.registry import find_dataset
from jobs.catalogues.speech_commands_files import NOISE_FILES, WORDS, hash_split, windows
from jobs.sources import open_source
from shardwriter.errors import ConfigError
from tests.jobs.archive_builders import tar_bytes
from tests.jobs.builders import wav, write_folder
from tests.jobs.published_files import DATASETS, ListedSource, needs_published_files
from tests.jobs.round_trip import round_trip

TRAIN, VAL, TEST = "0a7c2a8d", "8b775397", "2aa787cf"


def word(seconds: float = 1.0) -> bytes:
    return wav(seconds, hz=16_000)


NOISES = {
    f"_background_noise_/{name}.wav": word(1.2 + number / 2)
    for number, name in enumerate(NOISE_FILES)
}
MAIN = {
    f"yes/{TRAIN}_nohash_0.wav": word(),
    f"yes/{VAL}_nohash_0.wav": word(0.6),
    f"yes/{TEST}_nohash_1.wav": word(),
    f"cat/{TRAIN}_nohash_2.wav": word(0.5),
    "validation_list.txt": f"yes/{VAL}_nohash_0.wav\n".encode(),
    "testing_list.txt": f"yes/{TEST}_nohash_1.wav\n".encode(),
} | NOISES
TESTS = {
    f"yes/{TEST}_nohash_1.wav": word(),
    "_silence_/167.wav": word(),
    f"_unknown_/cat_{TEST}_nohash_0.wav.wav": word(),
}


def archives(version: str) -> dict[str, bytes]:
    return {
        f"speech_commands_{version}.tar": tar_bytes(MAIN),
        f"speech_commands_test_set_{version}.tar": tar_bytes(TESTS),
    }


def read(folder: Path, files: dict[str, bytes], **chosen: str) -> Catalogue:
    source = open_source(str(write_folder(folder, files)))
    return read_catalogue(find_dataset("speech_commands"), source, chosen)


def test_the_hash_of_a_speaker_decides_the_split() -> None:
    assert (hash_split(TRAIN), hash_split(VAL), hash_split(TEST)) == ("train", "val", "test")


def test_all_words_go_to_shards_and_back(tmp_path: Path) -> None:
    place = write_folder(tmp_path / "in", archives("v0.02"))
    trip = round_trip("speech_commands", place, tmp_path / "out")
    assert trip.splits == {
        f"yes/{TRAIN}_nohash_0": "train",
        f"yes/{VAL}_nohash_0": "val",
        f"yes/{TEST}_nohash_1": "test",
        f"cat/{TRAIN}_nohash_2": "train",
    }
    record = trip.records[f"cat/{TRAIN}_nohash_2"]
    assert (record.labels, record.label_ids, record.group) == (("cat",), (3,), TRAIN)
    assert record.num_samples == 8000  # short clips stay as they are
    assert record.metadata == {"word": "cat", "speaker": TRAIN}


def test_twelve_classes_take_their_test_and_their_silence_from_elsewhere(tmp_path: Path) -> None:
    place = write_folder(tmp_path / "in", archives("v0.02"))
    trip = round_trip("speech_commands", place, tmp_path / "out", protocol="12")
    spoken = {name: trip.loaded[name] for name in trip.loaded if "_silence_" not in name}
    assert spoken == {
        f"yes/{TRAIN}_nohash_0": ("yes",),
        f"yes/{VAL}_nohash_0": ("yes",),
        f"yes/{TEST}_nohash_1": ("yes",),
        f"cat/{TRAIN}_nohash_2": ("_unknown_",),
        f"cat/{TEST}_nohash_0": ("_unknown_",),
    }
    assert trip.splits["_silence_/167"] == trip.splits[f"cat/{TEST}_nohash_0"] == "test"
    cut = trip.records["_silence_/running_tap_1500"]  # of 3.2 s: windows from 0, 0.5 ... 2 s
    assert (cut.split, cut.num_samples, cut.labels) == ("val", 16_000, ("_silence_",))
    assert cut.source is not None
    assert cut.source.start_sample == 24_000
    by_noise = Counter(name.rpartition("_")[0] for name in trip.loaded if "_silence_/" in name)
    assert by_noise["_silence_/running_tap"] == 5
    assert by_noise["_silence_/doing_the_dishes"] == 1
    assert {split for name, split in trip.splits.items() if "white_noise" in name} == {"train"}


def test_noises_are_a_dataset_of_their_own(tmp_path: Path) -> None:
    place = write_folder(tmp_path / "in", archives("v0.02"))
    trip = round_trip("speech_commands", place, tmp_path / "out", protocol="noise")
    assert trip.loaded == {f"_background_noise_/{name}": (name,) for name in NOISE_FILES}
    assert set(trip.splits.values()) == {"noise"}
    assert trip.catalogue.differences == ()


@pytest.mark.parametrize(
    ("seconds", "starts"),
    [(0.4, [0.0]), (1.0, [0.0]), (1.5, [0.0]), (1.6, [0.0, 0.5]), (2.1, [0.0, 0.5, 1.0])],
)
def test_windows_begin_before_the_last_second(seconds: float, starts: list[float]) -> None:
    assert [cut.start_seconds for cut in windows(seconds)] == starts


def test_windows_of_the_published_noises_are_as_many_as_tensorflow_datasets_cuts() -> None:
    assert len(list(windows(978_488 / 16_000))) == 121  # running_tap


def test_without_lists_the_hash_splits(tmp_path: Path) -> None:
    files = {name: data for name, data in MAIN.items() if "_list" not in name}
    catalogue = read(tmp_path, files)
    assert {clip.split for clip in catalogue.clips if clip.group == VAL} == {"val"}
    assert {clip.split for clip in catalogue.clips if clip.group == TEST} == {"test"}


def test_listed_clip_without_a_file_is_absent_and_strange_files_are_told(tmp_path: Path) -> None:
    files = {**MAIN, "yes/take two.wav": b""}
    del files[f"yes/{VAL}_nohash_0.wav"]
    catalogue = read(tmp_path, files)
    missing = [clip for clip in catalogue.clips if clip.file is None]
    assert [(clip.id, clip.split) for clip in missing] == [
        (f"speech_commands/yes/{VAL}_nohash_0", "val")
    ]
    assert catalogue.warnings == (
        "1 files are not called SPEAKER_nohash_N.wav, e.g. yes/take two.wav",
    )


def test_versions_side_by_side_are_told_apart_by_their_names(tmp_path: Path) -> None:
    files = archives("v0.02") | archives("v0.01")
    catalogue = read(tmp_path, files, protocol="12")
    held = {clip.file.partition("/")[0] for clip in catalogue.clips if clip.file}
    assert held == set(archives("v0.02"))


@pytest.mark.parametrize(
    ("files", "chosen", "problem"),
    [
        ({}, {}, "expected the files of speech_commands_v0.02.tar.gz once, found none"),
        (
            {f"{top}/{name}": b"" for name in MAIN for top in "ab"},
            {},
            "speech_commands_v0.02.tar.gz once, found a/, b/",
        ),
        (MAIN, {"protocol": "12"}, "speech_commands_test_set_v0.02.tar.gz once, found none"),
        (MAIN | {f"hello/{TRAIN}_nohash_0.wav": b""}, {}, "the folder hello, which is no word"),
        (MAIN | {"testing_list.txt": b"yes/x.wav\n"}, {}, "line 1: 'yes/x.wav' is not WORD/SPEAK"),
        (
            MAIN | {"testing_list.txt": f"yes/{VAL}_nohash_0.wav\n".encode()},
            {},
            "line 1: yes/8b775397_nohash_0.wav belongs to val",
        ),
        (
            {name: data for name, data in MAIN.items() if name != "testing_list.txt"},
            {},
            "holds no testing_list.txt, and the other list",
        ),
        (
            {name: data for name, data in MAIN.items() if "pink" not in name},
            {"protocol": "noise"},
            "holds no _background_noise_/pink_noise.wav",
        ),
        (
            {
                f"a/{name}": data
                for name, data in (MAIN | {"_background_noise_/pink_noise.wav": b"x"}).items()
            }
            | {f"b/{name}": data for name, data in TESTS.items()},
            {"protocol": "12"},
            "pink_noise.wav: .*get the archive again",
        ),
        (
            {f"a/{name}": data for name, data in MAIN.items()}
            | {f"b/{name}": data for name, data in (TESTS | {"yes/odd.wav": b""}).items()},
            {"protocol": "12"},
            "b/yes/odd.wav, which is no clip of the test set",
        ),
    ],
)
def test_files_that_are_not_as_published_are_refused(
    tmp_path: Path, files: dict[str, bytes], chosen: dict[str, str], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        read(tmp_path, files, **chosen)


@pytest.mark.parametrize(
    ("reference", "order", "num_silences_in_val"),
    [("s3prl", ("_unknown_", "_silence_"), 6), ("huggingface", ("_silence_", "_unknown_"), 0)],
)
def test_superb_swaps_two_classes_and_keeps_noises_whole(
    tmp_path: Path, reference: str, order: tuple[str, str], num_silences_in_val: int
) -> None:
    place = write_folder(tmp_path / "in", archives("v0.01"))
    trip = round_trip("superb_ks", place, tmp_path / "out", reference=reference)
    assert trip.catalogue.labels[:2] + trip.catalogue.labels[10:] == ("yes", "no", *order)
    silent = Counter(
        trip.splits[name] for name, labels in trip.loaded.items() if labels == ("_silence_",)
    )
    assert silent == Counter(train=6, val=num_silences_in_val, test=1)
    assert trip.records["_background_noise_/white_noise"].num_samples > 16_000
    assert trip.splits[f"yes/{TEST}_nohash_1"] == "test"  # of the test archive
    assert trip.loaded[f"cat/{TEST}_nohash_0"] == ("_unknown_",)
    known = {pair for leak in find_dataset("superb_ks").leaks for pair in leak.clips}
    same = {
        frozenset({f"superb_ks/_background_noise_/{name}{end}" for end in ("", "/val")})
        for name in NOISE_FILES
    }
    assert known == same


@needs_published_files
@pytest.mark.parametrize("version", ["v0.01", "v0.02"])
def test_published_lists_agree_with_the_hash(version: str) -> None:
    folder = DATASETS / "speech_commands" / version
    lists = {
        name: (folder / name).read_bytes() for name in ("validation_list.txt", "testing_list.txt")
    }
    train = folder / "train_list.txt.gz"
    names = gzip.decompress(train.read_bytes()).decode().split() if train.is_file() else []
    names += [line for data in lists.values() for line in data.decode().split()]
    name = {"v0.01": "superb_ks", "v0.02": "speech_commands"}[version]
    tests = [f"t/_silence_/{number}.wav" for number in range(3081)]
    noises = [f"m/_background_noise_/{noise}.wav" for noise in NOISE_FILES]
    files = {f"m/{file}": data for file, data in lists.items()}
    source = ListedSource([*(f"m/{each}" for each in names), *tests, *noises], files)
    catalogue = read_catalogue(find_dataset(name), source)
    by_split = Counter(clip.split for clip in catalogue.clips)
    if version == "v0.01":
        assert by_split == {"train": 51_094, "val": 6804, "test": 3081}
        assert catalogue.expected_num_clips == 51_094 + 6804 + 3081
    else:
        assert (by_split["val"], by_split["test"]) == (9981, 11_005)
        speakers = {
            split: {c.group for c in catalogue.clips if c.split == split} for split in by_split
        }
        assert (len(speakers["val"]), len(speakers["test"])) == (256, 250)
        assert not speakers["val"] & speakers["test"]
        assert {clip.labels[0] for clip in catalogue.clips} == set(WORDS)


@needs_published_files
def test_real_clips_of_both_archives_are_read(tmp_path: Path) -> None:
    folder = DATASETS / "speech_commands"
    shutil.copytree(folder / "v0.02_small", tmp_path / "in" / "main")
    shutil.copytree(folder / "test_set_v0.02_small", tmp_path / "in" / "test")
    write_folder(tmp_path / "in" / "main", NOISES)
    trip = round_trip("speech_commands", tmp_path / "in", tmp_path / "out", protocol="12")
    assert trip.summary.rejections == ()
    tests = [name for name, split in trip.splits.items() if split == "test"]
    assert Counter(trip.loaded[name][0] for name in tests) == dict.fromkeys(
        trip.catalogue.labels, 3
    )
    assert sum(record.num_samples < 16_000 for record in trip.records.values()) > 0

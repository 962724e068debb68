from collections import Counter
from pathlib import Path

import pytest

from jobs.catalogues.gtzan import GENRES
from jobs.catalogues.reading import read_catalogue
from jobs.catalogues.registry import find_dataset
from jobs.sources import NoFiles, open_source
from tests.audio import encoded, tone
from tests.jobs.archive_builders import tar_bytes
from tests.jobs.builders import wav, write_folder
from tests.jobs.ingest_and_load import round_trip

GTZAN = find_dataset("gtzan")
RATE_HZ = 2000  # 30 s are 120 kB


def excerpt(seconds: float = 30.0) -> bytes:
    return wav(seconds, hz=RATE_HZ)


def test_excerpts_go_to_shards_and_back_but_for_the_corrupt_one(tmp_path: Path) -> None:
    files = {
        "genres/blues/blues.00029.wav": excerpt(29.93),
        "genres/rock/rock.00016.wav": excerpt(30.6),
        "genres/jazz/jazz.00054.wav": b"\x00" * 4000,  # as in copies that went through Kaggle
        "genres/metal/metal.00058.wav": excerpt(30.6),  # left out by the filtered split
        "genres/pop/pop.00003.wav": excerpt(12.0),
        "genres/blues/._blues.00012.wav": b"resource fork",
    }
    found = round_trip("gtzan", write_folder(tmp_path / "gtzan", files), tmp_path / "out")
    assert found.targets == {
        "train": {"gtzan/blues.00029": {"blues"}, "gtzan/rock.00016": {"rock"}},
    }
    record = found.records["gtzan/rock.00016"]
    assert (record.label_ids, record.metadata["repeats"]) == ((9,), ["metal.00058"])
    assert found.reasons["gtzan/jazz.00054"] == "unreadable"
    assert found.reasons["gtzan/pop.00003"] == "wrong_duration"
    assert Counter(found.reasons.values())["absent"] == 930 - 4
    assert "gtzan/metal.00058" not in found.reasons


def test_plain_tar_of_au_files_is_read_too(tmp_path: Path) -> None:
    data = encoded(tone(30 * RATE_HZ, rate_hz=RATE_HZ), rate_hz=RATE_HZ, container="AU")
    (tmp_path / "genres.tar").write_bytes(tar_bytes({"./genres/blues/blues.00029.au": data}))
    found = round_trip("gtzan", tmp_path, tmp_path / "out")
    assert set(found.records) == {"gtzan/blues.00029"}


@pytest.mark.parametrize(
    ("split", "counts"),
    [
        ("filtered", {"train": 443, "valid": 197, "test": 290}),
        ("stratified", {"train": 500, "valid": 250, "test": 250}),
        ("artists", {"train": 948}),
        ("none", {"train": 1000}),
    ],
)
def test_splits_have_the_published_counts(split: str, counts: dict[str, int]) -> None:
    catalogue = read_catalogue(GTZAN, NoFiles(), {"split": split})
    assert catalogue.differences == ()
    assert Counter(clip.split for clip in catalogue.clips) == counts
    assert catalogue.labels == GENRES


def test_known_leaks_are_just_those_of_the_lists() -> None:
    known = {leak.what.partition(":")[0]: leak.groups for leak in GTZAN.leaks if leak.groups}
    for split in ("filtered", "stratified", "artists"):
        places: dict[str, set[object]] = {}
        for clip in read_catalogue(GTZAN, NoFiles(), {"split": split}).clips:
            if clip.group is not None:
                places.setdefault(clip.group, set()).add((clip.split, clip.fold))
        straddling = {group for group, found in places.items() if len(found) > 1}
        assert straddling == known.get(split, frozenset()), split


def test_identical_files_are_known_to_repeat_each_other() -> None:
    clips = {clip.id: clip for clip in read_catalogue(GTZAN, NoFiles(), {"split": "none"}).clips}
    for leak in GTZAN.leaks:
        for pair in leak.clips:
            first, second = sorted(pair)
            assert second.removeprefix("gtzan/") in clips[first].metadata["repeats"]
    for clip in clips.values():
        for name in clip.metadata["repeats"]:
            assert clip.id.removeprefix("gtzan/") in clips[f"gtzan/{name}"].metadata["repeats"]


def test_names_with_an_underscore_are_the_same_excerpts(tmp_path: Path) -> None:
    write_folder(tmp_path, {"blues_00029.wav": b""})
    catalogue = read_catalogue(GTZAN, open_source(str(tmp_path)))
    held = {clip.id: clip.file for clip in catalogue.clips if clip.file}
    assert held == {"gtzan/blues.00029": "blues_00029.wav"}

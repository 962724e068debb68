from pathlib import Path

import pytest

from jobs.catalogues.catalogue import Catalogue
from jobs.catalogues.reading import read_catalogue
from jobs.catalogues.registry import find_dataset
from jobs.sources import open_source
from shardwriter.errors import ConfigError
from tests.audio import encoded, tone
from tests.jobs.archive_builders import tar_bytes
from tests.jobs.builders import write_folder
from tests.jobs.ingest_and_load import round_trip

JAMENDO = find_dataset("mtg-jamendo")
HEADER = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS\r\n"
ROCK, PIANO, HAPPY = "genre---rock", "instrument---piano", "mood/theme---happy"
ROWS = {
    "train": f"track_0000214\tartist_000014\talbum_000031\t14/214.mp3\t2.0\t{ROCK}\r\n"
    f"track_1009600\tartist_000014\talbum_000031\t00/1009600.mp3\t3.0\t{ROCK}\t{PIANO}\t{HAPPY}\r\n",
    "validation": f"track_0000007\tartist_000001\talbum_000002\t07/7.mp3\t2.0\t{PIANO}\r\n",
    "test": f"track_0000773\tartist_000104\talbum_000126\t73/773.mp3\t30.0\t{HAPPY}\r\n",
}


def lists(rows: dict[str, str] = ROWS, *, split: int = 0, name: str = "") -> dict[str, bytes]:
    return {
        f"data/splits/split-{split}/autotagging{name}-{part}.tsv": (HEADER + text).encode()
        for part, text in rows.items()
    }


def mp3(seconds: float) -> bytes:
    wave_TC = tone(round(seconds * 44_100), rate_hz=44_100)[:, None].repeat(2, axis=1)
    return encoded(wave_TC, rate_hz=44_100, container="MP3", subtype="MPEG_LAYER_III")


def read(folder: Path, files: dict[str, bytes], **options: str) -> Catalogue:
    return read_catalogue(JAMENDO, open_source(str(write_folder(folder, files))), options)


def test_tars_go_to_shards_and_back(tmp_path: Path) -> None:
    place = write_folder(
        tmp_path / "raw_30s",
        {
            "raw_30s_audio-low-00.tar": tar_bytes({"00/1009600.low.mp3": mp3(3.0)}),
            "raw_30s_audio-low-07.tar": tar_bytes({"07/7.low.mp3": mp3(2.0)}),
            "raw_30s_audio-low-73.tar": tar_bytes({"73/773.low.mp3": mp3(2.0)}),
        },
    )
    repository = write_folder(tmp_path / "repository", lists())
    found = round_trip("mtg-jamendo", place, tmp_path / "out", lists=str(repository))
    assert found.targets == {
        "train": {"mtg-jamendo/track_1009600": {ROCK, PIANO, HAPPY}},
        "validation": {"mtg-jamendo/track_0000007": {PIANO}},
    }
    assert found.reasons == {
        "mtg-jamendo/track_0000214": "absent",
        "mtg-jamendo/track_0000773": "wrong_duration",  # 2 of 30 s: it was cut
    }
    record = found.records["mtg-jamendo/track_1009600"]
    assert (record.group, record.metadata["album"]) == ("artist_000014", "album_000031")
    assert record.source is not None
    assert record.source.file == "raw_30s_audio-low-00.tar/00/1009600.low.mp3"


def test_full_and_low_rate_are_found_and_the_full_one_goes_first(tmp_path: Path) -> None:
    audio = {"14/214.low.mp3": b"", "14/214.mp3": b"", "07/7.low.mp3": b""}
    catalogue = read(tmp_path, lists() | audio)
    assert {clip.id.removeprefix("mtg-jamendo/track_"): clip.file for clip in catalogue.clips} == {
        "0000214": "14/214.mp3",
        "1009600": None,
        "0000007": "07/7.low.mp3",
        "0000773": None,
    }


def test_subset_and_split_choose_the_lists(tmp_path: Path) -> None:
    files = lists(dict.fromkeys(ROWS, ROWS["train"]), split=3, name="_top50tags")
    catalogue = read(tmp_path, files, subset="top50", split="3")
    assert catalogue.expected_num_clips == 33_173 + 10_468 + 10_739
    assert {rejection.reason.value for rejection in catalogue.rejections} == {"duplicate"}
    with pytest.raises(ConfigError, match=r"holds no split-2/autotagging_genre-train\.tsv"):
        read(tmp_path, files, subset="genre", split="2")


def test_ragged_rows_keep_every_tag_and_vocabulary_is_sorted(tmp_path: Path) -> None:
    catalogue = read(tmp_path, lists())
    assert catalogue.labels == (ROCK, PIANO, HAPPY)
    assert max(len(clip.labels) for clip in catalogue.clips) == 3


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("14/214.mp3", "../214.mp3", "line 2: 'track_0000214' and '../214.mp3' don't agree"),
        ("track_0000214", "track_214", "line 2: 'track_214' and '14/214.mp3' don't agree"),
        ("\t2.0\t", "\tlong\t", "line 2: DURATION is 'long', expected a number"),
        (f"{PIANO}\t", "\t", "line 3: TAGS holds an empty value"),
        (f"\t{ROCK}\r\n", "\r\n", "line 2: expected 6 columns, got 5"),
    ],
)
def test_list_that_is_not_as_published_is_refused(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    assert old in ROWS["train"]
    rows = ROWS | {"train": ROWS["train"].replace(old, new, 1)}
    with pytest.raises(ConfigError, match=problem):
        read(tmp_path, lists(rows))


def test_hundred_tars_of_each_kind_have_checksums() -> None:
    assert len(JAMENDO.archives) == 200
    assert all(len(archive.sha256 or "") == 64 for archive in JAMENDO.archives)

from pathlib import Path

import pytest

from jobs.catalogues.catalogue import Catalogue
from jobs.catalogues.magnatagatune_tags import SYNONYMS, TOP50
from jobs.catalogues.reading import read_catalogue
from jobs.catalogues.registry import find_dataset
from jobs.sources import open_source
from shardwriter.errors import ConfigError
from tests.audio import encoded, tone
from tests.jobs.archive_builders import write_parts, zip_bytes
from tests.jobs.builders import write_folder
from tests.jobs.ingest_and_load import round_trip

RATE_HZ = 16_000
MERGED = tuple(dict.fromkeys(tag for group in SYNONYMS for tag in group))
TAGS = tuple(dict.fromkeys((*TOP50, *MERGED)))
TAGS += tuple(f"tag {number}" for number in range(188 - len(TAGS)))
INFO = (
    *("clip_id", "track_number", "title", "artist", "album", "url"),
    *("segmentStart", "segmentEnd", "original_url", "mp3_path"),
)
CLIPS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "2": ("f/american_bach_soloists-solo-01-aria-30-59.mp3", ("classical", "violin"), "Bach"),
    "6": ("0/american_bach_soloists-solo-01-aria-146-175.mp3", ("clasical", "tag 1"), "Bach"),
    "35644": ("6/norine_braun-now_and_zen-08-spread_evenly-117-146.mp3", ("rock",), "Norine"),
    "7": ("c/nobody-nothing-01-silence-0-29.mp3", (), "Nobody"),
}


def table(rows: list[list[str]]) -> bytes:
    """As published: tabs, every value quoted, CRLF."""
    return "".join("\t".join(f'"{cell}"' for cell in row) + "\r\n" for row in rows).encode()


def annotations(tags: tuple[str, ...] = TAGS, one: str = "1") -> bytes:
    rows = [["clip_id", *tags, "mp3_path"]]
    for clip, (path, marked, _) in CLIPS.items():
        rows.append([clip, *(one if tag in marked else "0" for tag in tags), path])
    return table(rows)


def infos() -> bytes:
    rows = [list(INFO)]
    for clip, (path, _, artist) in CLIPS.items():
        rows.append([clip, "1", "Aria", artist, "Solo", "http://x/", "0", "29", "http://y/", path])
    rows.append(["99", "1", "Unheard", "Nobody", "None", "", "0", "29", "", ""])
    return table(rows)


LISTS = {"annotations_final.csv": annotations(), "clip_info_final.csv": infos()}


def mp3(seconds: float = 29.1) -> bytes:
    return encoded(
        tone(round(seconds * RATE_HZ), rate_hz=RATE_HZ),
        rate_hz=RATE_HZ,
        container="MP3",
        subtype="MPEG_LAYER_III",
    )


def read(folder: Path, files: dict[str, bytes], **options: str) -> Catalogue:
    source = open_source(str(write_folder(folder, files)))
    return read_catalogue(find_dataset("magnatagatune"), source, options)


def test_parts_go_to_shards_and_back_but_for_the_empty_file(tmp_path: Path) -> None:
    place = write_folder(tmp_path / "mtt", LISTS)
    audio = {path: b"" if clip == "35644" else mp3() for clip, (path, *_) in CLIPS.items()}
    names = [f"mp3.zip.00{number}" for number in (1, 2, 3)]
    write_parts(place, names, zip_bytes(audio))
    found = round_trip("magnatagatune", place, tmp_path / "out")
    assert found.reasons == {"magnatagatune/35644": "empty"}
    assert found.targets == {
        "test": {"magnatagatune/2": {"classical", "violin"}},
        "train": {"magnatagatune/6": {"clasical", "tag 1"}},
        "val": {"magnatagatune/7": frozenset()},
    }
    record = found.records["magnatagatune/6"]
    assert (record.group, record.metadata["album"]) == ("Bach", "Solo")


def test_top_fifty_leaves_out_other_tags_and_if_asked_clips_without_any(tmp_path: Path) -> None:
    catalogue = read(tmp_path, LISTS, tags="top50", untagged="drop")
    assert catalogue.labels == TOP50
    assert {clip.id: clip.labels for clip in catalogue.clips} == {
        "magnatagatune/2": ("classical", "violin"),
        "magnatagatune/35644": ("rock",),
    }


def test_synonyms_become_the_first_of_them(tmp_path: Path) -> None:
    catalogue = read(tmp_path, LISTS, synonyms="merge")
    assert len(catalogue.labels) == 134
    labels = {clip.id: clip.labels for clip in catalogue.clips}
    assert labels["magnatagatune/6"] == ("classical", "tag 1")
    merged = read(tmp_path, LISTS, synonyms="merge", tags="top50")
    assert merged.labels[0] == "classical"  # the only one of two clips


def test_without_the_info_there_is_no_artist_and_it_is_said(tmp_path: Path) -> None:
    catalogue = read(tmp_path, {"annotations_final.csv": annotations()})
    assert {clip.group for clip in catalogue.clips} == {None}
    assert "clip_info_final.csv is not in" in catalogue.warnings[0]


def test_every_count_that_differs_is_listed(tmp_path: Path) -> None:
    assert [str(found) for found in read(tmp_path, LISTS).differences] == [
        "clips of split train: expected 18,709, got 2",
        "clips of split val: expected 1,825, got 1",
        "clips of split test: expected 5,329, got 1",
        "classes: expected 188, got 5",
    ]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (annotations(TAGS[:-1]), "expected clip_id, 188 tags and mp3_path"),
        (annotations(one="x"), "line 2: the tag 'classical' is 'x', expected 0 or 1"),
        (annotations().replace(b'"f/', b'"g/'), "line 2: expected a number and FOLDER/NAME.mp3"),
        (annotations().replace(b'"2"', b'"../2"'), "line 2: expected a number and FOLDER/NAME"),
        (annotations((*TAGS[:-1], TAGS[0])), "expected a header of distinct names"),
    ],
)
def test_table_that_is_not_as_published_is_refused(
    tmp_path: Path, data: bytes, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        read(tmp_path, LISTS | {"annotations_final.csv": data})


def test_synonyms_name_no_tag_twice() -> None:
    assert len(MERGED) == sum(len(group) for group in SYNONYMS)
    assert len(set(TOP50)) == 50

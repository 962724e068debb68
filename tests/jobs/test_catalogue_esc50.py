from collections import Counter
from pathlib import Path

import pytest

from jobs.catalogues.catalogue import Catalogue
from jobs.catalogues.esc50 import read_catalogue
from jobs.sample import sample_folder
from jobs.sources import open_source
from shardwriter import Rejection, RejectionReason
from shardwriter.errors import ConfigError
from tests.jobs.builders import (
    ESC10_TARGETS,
    ESC50_LABELS,
    Row,
    csv_bytes,
    esc50_row,
    published_rows,
    write_folder,
    write_zip,
)

META = "meta/esc50.csv"
HEADER = csv_bytes([])


def catalogue_of(folder: Path, rows: list[Row]) -> Catalogue:
    return read_catalogue(open_source(str(write_folder(folder, {META: csv_bytes(rows)}))))


def published_files(suffix: str) -> dict[str, bytes]:
    """The whole published layout, with no audio in its files."""
    rows = published_rows()
    names = [row["filename"].replace(".wav", suffix) for row in rows]
    return {META: csv_bytes(rows), "README.md": b"", **{f"audio/{name}": b"" for name in names}}


def test_embedded_clips_are_the_whole_of_esc10() -> None:
    catalogue = read_catalogue(open_source(str(sample_folder())), subset="esc10")
    assert (catalogue.name, catalogue.title) == ("esc10", "ESC-10")
    assert len(catalogue.clips) == catalogue.expected_num_clips == 400
    assert catalogue.labels == tuple(ESC50_LABELS[target] for target in ESC10_TARGETS)
    assert Counter(clip.labels for clip in catalogue.clips) == {
        (label,): 40 for label in catalogue.labels
    }
    assert Counter(clip.fold for clip in catalogue.clips) == dict.fromkeys(range(1, 6), 80)
    assert all(clip.file is not None for clip in catalogue.clips)
    assert catalogue.rejections == ()


@pytest.mark.parametrize("suffix", [".wav", ".ogg"])
@pytest.mark.parametrize("packed", [False, True])
def test_whole_published_layout_is_read(tmp_path: Path, suffix: str, packed: bool) -> None:
    files = published_files(suffix)
    place = (
        write_zip(tmp_path / "ESC-50-master.zip", files, top="ESC-50-master/")
        if packed
        else write_folder(tmp_path / "ESC-50-master", files)
    )
    catalogue = read_catalogue(open_source(str(place)))
    assert (catalogue.name, catalogue.title) == ("esc50", "ESC-50")
    assert len(catalogue.clips) == catalogue.expected_num_clips == 2000
    assert catalogue.labels == ESC50_LABELS
    assert Counter(clip.fold for clip in catalogue.clips) == dict.fromkeys(range(1, 6), 400)
    assert Counter(clip.labels for clip in catalogue.clips) == {
        (label,): 40 for label in ESC50_LABELS
    }
    top = "ESC-50-master/" if packed else ""
    assert [clip.file for clip in catalogue.clips] == [
        f"{top}audio/{row['filename'].replace('.wav', suffix)}" for row in published_rows()
    ]


def test_subset_esc10_of_the_published_layout_has_its_ten_classes(tmp_path: Path) -> None:
    source = open_source(str(write_folder(tmp_path, published_files(".wav"))))
    catalogue = read_catalogue(source, subset="esc10")
    assert len(catalogue.clips) == catalogue.expected_num_clips == 400
    assert catalogue.labels == tuple(ESC50_LABELS[target] for target in ESC10_TARGETS)
    assert {clip.metadata["esc10"] for clip in catalogue.clips} == {True}


def test_clip_holds_what_its_row_says(tmp_path: Path) -> None:
    row = esc50_row(17150, fold=3, target=12)
    write_folder(tmp_path, {META: csv_bytes([row]), "audio/3-17150-A-12.ogg": b""})
    (clip,) = read_catalogue(open_source(str(tmp_path))).clips
    assert clip.id == "esc50/3-17150-A-12"
    assert clip.file == "audio/3-17150-A-12.ogg"
    assert clip.labels == ("crackling_fire",)
    assert (clip.split, clip.fold, clip.group) == ("train", 3, "17150")
    assert clip.metadata == {
        "category": "crackling_fire",
        "target": 12,
        "esc10": True,
        "src_file": "17150",
        "take": "A",
    }


def test_wav_must_last_5_s_and_an_original_is_fitted_to_it(tmp_path: Path) -> None:
    rows = [esc50_row(number) for number in (1, 2, 3)]
    files = {META: csv_bytes(rows), "audio/1-1-A-0.wav": b"", "audio/1-1-A-0.ogg": b""}
    write_folder(tmp_path, files | {"audio/1-2-A-0.ogg": b""})
    wav, original, absent = read_catalogue(open_source(str(tmp_path))).clips
    assert wav.file == "audio/1-1-A-0.wav"
    assert wav.duration is not None
    assert (wav.duration.seconds, wav.duration.fit) == (5.0, False)
    assert original.duration is not None
    assert (original.duration.seconds, original.duration.fit) == (5.0, True)
    assert absent.file is None


def test_vocabulary_is_in_order_of_target_whatever_the_order_of_rows(tmp_path: Path) -> None:
    rows = [esc50_row(number, target=target) for number, target in enumerate((41, 7, 0, 12, 7))]
    catalogue = catalogue_of(tmp_path, rows)
    assert catalogue.labels == ("dog", "insects", "crackling_fire", "chainsaw")
    assert [clip.labels[0] for clip in catalogue.clips] == [row["category"] for row in rows]


@pytest.mark.parametrize(
    "data",
    [
        csv_bytes([esc50_row(1), esc50_row(2)], newline="\r\n"),
        b"\xef\xbb\xbf" + csv_bytes([esc50_row(1), esc50_row(2)]),
        b"\xef\xbb\xbf" + csv_bytes([esc50_row(1), esc50_row(2)], newline="\r\n") + b"\r\n",
        csv_bytes([esc50_row(1), esc50_row(2)]).rstrip(),
    ],
    ids=["CRLF", "BOM", "BOM, CRLF and a blank line", "no newline at the end"],
)
def test_csv_that_went_through_other_programs_is_read(tmp_path: Path, data: bytes) -> None:
    source = open_source(str(write_folder(tmp_path, {META: data})))
    assert (
        read_catalogue(source).clips == catalogue_of(tmp_path, [esc50_row(1), esc50_row(2)]).clips
    )


def test_clip_that_is_listed_twice_is_a_rejection_and_kept_once(tmp_path: Path) -> None:
    catalogue = catalogue_of(tmp_path, [esc50_row(1), esc50_row(2), esc50_row(1)])
    assert [clip.id for clip in catalogue.clips] == ["esc50/1-1-A-0", "esc50/1-2-A-0"]
    assert catalogue.rejections == (
        Rejection(
            clip_id="esc50/1-1-A-0",
            stage="catalogue",
            reason=RejectionReason.DUPLICATE,
            detail=f"{tmp_path}/{META} lists it more than once; the first row is kept",
        ),
    )


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"fold": "2"}, "column fold is '2', the filename says '1'"),
        ({"target": "1"}, "column target is '1', the filename says '0'"),
        ({"take": "B"}, "column take is 'B', the filename says 'A'"),
        ({"src_file": "8"}, "column src_file is '8', the filename says '7'"),
        ({"category": "cat"}, "target 0 is called 'cat', and 'dog' further up"),
        ({"category": ""}, "category is empty"),
        ({"esc10": "yes"}, "esc10 is 'yes', expected True or False"),
        ({"filename": "6-7-A-0.wav", "fold": "6"}, "'6-7-A-0.wav' is not FOLD-CLIP-TAKE-TARGET"),
        ({"filename": "1-7-A-50.wav", "target": "50"}, "target 50 is not in 0..49"),
        ({"filename": "1-7-A-0.ogg"}, "'1-7-A-0.ogg' is not FOLD-CLIP-TAKE-TARGET.wav"),
        ({"filename": "1-7-A-0"}, "'1-7-A-0' is not FOLD-CLIP-TAKE-TARGET.wav"),
        ({"filename": "../1-7-A-0.wav"}, "'../1-7-A-0.wav' is not"),
        ({"filename": "audio/1-7-A-0.wav"}, "'audio/1-7-A-0.wav' is not"),
        ({"filename": "a\\1-7-A-0.wav"}, "is not FOLD-CLIP-TAKE-TARGET.wav"),
        ({"filename": "/etc/passwd"}, "'/etc/passwd' is not"),
        ({"filename": "1-7-A-0.wav\x00"}, "is not FOLD-CLIP-TAKE-TARGET.wav"),
        ({"filename": "1-٣-A-0.wav", "src_file": "٣"}, "is not FOLD-CLIP-TAKE-TARGET.wav"),
        ({"filename": ""}, "'' is not"),
        (
            {"filename": "1-7-A-1.wav", "target": "1", "category": "dog"},
            "'dog' is target 1, and 0 further up",
        ),
    ],
)
def test_row_that_contradicts_itself_or_another_is_named_by_file_and_line(
    tmp_path: Path, changes: Row, problem: str
) -> None:
    rows = [esc50_row(1), esc50_row(2), esc50_row(7, changes=changes)]
    with pytest.raises(ConfigError) as caught:
        catalogue_of(tmp_path, rows)
    assert f"{tmp_path}/{META} line 4: " in str(caught.value)
    assert problem in str(caught.value)
    assert "take the file as published" in str(caught.value)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "expected the columns filename,fold,target,"),
        (b"", "got nothing"),
        (b"a,b\n1,2\n", "got a,b"),
        (HEADER.replace(b"filename,fold", b"fold,filename"), "got fold,filename,"),
        (HEADER.replace(b",take", b""), "expected the columns filename"),
        (HEADER.replace(b",", b";"), "got filename;fold;"),
        (HEADER + b"1-1-A-0.wav,1,0,dog\n", "line 2: expected 7 columns"),
        (HEADER + b"1-1-A-0.wav,1,0,dog,True,1,A,more\n", "line 2: expected 7 columns"),
        (HEADER + b"1-1-A-0.wav,1,0,d\xf6g,True,1,A\n", "is not UTF-8 text"),
        (csv_bytes([esc50_row(1)]).decode().encode("utf-16"), "is not UTF-8 text"),
        (HEADER + b'"' + b"x" * 200_000, "up to line 2: field larger than field limit"),
        (HEADER, "lists no clip of esc50"),
    ],
)
def test_file_that_is_not_esc50s_is_refused_by_name(
    tmp_path: Path, data: bytes, problem: str
) -> None:
    source = open_source(str(write_folder(tmp_path, {META: data})))
    with pytest.raises(ConfigError) as caught:
        read_catalogue(source)
    assert str(caught.value).startswith(f"{tmp_path}/{META}")
    assert problem in str(caught.value)


def test_csv_without_a_clip_of_esc10_is_refused_for_esc10(tmp_path: Path) -> None:
    source = open_source(str(write_folder(tmp_path, {META: csv_bytes([esc50_row(1, target=2)])})))
    with pytest.raises(ConfigError, match="lists no clip of esc10"):
        read_catalogue(source, subset="esc10")


def test_source_without_the_csv_is_told_what_to_expect(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_catalogue(open_source(str(tmp_path)))
    assert str(caught.value) == (
        f"{tmp_path} holds no meta/esc50.csv; expected\n  meta/esc50.csv\n"
        "  audio/{FOLD}-{CLIP}-{TAKE}-{TARGET}.wav (or the original .ogg)"
    )

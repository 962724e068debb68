from pathlib import Path

import pytest

from jobs.catalogues.catalogue import Catalogue
from jobs.catalogues.reading import read_catalogue
from jobs.catalogues.registry import find_dataset
from jobs.sources import open_source
from shardwriter.errors import ConfigError
from tests.audio import encoded, stereo, tone
from tests.jobs.archive_builders import tar_bytes
from tests.jobs.builders import wav, write_folder
from tests.jobs.published_files import DATASETS, ListedSource, needs_published_files
from tests.jobs.round_trip import round_trip

HEADER = b"slice_file_name,fsID,start,end,salience,fold,classID,class\n"
ROWS = (
    b"100032-3-0-0.wav,100032,0.0,0.317551,1,5,3,dog_bark\n"
    b"100263-2-0-117.wav,100263,58.5,62.5,2,5,2,children_playing\n"
    b"87275-1-1-0.wav,87275,1.5,1.6,1,10,1,car_horn\n"
    b"77751-4-0-0.wav,77751,0,4,1,2,4,drilling\n"
    b"77751-0-0-0.wav,77751,0,4,1,7,0,air_conditioner\n"
)
META = "UrbanSound8K/metadata/UrbanSound8K.csv"


# As people uploaded them: 24 bit, WAVE_FORMAT_EXTENSIBLE and stereo, ADPCM, and one that is broken.
AUDIO = {
    "fold5/100032-3-0-0.wav": encoded(tone(3000), rate_hz=9600, subtype="PCM_24"),
    "fold5/100263-2-0-117.wav": encoded(
        stereo(96_000 * 4), rate_hz=96_000, container="WAVEX", subtype="PCM_24"
    ),
    "fold10/87275-1-1-0.wav": encoded(tone(1102), rate_hz=11_025, subtype="MS_ADPCM"),
    "fold2/77751-4-0-0.wav": wav(4.0, hz=22_050),
    "fold7/77751-0-0-0.wav": wav(4.0, hz=22_050)[:30_000],
}


def files(rows: bytes = ROWS) -> dict[str, bytes]:
    audio = {f"UrbanSound8K/audio/{name}": data for name, data in AUDIO.items()}
    return {META: HEADER + rows, "UrbanSound8K/FREESOUNDCREDITS.txt": b""} | audio


def read(folder: Path, held: dict[str, bytes]) -> Catalogue:
    source = open_source(str(write_folder(folder, held)))
    return read_catalogue(find_dataset("urbansound8k"), source)


def test_slices_of_any_format_go_to_shards_and_back(tmp_path: Path) -> None:
    write_folder(tmp_path, {"in/UrbanSound8K.tar.gz": tar_bytes(files(), mode="w:gz")})
    open_source(str(tmp_path / "in"), unpack_into=tmp_path / "in")
    trip = round_trip("urbansound8k", tmp_path / "in", tmp_path / "out")
    assert {name: record.fold for name, record in trip.records.items()} == {
        "100032-3-0-0": 5,
        "100263-2-0-117": 5,
        "87275-1-1-0": 10,
        "77751-4-0-0": 2,
    }
    assert trip.rejected == {"77751-0-0-0": "truncated"}
    record = trip.records["100263-2-0-117"]
    assert (record.labels, record.label_ids, record.group) == (
        ("children_playing",),
        (2,),
        "100263",
    )
    assert record.num_samples == 4 * 16_000
    assert record.metadata == {
        "fsID": "100263",
        "start_seconds": 58.5,
        "end_seconds": 62.5,
        "salience": "background",
    }
    assert record.source is not None
    assert (record.source.num_channels, record.source.sample_rate_hz) == (2, 96_000)


def test_slice_of_another_fold_than_its_file_is_absent(tmp_path: Path) -> None:
    held = files()
    held["UrbanSound8K/audio/fold1/77751-4-0-0.wav"] = held.pop(
        "UrbanSound8K/audio/fold2/77751-4-0-0.wav"
    )
    found = {clip.id: clip.file for clip in read(tmp_path, held).clips}
    assert found["urbansound8k/77751-4-0-0"] is None
    assert found["urbansound8k/77751-0-0-0"] == "UrbanSound8K/audio/fold7/77751-0-0-0.wav"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"class\n", b"class_name\n", "expected the columns slice_file_name,fsID"),
        (b"100032,0.0", b"100033,0.0", "line 2: column fsID is '100033', the file name says"),
        (b"100032-3-0-0.wav", b"../../3-0-0.wav", "line 2: slice_file_name '../../3-0-0.wav' is"),
        (b",3,dog_bark", b",3,siren", "line 2: class 3 is dog_bark, got 'siren'"),
        (b"1,5,3", b"1,11,3", "line 2: expected fold 1 to 10 and salience 1 or 2, got 11, 1"),
        (b"1,5,3", b"0,5,3", "line 2: expected fold 1 to 10 and salience 1 or 2, got 5, 0"),
        (b"58.5,62.5", b"62.5,58.5", "line 3: the slice begins at 62.5 s and ends at 58.5 s"),
        (b"58.5,62.5", b"58.5,-", "line 3: end is '-', expected a number"),
    ],
)
def test_list_that_is_not_as_published_is_refused(
    tmp_path: Path, old: bytes, new: bytes, problem: str
) -> None:
    data = HEADER + ROWS
    assert old in data
    with pytest.raises(ConfigError, match=problem):
        read(tmp_path, {META: data.replace(old, new, 1)})


@needs_published_files
def test_the_published_list_has_its_counts_and_its_known_leaks() -> None:
    data = (DATASETS / "urbansound8k" / "UrbanSound8K.csv").read_bytes()
    catalogue = read_catalogue(find_dataset("urbansound8k"), ListedSource([], {META: data}))
    assert (catalogue.differences, catalogue.rejections) == ((), ())
    folds: dict[str | None, set[int | None]] = {}
    for clip in catalogue.clips:
        folds.setdefault(clip.group, set()).add(clip.fold)
    (leak,) = find_dataset("urbansound8k").leaks
    assert {group for group, found in folds.items() if len(found) > 1} == leak.groups
    assert len(folds) == 1297
    saliences = [clip.metadata["salience"] for clip in catalogue.clips]
    assert (saliences.count("foreground"), saliences.count("background")) == (5702, 3030)

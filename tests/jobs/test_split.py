from pathlib import Path

import pytest

from jobs.catalogues.reading import read_catalogue
from jobs.catalogues.registry import find_dataset
from jobs.catalogues.split_file import Part, read_splits, write_splits
from jobs.cli import main
from jobs.sources import NoFiles, open_source
from jobs.split import SplitOptions, catalogue_clips, split_parts
from shardwriter.errors import ConfigError
from tests.jobs.builders import make_tones, wav, write_folder
from tests.jobs.ingest_and_load import round_trip

SONGS = {
    f"{genre}/{artist}-{number}.wav": (genre, artist)
    for genre in ("jazz", "rock")
    for artist in (f"{genre}er{index}" for index in range(4))
    for number in range(2)
}


def songs(folder: Path) -> Path:
    """16 clips of eight artists, each in one genre, without a split."""
    rows = [f"{path},{genre},{artist}\n" for path, (genre, artist) in SONGS.items()]
    files = {path: wav(0.2 + number / 100, hz=8000) for number, path in enumerate(SONGS)}
    table = {"songs.csv": "".join(["path,genre,artist\n", *rows]).encode()}
    return write_folder(folder, files | table)


def test_split_that_was_made_is_what_the_next_ingest_uses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, out = songs(tmp_path / "songs"), tmp_path / "out"
    choices = {"csv": "songs.csv", "group": "artist"}
    assert set(round_trip("folder", place, out, **choices).targets) == {"train"}
    file = tmp_path / "splits.csv"
    flags = ["--out", str(file), "--parts", "train=2,test=2"]
    assert main(["split", str(out), *flags]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "  test: clips 8, groups 4, classes 2 of 2",
        "  train: clips 8, groups 4, classes 2 of 2",
        f"{file}: 16 clips. Ingest the dataset again with --splits {file} to use it",
    ]
    again = round_trip("folder", place, tmp_path / "again", **choices, splits=str(file))
    artists = {
        split: {again.records[clip].group for clip in targets}
        for split, targets in again.targets.items()
    }
    assert [len(artists["train"]), len(artists["test"])] == [4, 4]
    assert artists["train"].isdisjoint(artists["test"])
    assert again.summary.straddling_groups == ()


def test_same_dataset_and_seed_give_the_same_bytes(tones_url: str, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("first.csv", "second.csv", "other.csv")]
    for file, seed in zip(files, ("7", "7", "8"), strict=True):
        assert main(["split", tones_url, "--out", str(file), "--seed", seed]) == 0
    first, second, other = (file.read_bytes() for file in files)
    assert first == second != other


def test_folds_are_a_column_of_one_split(
    tones_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "folds.csv"
    assert main(["split", tones_url, "--out", str(file), "--folds", "3"]) == 0
    captured = capsys.readouterr().out
    assert "  train fold 2: clips 11, groups 11, classes 3 of 3" in captured
    assert "note: no clip has a group" in captured
    parts = read_splits(file.read_bytes(), where="folds.csv")
    assert {(part.split, part.fold) for part in parts.values()} == {("train", n) for n in (1, 2, 3)}


def test_catalogue_can_be_split_before_anything_is_ingested(tmp_path: Path) -> None:
    source = open_source(str(songs(tmp_path)))
    options = {"csv": "songs.csv", "group": "artist", "name": "mine"}
    catalogue = read_catalogue(find_dataset("folder"), source, options)
    rule = SplitOptions(weights={"train": 3, "test": 1})
    parts = split_parts(catalogue_clips(catalogue), rule)
    assert sum(part.split == "test" for part in parts.values()) == 4


def test_split_file_reads_back_and_known_leaks_of_the_old_split_are_no_more(tmp_path: Path) -> None:
    parts = {"gtzan/a,b": Part("train"), "gtzan/c": Part("test", 3)}
    assert read_splits(write_splits(parts), where="x") == parts
    clips = read_catalogue(find_dataset("gtzan"), NoFiles()).clips
    path = tmp_path / "splits.csv"
    path.write_bytes(write_splits({clip.id: Part("all") for clip in clips}))
    catalogue = read_catalogue(find_dataset("gtzan"), NoFiles(), {"splits": str(path)})
    assert {clip.split for clip in catalogue.clips} == {"all"}
    assert catalogue.leaks == ()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"clip,split\na,train\n", "expected clip_id,split"),
        (b"clip_id,split\na,train\na,test\n", "line 3: 'a' is there twice"),
        (b"clip_id,split\na,../up\n", "line 2: a split's name is letters"),
        (b"clip_id,split,fold\na,train,x\n", "line 2: fold is 'x', expected a whole number"),
        (b"", "expected a header"),
        (b"clip_id,split\nmine/none,train\n", "lacks 16 of 16 clips, the first is mine/"),
    ],
)
def test_split_file_that_does_not_fit_is_refused(tmp_path: Path, data: bytes, problem: str) -> None:
    source = open_source(str(songs(tmp_path / "songs")))
    write_folder(tmp_path, {"splits.csv": data})
    options = {"csv": "songs.csv", "name": "mine", "splits": str(tmp_path / "splits.csv")}
    with pytest.raises(ConfigError, match=problem):
        read_catalogue(find_dataset("folder"), source, options)


def test_clips_that_the_split_file_lacks_are_left_out_and_counted(tmp_path: Path) -> None:
    source = open_source(str(songs(tmp_path / "songs")))
    options = {"csv": "songs.csv", "name": "mine"}
    ids = [clip.id for clip in read_catalogue(find_dataset("folder"), source, options).clips]
    path = tmp_path / "splits.csv"
    path.write_bytes(write_splits({clip: Part("train") for clip in ids[2:]}))
    options["splits"] = str(path)
    catalogue = read_catalogue(find_dataset("folder"), source, options)
    assert [clip.id for clip in catalogue.clips] == ids[2:]
    (warning,) = catalogue.warnings
    assert warning == f"{path} lacks 2 of 16 clips, the first is {ids[0]}: they are left out"


def test_part_that_got_nothing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = make_tones(tmp_path / "tones", num_clips=3)
    flags = ["--out", str(tmp_path / "splits.csv"), "--parts", "train=100,test=1"]
    assert main(["split", url, *flags]) == 0
    assert "note: test got no clip: there are too few groups" in capsys.readouterr().out


def test_wrong_parts_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = make_tones(tmp_path / "tones", num_clips=3)
    out = ["--out", str(tmp_path / "splits.csv")]
    assert main(["split", url, *out, "--parts", "index=1"]) == 2
    assert "a split's name is letters" in capsys.readouterr().err
    for parts in ("train", "train=0", "train=1,train=2", "=3"):
        with pytest.raises(SystemExit):
            main(["split", url, *out, "--parts", parts])
        assert "expected parts such as train=8,val=1,test=1" in capsys.readouterr().err

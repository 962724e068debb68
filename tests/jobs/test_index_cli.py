"""The commands about indexes as a person types them, and what an ingest says of overlaps."""

import json
import math
from pathlib import Path

import pytest

from jobs.cli import main
from jobs.index_foreign import read_vocabulary
from jobs.shard_pool import map_shards
from shardwriter.errors import ConfigError
from shardwriter.manifest import load_manifest
from shardwriter.overlaps import DUPLICATES_NAME
from shardwriter.storage import LocalStore
from tests.jobs.crash_builders import NUM_CLIPS, RATE_HZ, write_source
from tests.shardwriter.dataset_builders import clip, tar_bytes, tree, write_dataset
from tests.shardwriter.foreign_builders import audio


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    folder = tmp_path / "theirs"
    folder.mkdir()
    for number in range(4):
        members = [
            (f"k{number}.flac", audio(number)),
            (f"k{number}.json", json.dumps({"tags": ["dog", f"x{number}"]}).encode()),
        ]
        name = "train" if number < 3 else "eval"
        (folder / f"{name}-{number}.tar").write_bytes(tar_bytes(members))
    return folder


def test_index_command_makes_a_dataset_that_verify_takes(
    theirs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("dog\nx0\nx1\nx2\n")
    splits = ["--split", "train=train-*.tar", "--split", "test=eval-*.tar"]
    command = ["index", str(theirs), *splits, "--label-field", "json.tags", "--workers", "1"]
    assert main([*command, "--labels", str(labels), "--name", "pets"]) == 0
    output = capsys.readouterr().out
    assert "3 shards, 3 clips" in output
    assert "rejected: bad_label" in output  # x3, so that the split test is empty and left out
    manifest = load_manifest(LocalStore(theirs))
    assert (manifest.settings.name, list(manifest.splits)) == ("pets", ["train"])
    assert main([*command]) == 0  # again, with the vocabulary of what occurs
    assert list(load_manifest(LocalStore(theirs)).splits) == ["test", "train"]
    assert main(["verify", str(theirs), "--sample", "2", "--workers", "1"]) == 0
    assert "decoded audio of 2 clips agree" in capsys.readouterr().out
    assert main(["inspect", str(theirs)]) == 0
    assert main(["inspect", str(theirs), "k0", "--png", str(tmp_path / "k0.png")]) == 0


def test_wrong_arguments_of_index_are_said_in_one_line(
    theirs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["index", str(theirs), "--split", "a=*.tar", "--split", "a=x.tar"]
    assert main(command) == 2
    assert "names a split twice" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["index", str(theirs), "--split", "train"])
    assert "expected NAME=PATTERN" in capsys.readouterr().err
    assert main([*command[:2], "--audio-extension", ".mp3", "--label-field", "json.tags"]) == 2
    assert "no sample has audio and a label" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="can't read the vocabulary"):
        read_vocabulary(theirs / "missing.txt")


def test_repair_command_brings_back_what_was_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_dataset(tmp_path, [clip(number) for number in range(5)])
    before = tree(tmp_path)
    (tmp_path / "train" / "made-000001.idx").unlink()
    assert main(["verify", str(tmp_path), "--repair-index", "--workers", "2"]) == 0
    assert "train/made-000001.idx was missing: rebuilt" in capsys.readouterr().out
    assert tree(tmp_path) == before
    assert main(["verify", str(tmp_path), "--repair-index", "--workers", "1"]) == 0
    assert "nothing was changed" in capsys.readouterr().out


def test_ingest_lists_audio_that_is_there_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_source(tmp_path / "source", NUM_CLIPS)
    command = ["ingest", "esc50", "--source", str(tmp_path / "source"), "--workers", "0"]
    command += ["--out", str(tmp_path / "out"), "--sample-rate", str(RATE_HZ)]
    assert main([*command, "--groups", "refuse"]) == 0
    assert "3 clips with the audio of another, e.g. esc50+3-1037" in capsys.readouterr().out
    rows = (tmp_path / "out" / DUPLICATES_NAME).read_text().splitlines()
    assert json.loads(rows[0]) == {
        "key": "esc50+3-1037-A-37",
        "split": "train",
        "same_as_key": "esc50+1-1000-A-0",
        "same_as_split": "train",
    }


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_results_come_in_order_and_errors_come_through(num_workers: int) -> None:
    items = [4, 1, 0, 16, 9, 36]
    assert list(map_shards(math.isqrt, items, num_workers=num_workers)) == [2, 1, 0, 4, 3, 6]
    assert list(map_shards(math.isqrt, [], num_workers=num_workers)) == []
    with pytest.raises(ValueError, match="nonnegative"):
        list(map_shards(math.isqrt, [4, -1, 9], num_workers=num_workers))

from pathlib import Path

import pytest

from jobs.cli import main
from shardwriter import AudioFormat, CleanClip, Settings, ShardWriter
from tests.audio import noise
from tests.jobs.builders import make_tones

Row = tuple[str, str, int, str | None, int]
"""Id, split, fold, group, and which audio."""


def write(folder: Path, *rows: Row) -> str:
    settings = Settings(name="mine", audio=AudioFormat(sample_rate_hz=8000), labels=("a",))
    with ShardWriter(str(folder), settings, max_samples_per_shard=2) as writer:
        for name, split, fold, group, number in rows:
            writer.write_clip(
                CleanClip(
                    id=name,
                    split=split,
                    pcm_T=noise(800, seed=number),
                    labels=("a",),
                    fold=fold or None,
                    group=group,
                )
            )
    return str(folder)


def test_clean_dataset_has_no_leak(tones_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", tones_url, "--groups"]) == 0
    assert capsys.readouterr().out == (
        f"{tones_url}: 0 groups and 0 clips of equal audio in two splits or folds; 33 clips, "
        "33 of them without a group\n"
    )


def test_group_and_audio_in_two_splits_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = write(
        tmp_path,
        ("mine/1", "train", 0, "anna", 1),
        ("mine/2", "train", 0, "anna", 2),
        ("mine/3", "test", 0, "anna", 3),
        ("mine/4", "test", 0, "bert", 1),
        ("mine/5", "test", 0, "bert", 1),
    )
    assert main(["verify", url, "--groups"]) == 1
    captured = capsys.readouterr()
    found = captured.err.splitlines()
    assert found[0] == "  group anna: test 1, train 2"
    assert len(found) == 2
    assert "sounds exactly as" in found[1]
    assert {"(train)", "(test)"} <= set(found[1].split())
    assert captured.out.startswith(f"{url}: 1 group and 1 clip of equal audio in two splits")


def test_folds_are_parts_too_and_equal_audio_within_one_is_no_leak(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = write(
        tmp_path,
        ("mine/1", "train", 1, "anna", 1),
        ("mine/2", "train", 2, "anna", 2),
        ("mine/3", "train", 2, "bert", 3),
        ("mine/4", "train", 2, "bert", 3),
    )
    assert main(["verify", url, "--groups"]) == 1
    assert capsys.readouterr().err == "  group anna: train fold 1 1, train fold 2 1\n"


def test_leaks_of_published_splits_are_said_to_be_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = write(
        tmp_path,
        ("fsd50k/124855", "train", 0, None, 1),
        ("fsd50k/199878", "eval", 0, None, 1),
    )
    assert main(["verify", url, "--groups"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0].startswith("known: 124855 (dev) and 199878 (eval)")
    assert ", and as known 0 groups and 1 clip; 2 clips" in captured.out
    assert captured.err == ""


def test_known_group_is_told_from_an_unknown_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[Row] = [
        (f"esc50/{fold}-{group}-A-0", "train", fold, group, fold + number)
        for number, group in enumerate(("131943", "1"), start=7)
        for fold in (2, 30)
    ]
    assert main(["verify", write(tmp_path, *rows), "--groups"]) == 1
    captured = capsys.readouterr()
    assert captured.err == "  group 1: train fold 2 1, train fold 30 1\n"
    assert "as known 1 group and 0 clips" in captured.out


def test_many_leaks_are_shown_in_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[Row] = [
        (f"mine/{split}-{number:02d}", split, 0, f"group-{number:02d}", number + 100 * place)
        for place, split in enumerate(("train", "test"))
        for number in range(23)
    ]
    assert main(["verify", write(tmp_path, *rows), "--groups"]) == 1
    shown = capsys.readouterr().err.splitlines()
    assert (len(shown), shown[-1]) == (21, "  ... and 3 more")


def test_groups_and_repair_are_tasks_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = make_tones(tmp_path, num_clips=3)
    assert main(["verify", url, "--groups", "--repair-index"]) == 2
    assert "choose one of --groups and --repair-index" in capsys.readouterr().err

"""What sounds the same is not parted by a split."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from jobs.cli import main
from jobs.equal_audio import with_equal_audio_grouped
from jobs.split_rule import SplitClip
from shardwriter import AudioFormat, CleanClip, Settings, ShardWriter


def clip(name: str, group: str | None = None) -> SplitClip:
    return SplitClip(id=name, labels=("x",), group=group)


CLIPS = [clip("a"), clip("b"), clip("c", "one"), clip("d", "one"), clip("e", "two"), clip("f")]
HASHES = [b"1", b"2", b"1", b"3", b"3", None]


@pytest.mark.parametrize("order", [range(6), range(5, -1, -1), (3, 0, 5, 2, 4, 1)])
def test_groups_and_clips_that_share_audio_become_one_in_any_order(order: list[int]) -> None:
    joined = with_equal_audio_grouped([CLIPS[n] for n in order], [HASHES[n] for n in order])
    groups = {clip.id: clip.group for clip in joined}
    assert (groups["b"], groups["f"]) == (None, None)
    assert {groups[name] for name in "acde"} == {"equal audio: clip a"}


def test_clips_without_copies_keep_their_groups() -> None:
    assert with_equal_audio_grouped(CLIPS, [bytes([n]) for n in range(6)]) == CLIPS
    assert with_equal_audio_grouped(CLIPS, [None] * 6) == CLIPS


def test_a_split_has_no_audio_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(name="twins", audio=AudioFormat(sample_rate_hz=8000), labels=("x",))
    with ShardWriter(str(tmp_path / "twins"), settings) as writer:
        for sound, copy in itertools.product(range(10), range(2)):
            pcm_T = np.random.default_rng(sound).integers(-1000, 1000, 800).astype(np.int16)
            writer.write_clip(
                CleanClip(id=f"twins/{copy}-{sound}", split="train", pcm_T=pcm_T, labels=("x",))
            )
    file = tmp_path / "splits.csv"
    command = ["split", str(tmp_path / "twins"), "--out", str(file), "--parts", "train=1,test=1"]
    assert main(command) == 0
    parts = dict(line.split(",") for line in file.read_text().splitlines()[1:])
    assert {parts[f"twins/0-{n}"] for n in range(10)} == {"train", "test"}
    for sound in range(10):
        assert parts[f"twins/0-{sound}"] == parts[f"twins/1-{sound}"]
    assert "test: clips 10, groups 5" in capsys.readouterr().out

"""Targets by name, from the files as published to what the loader gives a training loop."""

from pathlib import Path

import pytest

from loader import LoaderConfig, ShardLoader, World
from shardwriter.keys import from_key
from tests.jobs import test_catalogue_nsynth as nsynth
from tests.jobs import test_catalogue_speech_commands as speech_commands
from tests.jobs.builders import write_folder
from tests.jobs.round_trip import round_trip


def loaded(url: Path, split: str, name: str) -> dict[str, float | str]:
    """The target of each clip of a split: a number, or a class by its name."""
    config = LoaderConfig(
        url=str(url), split=split, batch_size=2, crop_seconds=0.1, tail="pad", num_threads=1
    )
    loader = ShardLoader(config, world=World())
    found: dict[str, float | str] = {}
    for batch in loader:
        for key, value in zip(batch.keys, batch.targets[name].tolist(), strict=True):
            clip = from_key(key).partition("/")[2]
            is_class = not batch.targets[name].is_floating_point()
            found[clip] = loader.target_labels(name)[value] if is_class else value
    return found


def test_pitch_and_instrument_of_notes_come_out_by_name(tmp_path: Path) -> None:
    round_trip("nsynth", nsynth.publish(tmp_path / "in"), tmp_path / "out")
    assert loaded(tmp_path / "out", "train", "pitch") == {
        "synth_lead_synthetic_003-060-025": 60.0,
        "bass_synthetic_068-049-025": 49.0,
    }
    assert loaded(tmp_path / "out", "test", "instrument") == {
        "guitar_acoustic_010-067-127": "guitar_acoustic_010"
    }


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_the_speaker_of_a_word_comes_out_by_name(split: str, tmp_path: Path) -> None:
    place = write_folder(tmp_path / "in", speech_commands.archives("v0.02"))
    round_trip("speech_commands", place, tmp_path / "out")
    speakers = loaded(tmp_path / "out", split, "speaker")
    assert speakers
    for clip, speaker in speakers.items():
        assert clip.rpartition("/")[2].startswith(f"{speaker}_nohash_")

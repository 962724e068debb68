import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from jobs.console import human_bytes
from jobs.index_foreign import IndexOptions, index
from jobs.inspection import inspect_clip, inspect_dataset
from jobs.shown_clip import show_clip
from shardwriter import AudioFormat, CleanClip, Settings, ShardWriter
from shardwriter.errors import ConfigError, ShardFormatError
from shardwriter.manifest import load_manifest
from shardwriter.storage import open_store
from tests.jobs.builders import ESC10_TARGETS, ESC50_LABELS, sound_of
from tests.shardwriter.dataset_builders import tar_bytes
from tests.shardwriter.media import by_ffmpeg, noise


def write_clip(
    folder: Path, *, pcm_T: np.ndarray, labels: tuple[str, ...] = ("a",), hz: int = 8000
) -> str:
    settings = Settings(name="one", audio=AudioFormat(sample_rate_hz=hz), labels=labels)
    with ShardWriter(str(folder), settings) as writer:
        writer.write_clip(CleanClip(id="clip.1", split="train", pcm_T=pcm_T, labels=labels))
    return str(folder)


def test_dataset_is_described(esc10: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = str(esc10)
    inspect_dataset(url)
    printed = capsys.readouterr().out
    words = " ".join(printed.split())
    assert f"esc10 at {url}" in printed
    assert f"digest {load_manifest(open_store(url)).digest}" in words
    assert "flac 32000 Hz, 1 channel, 16 bit, frames of 1152" in words
    assert "classes 10" in words
    assert "CC BY 3.0" in words
    assert "split train" in printed
    size = human_bytes(sum(path.stat().st_size for path in esc10.glob("train/*.tar")))
    assert f"clips 400 hours 0.56 shards 7 bytes {size}" in words
    assert "folds 1: 80, 2: 80, 3: 80, 4: 80, 5: 80" in words
    for target in ESC10_TARGETS:
        assert f"{ESC50_LABELS[target]} 40 ####" in words
    assert f"melstream inspect {url} esc50+1-" in printed


@pytest.mark.parametrize("key", ["tones/clip-004.wav", "tones+clip-004=2Ewav"])
def test_clip_is_found_by_key_and_by_identity(
    tones_url: str, tmp_path: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    png = tmp_path / "clip.png"
    assert inspect_clip(tones_url, key, png=png) == png
    printed = capsys.readouterr().out
    label, _, rest = printed.partition("\n}\n")
    assert json.loads(label + "}")["id"] == "tones/clip-004.wav"
    assert json.loads(label + "}")["labels"] == ["high"]
    assert rest == f"waveform and log-mel: {png}\n"
    data = png.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    height, width, _ = imread(io.BytesIO(data), format="png").shape
    assert 300 <= height <= 3000
    assert 600 <= width <= 3000
    assert 10_000 < len(data) < 2_000_000


def test_picture_goes_beside_the_user_under_the_key_unless_told_otherwise(
    tones_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    inspect_clip(tones_url, "tones/clip-000.wav", png=None)
    assert [path.name for path in tmp_path.iterdir()] == ["tones+clip-000=2Ewav.png"]


def test_identity_without_a_slash_is_found_as_the_message_spells_it(tmp_path: Path) -> None:
    url = write_clip(tmp_path, pcm_T=np.arange(4000, dtype=np.int16))
    store = open_store(url)
    clip = show_clip(store, load_manifest(store), "clip.1")
    assert clip.key == "clip=2E1"
    assert clip.pcm_T is not None
    assert (clip.pcm_T == np.arange(4000)).all()


@pytest.mark.parametrize("num_samples", [1, 50, 512, 513])
def test_clip_shorter_than_a_window_is_drawn(tmp_path: Path, num_samples: int) -> None:
    url = write_clip(tmp_path / "dataset", pcm_T=np.full(num_samples, 500, dtype=np.int16))
    assert inspect_clip(url, "clip.1", png=tmp_path / "a.png").stat().st_size > 5000


def test_clip_of_silence_at_a_low_rate_is_drawn(tmp_path: Path) -> None:
    url = write_clip(tmp_path / "dataset", pcm_T=np.zeros(2000, dtype=np.int16), hz=1000)
    assert inspect_clip(url, "clip.1", png=tmp_path / "a.png").stat().st_size > 5000


def test_dataset_without_labels_or_folds_is_described(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = write_clip(tmp_path, pcm_T=sound_of("noise", number=1, seconds=0.2), labels=())
    inspect_dataset(url)
    words = " ".join(capsys.readouterr().out.split())
    assert "classes 0" in words
    assert "folds none" in words
    assert "licence not stated" in words


def test_long_vocabulary_is_cut_and_the_rest_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tuple(f"class {number}" for number in range(75))
    inspect_dataset(write_clip(tmp_path, pcm_T=np.ones(500, dtype=np.int16), labels=labels))
    printed = capsys.readouterr().out
    assert "class 59 " in printed
    assert "class 60 " not in printed
    assert "... and 15 more classes" in printed


def test_damaged_clip_is_an_error_that_names_shard_and_byte(tones_url: str, tmp_path: Path) -> None:
    url = shutil.copytree(tones_url, tmp_path / "dataset")
    tar = url / "train" / "tones-000000.tar"
    data = bytearray(tar.read_bytes())
    data[600] ^= 1
    tar.write_bytes(data)
    with pytest.raises(ShardFormatError, match=r"tones-000000\.tar at byte 512: .*clip-000"):
        inspect_clip(str(url), "tones/clip-000.wav", png=tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_clip_of_shards_that_others_made_is_shown_by_its_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pcm_TC = noise(24_000, num_channels=2)
    members = [("a/b.m4a", by_ffmpeg(pcm_TC, 48_000, "ipod", "aac")), ("a/b.cls", b"3")]
    (tmp_path / "train.tar").write_bytes(tar_bytes(members))
    index(IndexOptions(url=str(tmp_path), quiet=True))
    inspect_dataset(str(tmp_path))
    assert f"a clip: melstream inspect {tmp_path} a/b\n" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    assert inspect_clip(str(tmp_path), "a/b", png=None) == Path("a+b.png")
    told = json.loads(capsys.readouterr().out.partition("\nwaveform")[0])
    assert told["labels"] == ["3"]
    assert told["num_samples"] == 24_000
    with pytest.raises(ConfigError, match=r"has no clip 'a/c'; keys look like 'a/b'$"):
        inspect_clip(str(tmp_path), "a/c", png=None)

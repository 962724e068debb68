"""Stock tools read shards of features: webdataset, Hugging Face datasets, tar with numpy."""

import gc
import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader.features import LogMel
from loader.features.presets import log_mel_preset
from loader.features.whole_clips import frames_of_clip, whole_clip_config
from shardwriter.check import check_shards
from shardwriter.keys import MAX_KEY_LENGTH, to_key
from shardwriter.manifest import load_manifest
from shardwriter.storage import open_store
from tests.jobs.feature_builders import (
    RATE_HZ,
    clip_pcm,
    features_loader,
    make_audio,
    make_features,
)
from tests.shardwriter.test_interop import LEAVES_FILES_OPEN, datasets

__all__ = ["datasets"]  # the fixture

NUM_CLIPS = 4


@pytest.fixture(scope="module")
def tars(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("interop")
    url = make_features(make_audio(folder / "audio", num_clips=NUM_CLIPS), folder / "mels", "ast")
    return sorted(str(path) for path in (Path(url) / "train").glob("*.tar"))


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    """What the shards should hold."""
    log_mel = LogMel(whole_clip_config(log_mel_preset("ast", sample_rate_hz=RATE_HZ)))
    return [frames_of_clip(log_mel, clip_pcm(number)) for number in range(NUM_CLIPS)]


@pytest.fixture
def webdataset() -> Iterator[Any]:
    import webdataset

    yield webdataset
    gc.collect()


def check(found: list[Any], frames: list[np.ndarray]) -> None:
    assert len(found) == NUM_CLIPS
    for held_FM, expected_FM in zip(found, frames, strict=True):
        values_FM = np.asarray(held_FM)
        assert values_FM.shape == expected_FM.shape
        np.testing.assert_array_equal(values_FM.astype(np.float16), expected_FM)


@LEAVES_FILES_OPEN
def test_webdataset_decodes_the_features(
    webdataset: Any, tars: list[str], frames: list[np.ndarray]
) -> None:
    stock = webdataset.WebDataset(tars, shardshuffle=False).decode().to_tuple("mel.npy", "json")
    held = list(stock)
    assert [label["id"] for _, label in held] == [f"made/{n:03d}.wav" for n in range(NUM_CLIPS)]
    assert all(values_FM.dtype == np.float16 for values_FM, _ in held)
    check([values_FM for values_FM, _ in held], frames)


@LEAVES_FILES_OPEN
def test_the_longest_keys_are_cached_and_read_by_all(
    webdataset: Any,
    datasets: Any,  # the fixture
    frames: list[np.ndarray],
    tmp_path: Path,
) -> None:
    stem = "made/" + "k" * (MAX_KEY_LENGTH - len(to_key("made/000.wav")))
    keys = [to_key(f"{stem}{number:03d}.wav") for number in range(NUM_CLIPS)]
    assert {len(key) for key in keys} == {MAX_KEY_LENGTH}
    url = make_features(
        make_audio(tmp_path / "audio", num_clips=NUM_CLIPS, stem=stem), tmp_path / "mels", "ast"
    )
    tars = sorted(str(path) for path in (Path(url) / "train").glob("*.tar"))
    names = [f"{key}.{suffix}" for key in keys for suffix in ("mel.npy", "json")]
    listed = subprocess.run(["tar", "-tf", tars[0]], capture_output=True, text=True, check=True)
    assert listed.stdout.splitlines() == names[: 2 * 3]
    stock = list(webdataset.WebDataset(tars, shardshuffle=False).decode())
    assert [row["__key__"] for row in stock] == keys
    check([row["mel.npy"] for row in stock], frames)
    loaded = datasets.load_dataset(
        "webdataset", data_files=tars, split="train", cache_dir=str(tmp_path), streaming=True
    )
    held = list(loaded)
    assert [row["__key__"] for row in held] == keys
    check([row["mel.npy"] for row in held], frames)
    (batch,) = features_loader(url, batch_size=NUM_CLIPS, crop_seconds=None, shuffle=False)
    assert list(batch.keys) == keys
    store = open_store(url)
    manifest = load_manifest(store)
    reports = list(check_shards(store, manifest, manifest.shards))
    assert [report.problems for report in reports] == [()] * 2


@pytest.mark.parametrize("streaming", [True, False])
def test_hugging_face_decodes_the_features(
    datasets: Any,  # the fixture
    tars: list[str],
    frames: list[np.ndarray],
    tmp_path: Path,
    streaming: bool,
) -> None:
    held = list(
        datasets.load_dataset(
            "webdataset",
            data_files=tars,
            split="train",
            cache_dir=str(tmp_path / "cache"),
            streaming=streaming,
        )
    )
    assert [row["json"]["id"] for row in held] == [f"made/{n:03d}.wav" for n in range(NUM_CLIPS)]
    check([row["mel.npy"] for row in held], frames)


def test_tarfile_and_numpy_read_the_features(tars: list[str], frames: list[np.ndarray]) -> None:
    found = []
    for path in tars:
        with tarfile.open(path) as tar:
            names = tar.getnames()
            for features, label in zip(names[::2], names[1::2], strict=True):
                assert features.removesuffix(".mel.npy") == label.removesuffix(".json")
                assert json.load(tar.extractfile(label))["audio_suffix"] == "mel.npy"  # type: ignore[arg-type]
                data = tar.extractfile(features).read()  # type: ignore[union-attr]
                found.append(np.load(io.BytesIO(data), allow_pickle=False))
    check(found, frames)

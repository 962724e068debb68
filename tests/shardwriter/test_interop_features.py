"""Stock tools read shards of features: webdataset, Hugging Face datasets, tar with numpy."""

import gc
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader.features import LogMel
from loader.features.presets import log_mel_preset
from loader.features.whole_clips import frames_of_clip, whole_clip_config
from tests.jobs.feature_builders import RATE_HZ, clip_pcm, make_audio, make_features
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

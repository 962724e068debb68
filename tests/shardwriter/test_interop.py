"""Stock tools read every shard unchanged: webdataset, Hugging Face datasets, tar, soundfile."""

import gc
import io
import json
import socket
import subprocess
import sys
import tarfile
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import soundfile

from shardwriter import CleanClip, EncodedSample, encode_clip
from tests.shardwriter.builders import SETTINGS, make_clips


@pytest.fixture(scope="module")
def clips() -> list[CleanClip]:
    """The clips of `train`, in the order in which they were written."""
    return [clip for clip in make_clips() if clip.split == "train"]


@pytest.fixture(scope="module")
def samples(clips: list[CleanClip]) -> list[EncodedSample]:
    return [encode_clip(clip, SETTINGS) for clip in clips]


@pytest.fixture(scope="module")
def labels(samples: list[EncodedSample]) -> list[Any]:
    return [json.loads(sample.record.to_json_bytes()) for sample in samples]


@pytest.fixture(scope="module")
def tars(dataset: Path) -> list[str]:
    paths = sorted(str(path) for path in (dataset / "train").glob("*.tar"))
    assert len(paths) == 3
    return paths


def test_keys_of_these_tests_hold_every_special_character(samples: list[EncodedSample]) -> None:
    assert all({"+", "="} <= set(sample.record.key) for sample in samples)


# webdataset


@pytest.fixture
def webdataset() -> Iterator[Any]:
    """The library, which leaves its files to the garbage collector: collect before moving on."""
    import webdataset

    yield webdataset
    gc.collect()


LEAVES_FILES_OPEN = pytest.mark.filterwarnings(r"ignore:unclosed file .*\.tar'>:ResourceWarning")


@LEAVES_FILES_OPEN
def test_webdataset_reads_keys_and_bytes_in_order(
    webdataset: Any, tars: list[str], samples: list[EncodedSample]
) -> None:
    held = list(webdataset.WebDataset(tars, shardshuffle=False))
    assert [row["__key__"] for row in held] == [sample.record.key for sample in samples]
    assert [row["flac"] for row in held] == [sample.audio for sample in samples]
    assert [row["json"] for row in held] == [sample.record.to_json_bytes() for sample in samples]
    for row in held:
        assert {name for name in row if not name.startswith("__")} == {"flac", "json"}


@LEAVES_FILES_OPEN
def test_webdataset_decodes_the_labels(webdataset: Any, tars: list[str], labels: list[Any]) -> None:
    held = list(webdataset.WebDataset(tars, shardshuffle=False).decode().to_tuple("json"))
    assert [label for (label,) in held] == labels


# Hugging Face datasets


@pytest.fixture
def datasets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The library without a hub, in a process that can't connect to anything."""

    def refuse(*_args: object) -> NoReturn:
        raise RuntimeError("a test tried to use the network")

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    import datasets

    return datasets


@pytest.fixture
def _torchcodec_stub(datasets: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let datasets pass encoded audio through.

    datasets 5.2 imports torchcodec's encoder before it looks whether there is anything to
    encode. It is not installed here (it wants FFmpeg's libraries), and bytes never reach it.
    """
    encoders = types.ModuleType("torchcodec.encoders")
    encoders.AudioEncoder = None  # type: ignore[attr-defined]  # the one name that is imported
    monkeypatch.setitem(sys.modules, "torchcodec", types.ModuleType("torchcodec"))
    monkeypatch.setitem(sys.modules, "torchcodec.encoders", encoders)


@pytest.mark.usefixtures("_torchcodec_stub")
@pytest.mark.parametrize("streaming", [True, False])
def test_hugging_face_finds_audio_and_labels_by_itself(
    datasets: Any,
    tars: list[str],
    samples: list[EncodedSample],
    labels: list[Any],
    tmp_path: Path,
    streaming: bool,
) -> None:
    loaded = datasets.load_dataset(
        "webdataset",
        data_files=tars,
        split="train",
        cache_dir=str(tmp_path / "cache"),
        streaming=streaming,
    )
    assert isinstance(loaded.features["flac"], datasets.Audio)
    held = list(loaded.cast_column("flac", datasets.Audio(decode=False)))
    assert [row["__key__"] for row in held] == [sample.record.key for sample in samples]
    assert [row["flac"]["bytes"] for row in held] == [sample.audio for sample in samples]
    assert [row["flac"]["path"] for row in held] == [f"{s.record.key}.flac" for s in samples]
    assert [row["json"] for row in held] == labels


@pytest.mark.parametrize("streaming", [True, False])
def test_hugging_face_reads_the_bytes_without_an_audio_library(
    datasets: Any,
    tars: list[str],
    samples: list[EncodedSample],
    tmp_path: Path,
    streaming: bool,
) -> None:
    text, number = datasets.Value("string"), datasets.Value("int64")
    features = datasets.Features(
        {
            "__key__": text,
            "__url__": text,
            "flac": datasets.Value("binary"),
            "json": {"id": text, "num_samples": number, "labels": datasets.List(text)},
        }
    )
    held = list(
        datasets.load_dataset(
            "webdataset",
            data_files=tars,
            split="train",
            features=features,
            cache_dir=str(tmp_path / "cache"),
            streaming=streaming,
        )
    )
    assert [row["flac"] for row in held] == [sample.audio for sample in samples]
    assert [row["json"]["id"] for row in held] == [sample.record.id for sample in samples]


# tar, tarfile and soundfile


def test_gnu_tar_extracts_the_members(
    tars: list[str], samples: list[EncodedSample], tmp_path: Path
) -> None:
    for tar in tars:
        done = subprocess.run(
            ["tar", "--extract", "--file", tar], cwd=tmp_path, capture_output=True, check=True
        )
        assert done.stderr == b""
    assert len(list(tmp_path.iterdir())) == 2 * len(samples)
    for sample in samples:
        assert (tmp_path / f"{sample.record.key}.flac").read_bytes() == sample.audio


def test_tarfile_reads_the_members_as_a_stream(
    tars: list[str], samples: list[EncodedSample]
) -> None:
    held = []
    for path in tars:
        with tarfile.open(path, mode="r|") as tar:  # forward only, as over a network
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                held.append((member.name, file.read()))
    expected = [
        pair
        for sample in samples
        for pair in (
            (f"{sample.record.key}.flac", sample.audio),
            (f"{sample.record.key}.json", sample.record.to_json_bytes()),
        )
    ]
    assert held == expected


def test_soundfile_decodes_the_members_bit_for_bit(tars: list[str], clips: list[CleanClip]) -> None:
    held = []
    for path in tars:
        with tarfile.open(path) as tar:
            for member in tar.getmembers():
                if member.name.endswith(".flac"):
                    file = tar.extractfile(member)
                    assert file is not None
                    held.append(soundfile.read(io.BytesIO(file.read()), dtype="int16"))
    assert len(held) == len(clips)
    for (pcm_T, rate_hz), clip in zip(held, clips, strict=True):
        assert rate_hz == 8000
        np.testing.assert_array_equal(pcm_T, clip.pcm_T)

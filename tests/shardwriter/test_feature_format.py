"""Members that hold features: numpy reads them, and nothing else passes for one."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardwriter import EncodedSample, ShardWriter, encode_clip
from shardwriter.check import check_shards
from shardwriter.errors import ConfigError, ShardFormatError
from shardwriter.feature_format import FEATURE_SUFFIX, HEADER_NUM_BYTES, FeatureFormat
from shardwriter.manifest import Manifest, load_manifest
from shardwriter.rebuild import DatasetTraits, rebuild_shard
from shardwriter.storage import LocalStore
from tests.shardwriter.builders import SETTINGS, make_clip

FORMAT = FeatureFormat(
    preset="made", parameters={"num_mels": 5, "max_hz": 3500.0}, num_mels=5, frame_rate_hz=62.5
)
FEATURES = replace(SETTINGS, features=FORMAT)


def member(values_FM: np.ndarray) -> bytes:
    return FORMAT.header(len(values_FM)) + values_FM.astype("<f2").tobytes()


def made(num_frames: int, *, first: float = 1.0) -> bytes:
    values_FM = np.arange(5.0 * num_frames).reshape(num_frames, 5)
    values_FM[0, 0] = first
    return member(values_FM)


def saved(array: np.ndarray, *, version: tuple[int, int] = (1, 0), pickled: bool = False) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version, allow_pickle=pickled)
    return file.getvalue()


@pytest.mark.parametrize("num_frames", [1, 9, 1001, 123_456])
@pytest.mark.parametrize("num_mels", [1, 64, 4096])
def test_the_header_is_the_one_that_numpy_writes(num_frames: int, num_mels: int) -> None:
    form = replace(FORMAT, num_mels=num_mels)
    values_FM = np.broadcast_to(np.float16(0), (num_frames, num_mels))
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<f2", "fortran_order": False, "shape": values_FM.shape}
    )
    assert form.header(num_frames) == file.getvalue()
    assert len(file.getvalue()) == HEADER_NUM_BYTES == form.header_num_bytes


def test_numpy_reads_a_member_without_pickle() -> None:
    values_FM = np.load(io.BytesIO(made(7)), allow_pickle=False)
    assert (values_FM.dtype, values_FM.shape) == (np.dtype("<f2"), (7, 5))
    assert FORMAT.check_member(made(7), where="here") == 7


HOSTILE = {
    "empty": b"",
    "no header": made(3)[:127],
    "no frame": FORMAT.header(0),
    "cut within a frame": made(3)[:-1],
    "cut by a frame": made(3)[:-10],
    "a frame more": made(3) + bytes(10),
    "a shape of 10^18 frames": FORMAT.header(10**18) + bytes(10),
    "other bands": saved(np.zeros((5, 3), np.float16)),
    "column order": saved(np.asfortranarray(np.zeros((3, 5), np.float16))),
    "big-endian": saved(np.zeros((3, 5), ">f2")),
    "float32": saved(np.zeros((3, 5), np.float32)),
    "objects": saved(np.full((3, 5), None), pickled=True),
    "three axes": saved(np.zeros((3, 5, 1), np.float16)),
    "format 2.0": saved(np.zeros((3, 5), np.float16), version=(2, 0)),
    "FLAC": b"fLaC" + bytes(200),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_no_member_is_an_error_that_tells_where(data: bytes) -> None:
    with pytest.raises(ShardFormatError, match=r"^here: expected a \.npy file of '<f2' in C order"):
        FORMAT.check_member(data, where="here")


@given(
    place=st.integers(0, HEADER_NUM_BYTES - 1),
    value=st.integers(1, 255),
    num_frames=st.integers(1, 40),
)
def test_no_byte_of_a_header_can_be_another(place: int, value: int, num_frames: int) -> None:
    data = bytearray(made(num_frames))
    data[place] ^= value
    with pytest.raises(ShardFormatError):
        FORMAT.check_member(bytes(data), where="here")


@given(data=st.binary(max_size=400))
def test_random_bytes_are_refused_and_nothing_else_happens(data: bytes) -> None:
    with pytest.raises(ShardFormatError):
        FORMAT.check_member(FORMAT.header(1)[:60] + data, where="here")


def write(folder: Path, data: bytes, *, suffix: str = FEATURE_SUFFIX) -> Manifest:
    """Two clips, of which the second has these bytes."""
    with ShardWriter(str(folder), FEATURES) as writer:
        for number, held in enumerate((made(4), data)):
            sample = encode_clip(replace(make_clip(number), split="train"), SETTINGS)
            record = replace(sample.record, audio_suffix=suffix)
            writer.write(EncodedSample(record=record, audio=held, frame_offsets=()))
    return load_manifest(LocalStore(folder))


def problems(folder: Path, manifest: Manifest) -> tuple[str, ...]:
    (report,) = check_shards(LocalStore(folder), manifest, manifest.shards)
    return report.problems


def test_the_manifest_tells_what_the_features_are(tmp_path: Path) -> None:
    manifest = write(tmp_path, made(3))
    assert manifest.settings == FEATURES
    assert manifest.settings.digest != SETTINGS.digest
    row = json.loads((tmp_path / "dataset.json").read_text())["features"]
    assert row == {
        "preset": "made",
        "parameters": {"num_mels": 5, "max_hz": 3500.0},
        "num_mels": 5,
        "frame_rate_hz": 62.5,
        "dtype": "float16",
        "suffix": "mel.npy",
        "digest": FORMAT.digest,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": {"num_mels": 5, "max_hz": 3000.0}},
        {"dtype": "float64"},
        {"num_mels": 0},
        {"frame_rate_hz": -1.0},
        {"preset": None},
        {"parameters": []},
    ],
)
def test_an_edited_manifest_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    write(tmp_path, made(3))
    path = tmp_path / "dataset.json"
    row = json.loads(path.read_text())
    row["features"] |= change
    path.write_text(json.dumps(row))
    with pytest.raises(ShardFormatError, match="not a manifest of format 1"):
        load_manifest(LocalStore(tmp_path))


def test_verify_finds_nothing_wrong_with_what_was_written(tmp_path: Path) -> None:
    assert problems(tmp_path, write(tmp_path, made(3))) == ()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (made(3, first=np.nan), "1 of 15 values are not finite"),
        (made(3, first=-np.inf), "1 of 15 values are not finite"),
        (made(3)[:-2], "expected a .npy file of '<f2' in C order"),
    ],
)
def test_verify_names_a_member_that_is_wrong(tmp_path: Path, data: bytes, expected: str) -> None:
    (problem,) = problems(tmp_path, write(tmp_path, data))
    assert "made-000000.tar at byte" in problem
    assert expected in problem


def test_verify_finds_a_member_of_another_kind(tmp_path: Path) -> None:
    found = problems(tmp_path, write(tmp_path, made(3), suffix="flac"))
    assert [
        problem for problem in found if "the audio member is .flac, expected .mel.npy" in problem
    ]


def test_audio_is_not_written_among_features() -> None:
    with pytest.raises(ValueError, match="made holds features; add the clip to the dataset of"):
        encode_clip(make_clip(0), FEATURES)


def test_features_without_their_manifest_are_not_taken_for_audio(tmp_path: Path) -> None:
    manifest = write(tmp_path, made(3))
    traits = DatasetTraits()
    traits.add(rebuild_shard(LocalStore(tmp_path), manifest.shards[0].tar))
    with pytest.raises(ConfigError, match=r"restore that, or run `melstream cache-features` again"):
        traits.settings()

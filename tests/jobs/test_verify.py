import shutil
from pathlib import Path

import pytest

from jobs.verify import verify
from tests.jobs.builders import make_tones

TAR, IDX, INDEX = "train/tones-000001.tar", "train/tones-000001.idx", "index/train.parquet"


@pytest.fixture
def dataset(tones_url: str, tmp_path: Path) -> Path:
    """33 clips in 4 shards, for a test that changes them."""
    return Path(shutil.copytree(tones_url, tmp_path / "dataset"))


@pytest.mark.parametrize("decode", [True, False])
def test_whole_dataset_is_said_to_be_so_in_one_line(
    tones_url: str, decode: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(tones_url, decode=decode) == 0
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    assert captured.out.startswith(f"{tones_url}: whole. 4 shards, 33 clips, ")
    assert ("decoded audio" in captured.out) is decode


@pytest.mark.parametrize("name", [TAR, IDX, INDEX])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.999])
def test_flipped_bit_is_found_and_its_file_named(
    dataset: Path, name: str, share: float, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytearray((dataset / name).read_bytes())
    data[int(share * len(data))] ^= 1
    (dataset / name).write_bytes(data)
    assert verify(str(dataset)) == 1
    captured = capsys.readouterr()
    assert f"{dataset}/{name}" in captured.err
    assert "tones-000000" not in captured.err
    assert " in 4 shards, 33 clips, " in captured.out
    assert "ingest it again, or restore a copy" in captured.out


@pytest.mark.parametrize("name", [TAR, IDX, INDEX])
@pytest.mark.parametrize("decode", [True, False])
def test_file_that_is_gone_is_named(
    dataset: Path, name: str, decode: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    (dataset / name).unlink()
    assert verify(str(dataset), decode=decode) == 1
    assert f"{dataset}/{name} is not there" in capsys.readouterr().err


@pytest.mark.parametrize("num_bytes", [0, 512, 5000])
def test_cut_shard_is_found(
    dataset: Path, num_bytes: int, capsys: pytest.CaptureFixture[str]
) -> None:
    (dataset / TAR).write_bytes((dataset / TAR).read_bytes()[:num_bytes])
    assert verify(str(dataset)) == 1
    assert f"{dataset}/{TAR}" in capsys.readouterr().err


def test_shards_that_were_swapped_are_found(dataset: Path) -> None:
    first, second = dataset / "train/tones-000000.tar", dataset / TAR
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)
    assert verify(str(dataset)) == 1


def test_many_problems_are_shown_in_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.verify._MAX_PROBLEMS_SHOWN", 3)
    url = make_tones(tmp_path, num_clips=60, seconds=0.05)
    for path in tmp_path.glob("train/*.tar"):
        path.unlink()
    assert verify(url) == 1
    captured = capsys.readouterr()
    assert captured.err.count(" is not there") == 3
    assert "  ... and 3 more" in captured.err
    assert "6 problems in 6 shards" in captured.out

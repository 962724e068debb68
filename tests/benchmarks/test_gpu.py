"""The GPU benchmark, as far as a CPU can run it: the same code on small batches."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks import gpu, gpu_augment, gpu_features
from benchmarks.gpu_floor import floor_bytes
from benchmarks.machine import RESULTS
from loader.features import LogMelConfig


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(*words: str) -> int:
    return gpu.main(["--device", "cpu", "--seconds", "0.5", "--rounds", "1", *words])


def figures(folder: Path) -> dict[str, dict]:
    return json.loads((folder / "gpu-cpu.json").read_text())["results"]


def test_features_are_compared_timed_and_written_where_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--only", "features", "--out", str(tmp_path)) == 0
    results = figures(tmp_path)
    assert max(results["Presets on the device and on a CPU"]["off_by_db"].values()) <= 0.01
    ways = results["Log-mels"]["ways"]
    assert {name.split(", ")[0] for name in ways} == {"panns", "ast"}
    assert all(len(way["ms"]) == 1 for name, way in ways.items() if "melstream" in name)
    text = (tmp_path / "gpu-cpu.md").read_text()
    assert "No GPU figures" in text
    assert "date 20" in text
    assert text in capsys.readouterr().out


def test_augmentation_is_compared_and_timed_operation_by_operation(tmp_path: Path) -> None:
    assert run("--only", "augmentation", "--out", str(tmp_path)) == 0
    operations = figures(tmp_path)["Augmentation"]["operations"]
    assert len(operations) > 15
    assert operations["the whole chain and log-mels"]["ms"]


@pytest.mark.slow
def test_the_way_from_shards_to_a_step_is_measured(tmp_path: Path) -> None:
    assert run("--only", "pipeline", "--out", str(tmp_path)) == 0
    ways = figures(tmp_path)["From shards to a training step"]["ways"]
    assert len(ways) == 8
    assert all(way["clips_per_second"] > 0 for way in ways.values())


def test_without_a_card_nothing_is_written_unless_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.stat().st_mtime_ns for path in RESULTS.iterdir()}
    monkeypatch.setattr(gpu, "_features", lambda _: [])
    assert run("--only", "features") == 0
    assert {path: path.stat().st_mtime_ns for path in RESULTS.iterdir()} == before
    assert "no GPU figures" in capsys.readouterr().out


def test_features_that_are_wrong_are_not_timed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_features, "difference_db", lambda *_: float("nan"))
    assert run("--only", "features") == 1
    text = capsys.readouterr().out
    assert "**Wrong:** preset panns on cpu is nan dB" in text
    assert "## Log-mels" not in text


def test_an_operation_that_is_wrong_is_not_timed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = iter(range(100))
    make_batch = gpu_augment.make_batch

    def another_each_time(*args: object, **kwargs: object) -> object:
        batch = make_batch(*args, **kwargs)
        batch.wave_BT.add_(1000 * next(batches))
        return batch

    monkeypatch.setattr(gpu_augment, "make_batch", another_each_time)
    assert run("--only", "augmentation") == 1
    text = capsys.readouterr().out
    assert "**Wrong:** wave: roll on cpu: not timed" in text


def test_the_floor_is_that_of_the_waves_in_and_the_log_mels_out() -> None:
    config = LogMelConfig(mel_bank="torchaudio", num_mels=128, min_hz=0.0, max_hz=16000.0)
    terms = floor_bytes(config, batch_size=256, num_samples=320_000, sample_bytes=4)
    assert terms["wave_BT read"] == 327_680_000
    assert terms["mel_BMF written"] == 256 * 128 * 1001 * 4
    assert sum(terms.values()) == pytest.approx(0.459e9, rel=0.01)


def test_a_card_that_is_not_there_is_said_so() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a card")
    with pytest.raises(SystemExit, match="no CUDA device here"):
        gpu.main(["--device", "cuda"])

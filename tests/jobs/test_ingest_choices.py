"""The flags of `melstream ingest` that say how clips are cleaned and stored."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jobs.cli import main
from shardwriter.check import check_indexes, check_shards
from shardwriter.index import index_rows, read_idx
from shardwriter.manifest import Manifest, load_manifest
from shardwriter.schema import SampleRecord
from shardwriter.shard_names import idx_name
from shardwriter.storage import open_store

RATE = 8_000
NAMES = [f"{fold}-{100 + fold}-A-{fold}.wav" for fold in (1, 2, 3)]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips of 5 s as ESC-50 has them; sound from the 2nd to the 4th second."""
    folder = tmp_path_factory.mktemp("esc50")
    (folder / "audio").mkdir()
    (folder / "meta").mkdir()
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    for fold, name in enumerate(NAMES, start=1):
        wave_T = np.zeros(5 * RATE)
        wave_T[2 * RATE : 4 * RATE] = np.random.default_rng(fold).normal(size=2 * RATE) * 0.05
        soundfile.write(folder / "audio" / name, wave_T, RATE, subtype="PCM_16")
        rows.append(f"{name},{fold},{fold},class{fold},True,{100 + fold},A")
    (folder / "meta" / "esc50.csv").write_text("\n".join(rows) + "\n")
    return folder


def ingest(source: Path, out: Path, *flags: str) -> int:
    return main(
        ["ingest", "esc50", "--source", str(source), "--out", str(out), "--workers", "0", *flags]
    )


def records(out: Path) -> list[SampleRecord]:
    store = open_store(str(out))
    found = []
    for shard in load_manifest(store).shards:
        name = idx_name(shard.tar)
        for row in index_rows(read_idx(store.read(name), where=name)):
            label = store.read_range(shard.tar, row.json_offset, row.json_num_bytes)
            found.append(SampleRecord.from_json_bytes(label, where=row.key))
    return found


def manifest(out: Path) -> Manifest:
    return load_manifest(open_store(str(out)))


@pytest.mark.parametrize(
    ("flags", "suffix", "rate"),
    [
        (["--sample-rate", "16000"], "flac", 16_000),
        (["--codec", "wav", "--sample-rate", "16000"], "wav", 16_000),
        (["--codec", "opus", "--sample-rate", "48000"], "opus", 48_000),
        (["--codec", "source"], "wav", RATE),
    ],
)
def test_each_codec_makes_a_dataset_that_verifies(
    source: Path, tmp_path: Path, flags: list[str], suffix: str, rate: int
) -> None:
    assert ingest(source, tmp_path / "out", *flags) == 0
    found = records(tmp_path / "out")
    assert [(r.audio_suffix, r.sample_rate_hz, r.num_samples) for r in found] == [
        (suffix, rate, 5 * rate)
    ] * 3
    store = open_store(str(tmp_path / "out"))
    held = manifest(tmp_path / "out")
    assert not any(report.problems for report in check_shards(store, held, held.shards))
    assert check_indexes(store, held) == []
    assert main(["verify", str(tmp_path / "out")]) == 0
    assert main(["inspect", str(tmp_path / "out")]) == 0


def test_inspect_describes_untouched_bytes_without_made_up_numbers(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ingest(source, tmp_path / "out", "--codec", "source") == 0
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "the source's encoded bytes, untouched" in printed
    assert "0 Hz" not in printed


def test_loudness_and_trimming_stand_in_every_label_and_in_the_manifest(
    source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    flags = ["--normalize", "lufs:-30", "--trim-silence", "-60", "--sample-rate", "8000"]
    assert ingest(source, out, *flags) == 0
    for record in records(out):
        assert record.clean.num_trimmed_start == pytest.approx(1.9 * RATE, abs=0.02 * RATE)
        assert record.clean.num_trimmed_stop == pytest.approx(0.9 * RATE, abs=0.02 * RATE)
        assert record.clean.gain_db != 0
        assert record.num_samples == pytest.approx(2.2 * RATE, abs=0.02 * RATE)
    processing = manifest(out).settings.processing
    assert processing["loudness"] == {"kind": "lufs", "target_db": -30.0}
    assert processing["silence"] == {"margin_seconds": 0.1, "threshold_dbfs": -60.0}
    audio = manifest(out).provenance["audio"]
    assert audio["loudness"] == "lufs to -30 dB, no limiter"
    assert "below -60 dBFS" in audio["trimming"]


def test_an_ingest_does_not_go_on_with_other_choices(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ingest(source, tmp_path / "out", "--sample-rate", "8000") == 0
    assert ingest(source, tmp_path / "out", "--sample-rate", "8000", "--normalize", "peak") == 2
    assert "processing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--codec", "opus"], "Opus takes 8000"),
        (["--codec", "source", "--normalize", "rms"], "untouched"),
        (["--codec", "source", "--trim-silence", "-50"], "untouched"),
    ],
)
def test_choices_that_clash_are_said_before_work_starts(
    source: Path,
    tmp_path: Path,
    flags: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ingest(source, tmp_path / "out", *flags) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out" / "dataset.json").exists()


@pytest.mark.parametrize(
    "flags", [["--normalize", "loud"], ["--normalize", "lufs:9"], ["--trim-silence", "quiet"]]
)
def test_choices_without_sense_are_refused(
    source: Path, tmp_path: Path, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        ingest(source, tmp_path / "out", *flags)
    assert "expected" in capsys.readouterr().err


def test_the_manifest_is_plain_json(source: Path, tmp_path: Path) -> None:
    assert ingest(source, tmp_path / "out", "--codec", "source", "--normalize", "none") == 0
    row = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert row["audio"]["codec"] == "source"
    assert row["audio"]["sample_rate_hz"] == 0
    assert row["processing"] == {}

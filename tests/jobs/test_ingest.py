import io
import json
import os
import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile

from jobs.catalogues.esc50 import read_catalogue
from jobs.fetching.open_fetcher import open_fetcher
from jobs.ingest import IngestOptions, IngestSummary, ingest
from jobs.ingest_summary import print_summary
from jobs.ingesting.tally import REJECTIONS_NAME
from jobs.sources import open_source
from jobs.verify import verify
from shardwriter.errors import ConfigError, MelstreamError, StorageError
from tests.jobs.builders import (
    DemoRun,
    csv_bytes,
    dataset_tree,
    esc50_row,
    tree,
    wav,
    write_folder,
    write_zip,
)


def run(source: Path, out: Path, **options: Any) -> IngestSummary:
    opened = open_source(str(source))
    chosen = {"sample_rate_hz": 8000, "num_workers": 0, "max_samples_per_shard": 4} | options
    options_ = IngestOptions(out=str(out), quiet=True, **chosen)
    return ingest(read_catalogue(opened), open_fetcher(opened.url), options_)


def labels_in(out: Path) -> dict[str, dict[str, Any]]:
    """Every JSON label of a dataset by its clip's identity, read with plain `tarfile`."""
    found = {}
    for path in sorted(out.glob("train/*.tar")):
        with tarfile.open(path) as archive:
            for member in archive:
                if member.name.endswith(".json"):
                    label = json.load(archive.extractfile(member))  # type: ignore[arg-type]
                    found[label["id"]] = label
    return found


def rejections_in(out: Path) -> dict[str, str]:
    lines = (out / REJECTIONS_NAME).read_text().splitlines()
    return {row["clip_id"]: row["reason"] for row in map(json.loads, lines)}


def test_embedded_clips_become_400_verified_samples_of_80_a_fold(
    esc10: Path, demo_run: DemoRun
) -> None:
    assert "400 of the 400 clips that ESC-10 holds\n" in demo_run.process.stdout
    labels = labels_in(esc10)
    assert len(labels) == 400
    assert Counter(label["fold"] for label in labels.values()) == dict.fromkeys(range(1, 6), 80)
    assert {label["num_samples"] for label in labels.values()} == {160_000}
    assert {label["sample_rate_hz"] for label in labels.values()} == {32_000}
    assert (esc10 / REJECTIONS_NAME).read_bytes() == b""
    assert verify(str(esc10), decode=False) == 0  # the demo has decoded it


def test_label_holds_what_the_catalogue_and_the_source_say(
    esc10: Path,
) -> None:
    label = labels_in(esc10)["esc50/1-17150-A-12"]
    assert label["labels"] == ["crackling_fire"]
    assert label["label_ids"] == [4]
    assert (label["fold"], label["group"], label["split"]) == (1, "17150", "train")
    assert label["metadata"] == {
        "category": "crackling_fire",
        "target": 12,
        "esc10": True,
        "src_file": "17150",
        "take": "A",
    }
    assert label["source"]["file"] == "audio/1-17150-A-12.ogg"
    assert label["source"]["container"] == "ogg/opus"


def test_manifest_says_where_the_audio_is_from_and_what_made_it(
    esc10: Path,
) -> None:
    provenance = json.loads((esc10 / "dataset.json").read_bytes())["provenance"]
    assert provenance["dataset"] == "ESC-10"
    assert "CC BY" in provenance["licence"]
    assert "Piczak" in provenance["citation"]
    assert {"python", "melstream", "soxr", "av"} <= provenance["tools"].keys()


def test_wav_of_the_wanted_rate_comes_through_to_the_bit(tmp_path: Path) -> None:
    source = write_folder(
        tmp_path / "source",
        {"meta/esc50.csv": csv_bytes([esc50_row(1)]), "audio/1-1-A-0.wav": wav(hz=44_100)},
    )
    run(source, tmp_path / "out", sample_rate_hz=44_100)
    with tarfile.open(next((tmp_path / "out").glob("train/*.tar"))) as archive:
        flac = archive.extractfile("esc50+1-1-A-0.flac")
        assert flac is not None
        written, rate_hz = soundfile.read(io.BytesIO(flac.read()), dtype="int16")
    expected, _ = soundfile.read(source / "audio" / "1-1-A-0.wav", dtype="int16")
    assert rate_hz == 44_100
    assert (written == expected).all()


def test_zip_and_folder_give_the_same_clips(ten_clips: Path, tmp_path: Path) -> None:
    packed = write_zip(tmp_path / "ESC-50.zip", tree(ten_clips), top="ESC-50-master/")
    from_folder = run(ten_clips, tmp_path / "a", num_workers=1)
    from_zip = run(packed, tmp_path / "b", num_workers=1)
    assert from_zip.num_written == from_folder.num_written == 10
    labels = labels_in(tmp_path / "b")
    for identity, label in labels_in(tmp_path / "a").items():
        assert labels[identity]["pcm_sha256"] == label["pcm_sha256"]
        assert labels[identity]["source"]["file"] == "ESC-50-master/" + label["source"]["file"]


def test_any_number_of_workers_gives_the_same_bytes(ten_clips: Path, tmp_path: Path) -> None:
    for num_workers in (0, 1, 2):
        run(ten_clips, tmp_path / str(num_workers), num_workers=num_workers)
    expected = dataset_tree(tmp_path / "0")
    assert len(expected) == 3 * 3 + 2  # tar, idx and part of 3 shards; index, manifest
    assert dataset_tree(tmp_path / "1") == expected
    assert dataset_tree(tmp_path / "2") == expected


def test_second_run_writes_no_clip_and_changes_nothing(ten_clips: Path, tmp_path: Path) -> None:
    run(ten_clips, tmp_path / "out")
    before = dataset_tree(tmp_path / "out")
    again = run(ten_clips, tmp_path / "out")
    assert (again.num_written, again.num_already_there, again.rejections) == (0, 10, ())
    assert dataset_tree(tmp_path / "out") == before


def test_clips_that_are_listed_and_absent_are_rejections(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [esc50_row(number, fold=fold) for fold in (1, 2) for number in (1, 2, 3)]
    audio = {f"audio/{row['filename']}": wav() for row in rows[:4]}
    source = write_folder(tmp_path / "source", {"meta/esc50.csv": csv_bytes(rows), **audio})
    summary = run(source, tmp_path / "out")
    assert summary.num_written == 4
    assert summary.rejections_by_reason == {"absent": 2}
    assert rejections_in(tmp_path / "out") == {
        "esc50/2-2-A-0": "absent",
        "esc50/2-3-A-0": "absent",
    }
    print_summary(summary, read_catalogue(open_source(str(source))), out="out")
    printed = capsys.readouterr().out
    assert "6 of the 2,000 clips that ESC-50 holds  <- differs from the published count" in printed
    assert "rejected: absent" in printed
    assert f"out/{REJECTIONS_NAME}" in printed


def test_clips_that_turn_up_later_are_added_and_the_shards_that_are_there_stay(
    tmp_path: Path,
) -> None:
    rows = [esc50_row(number) for number in range(1, 7)]
    files = {"meta/esc50.csv": csv_bytes(rows)}
    audio = {f"audio/{row['filename']}": wav() for row in rows}
    early = dict(list(audio.items())[:4])
    source = write_folder(tmp_path / "source", files | early)
    run(source, tmp_path / "out")
    before = tree(tmp_path / "out" / "train")
    write_folder(source, audio)
    summary = run(source, tmp_path / "out")
    assert (summary.num_written, summary.num_already_there, summary.rejections) == (2, 4, ())
    assert rejections_in(tmp_path / "out") == {}
    assert before.items() < tree(tmp_path / "out" / "train").items()
    assert verify(str(tmp_path / "out")) == 0


def damaged_source(folder: Path) -> Path:
    good = wav()
    audio = {
        1: good,
        2: good[: len(good) // 2],
        3: b"RIFF but then garbage" * 50,
        4: b"",
        5: wav(subtype="FLOAT", nan_at=100),
        6: wav(seconds=1.0),
        7: wav(seconds=6.0),
        8: good[:44],
        9: good,
    }
    rows = [esc50_row(number) for number in audio]
    return write_folder(
        folder,
        {"meta/esc50.csv": csv_bytes([*rows, esc50_row(9), esc50_row(10)])}
        | {f"audio/1-{number}-A-0.wav": data for number, data in audio.items()},
    )


@pytest.mark.parametrize("num_workers", [0, 1])
def test_each_damaged_clip_is_rejected_for_its_reason_and_the_rest_is_written(
    tmp_path: Path, num_workers: int
) -> None:
    summary = run(damaged_source(tmp_path / "source"), tmp_path / "out", num_workers=num_workers)
    assert labels_in(tmp_path / "out").keys() == {"esc50/1-1-A-0", "esc50/1-9-A-0"}
    reasons = {rejection.clip_id: rejection.reason for rejection in summary.rejections}
    assert reasons == rejections_in(tmp_path / "out")
    assert reasons == {
        "esc50/1-9-A-0": "duplicate",
        "esc50/1-2-A-0": "truncated",
        "esc50/1-3-A-0": "unreadable",
        "esc50/1-4-A-0": "empty",
        "esc50/1-5-A-0": "not_finite",
        "esc50/1-6-A-0": "wrong_duration",
        "esc50/1-7-A-0": "wrong_duration",
        "esc50/1-8-A-0": "truncated",
        "esc50/1-10-A-0": "absent",
    }
    assert all(rejection.detail for rejection in summary.rejections)
    assert verify(str(tmp_path / "out")) == 0


def test_clip_that_has_gone_since_it_was_listed_is_absent(ten_clips: Path, tmp_path: Path) -> None:
    source = open_source(str(ten_clips))
    catalogue = read_catalogue(source)
    gone = replace(catalogue.clips[0], file="audio/gone.ogg")
    catalogue = replace(catalogue, clips=(gone, *catalogue.clips[1:3]))
    options = IngestOptions(out=str(tmp_path / "out"), num_workers=0, quiet=True)
    summary = ingest(catalogue, open_fetcher(source.url), options)
    assert summary.rejections_by_reason == {"absent": 1}
    assert "audio/gone.ogg" in summary.rejections[0].detail


def test_source_without_any_audio_is_refused_and_the_target_untouched(tmp_path: Path) -> None:
    source = write_folder(
        tmp_path / "source", {"meta/esc50.csv": csv_bytes([esc50_row(1), esc50_row(2)])}
    )
    with pytest.raises(ConfigError, match=r"none of the 2 clips .* is in .*; is the audio folder"):
        run(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_source_whose_clips_are_all_damaged_is_refused_and_the_log_says_why(
    tmp_path: Path,
) -> None:
    files = {"meta/esc50.csv": csv_bytes([esc50_row(1)]), "audio/1-1-A-0.wav": b"garbage"}
    source = write_folder(tmp_path / "source", files)
    with pytest.raises(ConfigError, match=rf"none of the 1 clips .*/{REJECTIONS_NAME} says why"):
        run(source, tmp_path / "out")
    assert rejections_in(tmp_path / "out") == {"esc50/1-1-A-0": "unreadable"}
    assert dataset_tree(tmp_path / "out") == {}
    assert not [name for name in tree(tmp_path / "out") if ".tmp-" in name]


def test_other_sample_rate_on_the_same_target_is_refused_and_changes_nothing(
    ten_clips: Path, tmp_path: Path
) -> None:
    run(ten_clips, tmp_path / "out")
    before = tree(tmp_path / "out")
    with pytest.raises(ConfigError, match=r"written with other settings .*choose another target"):
        run(ten_clips, tmp_path / "out", sample_rate_hz=16_000)
    assert tree(tmp_path / "out") == before


@pytest.mark.parametrize("sample_rate_hz", [1, 999, 700_000])
def test_sample_rate_out_of_bounds_is_refused_before_anything_is_written(
    ten_clips: Path, tmp_path: Path, sample_rate_hz: int
) -> None:
    with pytest.raises(
        ConfigError, match=rf"sample_rate_hz must be in 1000\.\.655350, got {sample_rate_hz}"
    ):
        run(ten_clips, tmp_path / "out", sample_rate_hz=sample_rate_hz)
    assert not (tmp_path / "out").exists()


def test_target_that_can_not_be_a_folder_is_a_storage_error(
    ten_clips: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    with pytest.raises(StorageError, match=str(tmp_path / "file")):
        run(ten_clips, tmp_path / "file" / "out")
    assert (tmp_path / "file").read_bytes() == b"in the way"


class Crash:
    """Ends the process that unpickles it, as a crash in a decoder would."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (1,)


def test_worker_that_dies_ends_the_job_and_leaves_whole_shards(
    ten_clips: Path, tmp_path: Path
) -> None:
    source = open_source(str(ten_clips))
    catalogue = read_catalogue(source)
    fatal = replace(catalogue.clips[6], metadata={"crash": Crash()})
    crashing = replace(catalogue, clips=(*catalogue.clips[:6], fatal, *catalogue.clips[7:]))
    options = IngestOptions(
        out=str(tmp_path / "out"),
        sample_rate_hz=8000,
        num_workers=1,
        max_samples_per_shard=4,
        quiet=True,
    )
    with pytest.raises(MelstreamError, match=r"a worker process died .* --workers 0"):
        ingest(crashing, open_fetcher(source.url), options)
    assert not (tmp_path / "out" / "dataset.json").exists()
    ingest(catalogue, open_fetcher(source.url), options)
    run(ten_clips, tmp_path / "whole")
    assert dataset_tree(tmp_path / "out") == dataset_tree(tmp_path / "whole")

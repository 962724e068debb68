"""The command over files of one's own: archives as published, folders of clips or videos."""

from pathlib import Path

import numpy as np
import pytest

from jobs.catalogues.trials import VerificationPairs
from jobs.cli import main
from jobs.verify import verify
from shardwriter.manifest import load_manifest
from shardwriter.storage import LocalStore
from tests.jobs.builders import dataset_tree, wav, write_folder
from tests.jobs.e2e.drifting_site import VIDEO_SECONDS, Listed, listed, write_list
from tests.jobs.fetching.media import RATE_HZ, noise
from tests.jobs.fetching.media import wav as wav_of
from tests.jobs.shard_records import records_of
from tests.jobs.test_catalogue_fsd50k import publish as publish_fsd50k
from tests.jobs.test_catalogue_voxceleb import META2, m4a, publish_vox1


def ingest(dataset: str, source: Path, out: Path, *flags: str) -> int:
    chosen = ["--source", str(source), "--out", str(out), "--workers", "0", *flags]
    return main(["ingest", dataset, *chosen])


def test_fsd50k_as_published_is_ingested_and_verifies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert ingest("fsd50k", publish_fsd50k(tmp_path / "fsd50k"), out) == 0
    printed = capsys.readouterr().out
    assert "clips of split train: expected 36,796, got 2" in printed
    records = {record.id: record for record in records_of(out)}
    assert {name: record.split for name, record in records.items()} == {
        "fsd50k/64760": "train",
        "fsd50k/16399": "train",
        "fsd50k/16401": "val",
        "fsd50k/37199": "eval",
    }
    assert records["fsd50k/64760"].group == "anna"
    provenance = load_manifest(LocalStore(out)).provenance
    assert provenance["label_codes"] == {
        "Animal": "/m/0jbk",
        "Bark": "/m/05tny_",
        "Gull_and_seagull": "/m/01dwxx",
    }
    assert verify(str(out)) == 0


def test_fsd50k_in_two_parts_is_the_same_dataset(tmp_path: Path) -> None:
    source = publish_fsd50k(tmp_path / "fsd50k")
    for part in ("1/2", "2/2"):
        assert ingest("fsd50k", source, tmp_path / "parts", "--part", part) == 0
    assert ingest("fsd50k", source, tmp_path / "whole") == 0
    assert {r.id for r in records_of(tmp_path / "parts")} == {
        r.id for r in records_of(tmp_path / "whole")
    }
    assert verify(str(tmp_path / "parts")) == 0


def test_voxceleb1_as_published_is_ingested_with_its_trials(tmp_path: Path) -> None:
    out = tmp_path / "out"
    source = publish_vox1(tmp_path / "vox1")
    assert ingest("voxceleb1", source, out, "--sample-rate", "16000") == 0
    assert len(list(records_of(out))) == 5
    data = (out / "trials" / "vox1-o.parquet").read_bytes()
    pairs = VerificationPairs.from_parquet(data, name="vox1-o", where="vox1-o.parquet")
    assert {*pairs.first, *pairs.second} <= {record.id for record in records_of(out)}
    assert verify(str(out)) == 0


def test_voxceleb2_in_m4a_is_ingested_from_a_folder(tmp_path: Path) -> None:
    files = {
        "vox2_meta.csv": META2,
        "dev/aac/id00012/21Uxsk56VDQ/00001.m4a": m4a(4.0),
        "test/aac/id00017/01dfn2spqyE/00001.m4a": m4a(4.5),
    }
    source = write_folder(tmp_path / "vox2", files)
    assert ingest("voxceleb2", source, tmp_path / "out", "--sample-rate", "16000") == 0
    assert {record.split for record in records_of(tmp_path / "out")} == {"dev", "test"}


def audioset(tmp_path: Path, source: Path, out: Path, rows: list[Listed], *flags: str) -> int:
    csv = write_list(tmp_path / "list.csv", rows)
    chosen = ["--csv", str(csv), "--split", "balanced", "--sample-rate", str(RATE_HZ)]
    return ingest("audioset", source, out, *chosen, *flags)


def test_audioset_is_cut_from_whole_videos_to_the_sample(tmp_path: Path) -> None:
    rows = listed(6)
    videos = [noise(VIDEO_SECONDS, seed=number) for number in range(5)]
    files = {f"Y{row.video}.wav": wav_of(pcm) for row, pcm in zip(rows[:5], videos, strict=True)}
    source, out = write_folder(tmp_path / "videos", files), tmp_path / "out"
    assert audioset(tmp_path, source, out, rows, "--audio", "videos", "--codec", "wav") == 0
    found = {record.id: record for record in records_of(out)}
    assert set(found) == {row.id for row in rows[:5]}
    assert {record.num_samples for record in found.values()} == {RATE_HZ}
    pieces = audio_of(out)
    for row, pcm_T in zip(rows[:5], videos, strict=True):
        start = row.start * RATE_HZ
        assert np.array_equal(pieces[row.id], pcm_T[start : start + RATE_HZ])


def audio_of(out: Path) -> dict[str, np.ndarray]:
    """The samples of each clip, by its id, read with plain `tarfile` and soundfile."""
    import io
    import json
    import tarfile

    import soundfile

    found: dict[str, np.ndarray] = {}
    for path in out.rglob("*.tar"):
        with tarfile.open(path) as archive:
            members = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
        for name, data in members.items():
            if name.endswith(".wav"):
                record = json.loads(members[name.removesuffix(".wav") + ".json"])
                found[record["id"]], _ = soundfile.read(io.BytesIO(data), dtype="int16")
    return found


def test_audioset_from_a_folder_of_clips_is_topped_up_with_what_was_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = listed(8)
    clips = {f"{row.video}_{row.start}.wav": wav(1.0 + 0.001 * n) for n, row in enumerate(rows)}
    half = dict(list(clips.items())[:4])
    out = tmp_path / "out"
    assert audioset(tmp_path, write_folder(tmp_path / "half", half), out, rows) == 0
    assert len(list(records_of(out))) == 4
    assert audioset(tmp_path, write_folder(tmp_path / "all", clips), out, rows) == 0
    assert {record.id for record in records_of(out)} == {row.id for row in rows}
    assert "4 clips" in capsys.readouterr().out
    assert verify(str(out)) == 0


def test_own_archive_as_a_source_gives_the_bytes_that_its_folder_gives(tmp_path: Path) -> None:
    import zipfile

    rows = listed(4)
    clips = {f"{row.video}.wav": wav(1.0 + 0.001 * n) for n, row in enumerate(rows)}
    folder = write_folder(tmp_path / "clips", clips)
    with zipfile.ZipFile(tmp_path / "clips.zip", "w") as archive:
        for name, data in clips.items():
            archive.writestr(name, data)
    assert audioset(tmp_path, folder, tmp_path / "a", rows) == 0
    assert audioset(tmp_path, tmp_path / "clips.zip", tmp_path / "b", rows) == 0
    first, second = dataset_tree(tmp_path / "a"), dataset_tree(tmp_path / "b")
    shards = [name for name in first if name.endswith(".tar")]
    assert len(shards) == 1
    assert [first[name] for name in shards] == [second[name] for name in shards]

"""What a writer refuses, and that it leaves what is there as it is."""

from dataclasses import replace
from pathlib import Path

import pytest

from shardwriter import AudioFormat, Settings, ShardWriter
from shardwriter.errors import ConfigError, ShardFormatError, StorageError
from shardwriter.manifest import load_manifest
from shardwriter.storage import LocalStore
from tests.shardwriter.builders import SETTINGS, make_clip, make_clips, tree, write_dataset
from tests.shardwriter.writing import read_split, shard_keys, writer_on


@pytest.mark.parametrize(
    "limits", [{"max_samples_per_shard": 0}, {"max_bytes_per_shard": 0}], ids=str
)
def test_limit_below_one_is_refused(tmp_path: Path, limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        ShardWriter(str(tmp_path), SETTINGS, **limits)


def test_provenance_without_a_json_form_is_refused_before_work_starts(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="JSON"):
        ShardWriter(str(tmp_path), SETTINGS, provenance={"path": tmp_path})


@pytest.mark.parametrize(
    "settings",
    [
        replace(SETTINGS, labels=(*SETTINGS.labels, "more")),
        replace(SETTINGS, audio=AudioFormat(sample_rate_hz=16_000, frame_num_samples=64)),
        replace(SETTINGS, name="other"),
    ],
    ids=["labels", "audio", "name"],
)
def test_other_settings_are_refused_and_nothing_is_touched(
    own_dataset: Path, settings: Settings
) -> None:
    before = tree(own_dataset)
    with pytest.raises(ConfigError, match=r"was written with other settings .*another target"):
        write_dataset(own_dataset, settings=settings)
    assert tree(own_dataset) == before


def test_damaged_part_stops_the_writer_before_it_writes(own_dataset: Path) -> None:
    (own_dataset / "parts" / "train" / "made-000001.json").write_bytes(b"{}")
    before = tree(own_dataset)
    with pytest.raises(ShardFormatError, match=r"parts/train/made-000001\.json"):
        write_dataset(own_dataset, make_clips(range(20)))
    assert tree(own_dataset) == before


def test_lost_part_stops_the_writer_that_would_forget_its_shard(own_dataset: Path) -> None:
    (own_dataset / "parts" / "train" / "made-000001.json").unlink()
    before = tree(own_dataset)
    with pytest.raises(ShardFormatError, match=r"parts/train/made-000001\.json is not there"):
        write_dataset(own_dataset, [replace(make_clip(20), split="eval")])
    assert tree(own_dataset) == before


def test_damaged_manifest_is_made_anew_from_the_parts(own_dataset: Path) -> None:
    before = tree(own_dataset)
    (own_dataset / "dataset.json").write_bytes(b"{")
    write_dataset(own_dataset)
    assert tree(own_dataset) == before


def test_part_without_its_index_stops_the_writer_before_it_writes(own_dataset: Path) -> None:
    (own_dataset / "train" / "made-000001.idx").unlink()
    before = tree(own_dataset)
    with pytest.raises(StorageError, match=r"train/made-000001\.idx is not there"):
        write_dataset(own_dataset, make_clips(range(20)))
    assert tree(own_dataset) == before


def test_key_that_is_open_already_is_refused(tmp_path: Path) -> None:
    with writer_on(tmp_path / "made") as writer:
        writer.write_clip(make_clip(0))
        with pytest.raises(ValueError, match="is in the dataset already"):
            writer.write_clip(make_clip(0))
    assert writer.manifest is not None
    assert len(list(read_split(tmp_path / "made", "train"))) == 1


def test_key_that_is_published_already_is_refused_in_any_split(own_dataset: Path) -> None:
    with writer_on(own_dataset) as writer:
        for split in ("train", "test", "eval"):
            with pytest.raises(ValueError, match="is in the dataset already"):
                writer.write_clip(replace(make_clip(0), split=split))


@pytest.mark.parametrize("split", ["", "..", "a/b", "parts", "index", "availability", ".tmp-a"])
def test_split_that_is_no_folder_of_its_own_is_refused(tmp_path: Path, split: str) -> None:
    with writer_on(tmp_path / "made") as writer:
        writer.write_clip(make_clip(0))
        with pytest.raises(ValueError, match="a split's name is"):
            writer.write_clip(replace(make_clip(1), split=split))
    assert writer.manifest is not None
    assert list(writer.manifest.splits) == ["train"]


def test_clip_whose_metadata_is_no_json_is_left_out_and_the_writer_goes_on(
    tmp_path: Path,
) -> None:
    with writer_on(tmp_path / "made") as writer:
        for split, metadata in [("eval", {"x": float("nan")}), ("train", {"x": {1}})]:
            with pytest.raises((ValueError, TypeError), match="JSON"):
                writer.write_clip(replace(make_clip(0), split=split, metadata=metadata))
        writer.write_clip(make_clip(0))
    assert writer.manifest is not None
    assert list(writer.manifest.splits) == ["train"]
    assert set(shard_keys(tmp_path / "made")) == {"train/made-000000.idx"}


def test_nothing_written_is_refused_and_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"no sample was written to {tmp_path}/made"):
        write_dataset(tmp_path / "made", [])
    assert not (tmp_path / "made").exists()


def test_file_where_the_target_must_be_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "made").write_text("in the way")
    with pytest.raises(StorageError, match=f"{tmp_path}/made: File exists"):
        write_dataset(tmp_path / "made")
    assert (tmp_path / "made").read_text() == "in the way"


def test_file_where_a_split_must_be_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "train").write_text("in the way")
    with pytest.raises(StorageError, match=f"{tmp_path}/made/train/made-000000.tar"):
        write_dataset(tmp_path / "made")
    with pytest.raises(ConfigError):
        load_manifest(LocalStore(tmp_path / "made"))


def test_second_writer_is_refused(tmp_path: Path) -> None:
    with writer_on(tmp_path / "made") as writer:
        writer.write_clip(make_clip(0))
        with pytest.raises(StorageError, match="another process is writing"):
            write_dataset(tmp_path / "made")
    assert len(list(read_split(tmp_path / "made", "train"))) == 1


def test_url_that_no_store_serves_is_refused_before_work_starts() -> None:
    with pytest.raises(ConfigError, match="can't open 'ftp://host/made'"):
        ShardWriter("ftp://host/made", SETTINGS)

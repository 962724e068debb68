"""ShardWriter: what is written is what is read, and an interruption leaves no trace."""

import contextlib
import json
import random
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shardwriter import AudioFormat, CleanClip, SampleRecord, Settings, ShardWriter, encode_clip
from shardwriter.errors import ConfigError, ShardFormatError, StorageError
from shardwriter.index import read_idx, read_index
from shardwriter.keys import to_key
from shardwriter.manifest import load_manifest
from shardwriter.object_names import TEMPORARY_PREFIX
from shardwriter.storage import LocalStore
from shardwriter.tarshard import read_members
from tests.audio import decoded, noise
from tests.shardwriter.builders import (
    NUM_CLIPS,
    SETTINGS,
    make_clip,
    make_clips,
    tree,
    write_dataset,
)
from tests.shardwriter.disk import full_disk

ROOT = Path(__file__).parents[2]


class UserCodeError(Exception):
    """What goes wrong in the user's own code."""


class FailingStore(LocalStore):
    """A store whose n-th publication fails, as a full disk or a lost connection would."""

    def __init__(self, root: Path, *, fail_at: int) -> None:
        super().__init__(root)
        self.num_left = fail_at

    def put(self, name: str, data: bytes, *, replace: bool = False) -> None:
        self._count(name)
        super().put(name, data, replace=replace)

    def put_file(self, name: str, path: Path) -> None:
        self._count(name)
        super().put_file(name, path)

    def _count(self, name: str) -> None:
        self.num_left -= 1
        if self.num_left == 0:
            raise StorageError(f"{name}: No space left on device")


def writer_on(target: Path | LocalStore) -> ShardWriter:
    store = target if isinstance(target, LocalStore) else str(target)
    return ShardWriter(store, SETTINGS, max_samples_per_shard=3)


def write_all(writer: ShardWriter, clips: Iterable[CleanClip]) -> None:
    with writer:
        for clip in clips:
            writer.write_clip(clip)


def write_and_fail(writer: ShardWriter, clips: Iterable[CleanClip]) -> None:
    """Write clips, then leave the block by an exception."""
    with contextlib.suppress(UserCodeError), writer:
        for clip in clips:
            writer.write_clip(clip)
        raise UserCodeError


def read_split(folder: Path, split: str) -> Iterator[tuple[SampleRecord, np.ndarray]]:
    """The samples of a split, in order, without the indexes."""
    for tar in sorted((folder / split).glob("*.tar")):
        members = list(read_members(tar.read_bytes(), where=str(tar)))
        for audio, label in zip(members[::2], members[1::2], strict=True):
            yield SampleRecord.from_json_bytes(label.data, where=label.name), decoded(audio.data)[0]


def shard_keys(folder: Path) -> dict[str, list[str]]:
    return {
        path.relative_to(folder).as_posix(): read_idx(path.read_bytes(), where=str(path))
        .column("key")
        .to_pylist()
        for path in sorted(folder.rglob("*.idx"))
    }


def visible(folder: Path) -> dict[str, str]:
    return {name: sha for name, sha in tree(folder).items() if TEMPORARY_PREFIX not in name}


# What is written is what is read


@pytest.mark.parametrize("split", ["train", "test"])
def test_samples_come_back_bit_for_bit_and_in_order(dataset: Path, split: str) -> None:
    clips = [clip for clip in make_clips() if clip.split == split]
    held = list(read_split(dataset, split))
    assert len(held) == len(clips) > 2
    for clip, (record, pcm_T) in zip(clips, held, strict=True):
        np.testing.assert_array_equal(pcm_T, clip.pcm_T)
        assert record == encode_clip(clip, SETTINGS).record


def test_dataset_has_the_documented_files_and_no_other(dataset: Path) -> None:
    stems = ["test/made-000000", "train/made-000000", "train/made-000001", "train/made-000002"]
    expected = {"dataset.json", "index/test.parquet", "index/train.parquet"}
    expected.add("availability/groups.jsonl")  # these clips' groups lie in both splits
    for stem in stems:
        expected |= {f"{stem}.tar", f"{stem}.idx", f"parts/{stem}.json"}
    assert set(tree(dataset)) == expected


def test_index_lists_every_sample_with_its_shard(dataset: Path) -> None:
    table = read_index((dataset / "index" / "train.parquet").read_bytes(), where="index")
    clips = [clip for clip in make_clips() if clip.split == "train"]
    assert table.column("key").to_pylist() == [to_key(clip.id) for clip in clips]
    shards = [f"train/made-{place // 3:06d}.tar" for place in range(len(clips))]
    assert table.column("shard").to_pylist() == shards
    assert table.column("fold").to_pylist() == [clip.fold for clip in clips]
    assert table.column("group").to_pylist() == [clip.group for clip in clips]


def test_manifest_counts_samples_bytes_and_seconds(dataset: Path) -> None:
    totals = load_manifest(LocalStore(dataset)).splits["train"]
    clips = [clip for clip in make_clips() if clip.split == "train"]
    tars = list((dataset / "train").glob("*.tar"))
    assert (totals.num_shards, totals.num_samples) == (len(tars), len(clips)) == (3, 8)
    assert totals.num_bytes == sum(tar.stat().st_size for tar in tars)
    assert totals.duration_seconds == pytest.approx(sum(len(c.pcm_T) for c in clips) / 8000)


def test_writer_has_the_manifest_only_when_the_block_has_ended(tmp_path: Path) -> None:
    writer = ShardWriter(str(tmp_path / "made"), SETTINGS)
    with writer:
        writer.write_clip(make_clip(0))
        assert writer.manifest is None
    assert writer.manifest == load_manifest(LocalStore(tmp_path / "made"))


def test_provenance_is_kept(tmp_path: Path) -> None:
    write_dataset(tmp_path / "made", provenance={"tools": {"soxr": "1.0 ü"}})
    manifest = load_manifest(LocalStore(tmp_path / "made"))
    assert manifest.provenance == {"tools": {"soxr": "1.0 ü"}}


def test_same_samples_give_the_same_bytes(dataset: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "again")
    assert tree(tmp_path / "again") == tree(dataset)


def test_shards_do_not_depend_on_how_the_splits_are_interleaved(
    dataset: Path, tmp_path: Path
) -> None:
    write_dataset(tmp_path / "sorted", sorted(make_clips(), key=lambda clip: clip.split))
    assert tree(tmp_path / "sorted") == tree(dataset)


# When a shard is full


@pytest.mark.parametrize(("limit", "sizes"), [(1, [1] * 8), (3, [3, 3, 2]), (8, [8]), (99, [8])])
def test_shard_is_full_with_so_many_samples(tmp_path: Path, limit: int, sizes: list[int]) -> None:
    manifest = write_dataset(tmp_path / "made", max_samples_per_shard=limit)
    assert [shard.num_samples for shard in manifest.shards_of("train")] == sizes


def test_shard_is_full_when_it_has_reached_so_many_bytes(tmp_path: Path) -> None:
    manifest = write_dataset(tmp_path / "made", max_samples_per_shard=99, max_bytes_per_shard=6_000)
    sizes = [shard.num_samples for shard in manifest.shards_of("train")]
    assert sum(sizes) == 8
    assert len(sizes) > 1
    for shard in manifest.shards_of("train")[:-1]:
        *_, last = read_members((tmp_path / "made" / shard.tar).read_bytes(), where=shard.tar)
        whole = last.offset + -(-len(last.data) // 512) * 512
        assert 6_000 <= whole < 6_000 + 4_000  # over it by less than one sample


def test_sample_larger_than_a_shard_gets_one_of_its_own(tmp_path: Path) -> None:
    manifest = write_dataset(tmp_path / "made", max_bytes_per_shard=1)
    assert {shard.num_samples for shard in manifest.shards} == {1}
    assert len(manifest.shards) == NUM_CLIPS


@pytest.mark.parametrize(
    "limits", [{"max_samples_per_shard": 0}, {"max_bytes_per_shard": 0}], ids=str
)
def test_limit_below_one_is_refused(tmp_path: Path, limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        ShardWriter(str(tmp_path), SETTINGS, **limits)


def test_provenance_without_a_json_form_is_refused_before_work_starts(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="JSON"):
        ShardWriter(str(tmp_path), SETTINGS, provenance={"path": tmp_path})


# Interruptions


@pytest.mark.parametrize("num_written", range(NUM_CLIPS + 1))
def test_interrupted_and_repeated_run_gives_the_same_tree(
    dataset: Path, tmp_path: Path, num_written: int
) -> None:
    folder = tmp_path / "made"
    write_and_fail(writer_on(folder), make_clips(range(num_written)))
    left = tree(folder) if folder.exists() else {}
    assert left.items() <= tree(dataset).items()
    assert "dataset.json" not in left
    hint = "run the same ingest command again" if left else "no dataset at"
    with pytest.raises(ConfigError, match=hint):
        load_manifest(LocalStore(folder))
    write_dataset(folder)
    assert tree(folder) == tree(dataset)


def test_readers_see_only_whole_shards_while_a_writer_works(dataset: Path, tmp_path: Path) -> None:
    reference = tree(dataset).items()
    with writer_on(tmp_path / "made") as writer:
        for clip in make_clips():
            writer.write_clip(clip)
            seen = visible(tmp_path / "made")
            assert seen.items() <= reference
            assert "dataset.json" not in seen
            assert not any(name.startswith("index/") for name in seen)


def test_writer_knows_what_is_written(tmp_path: Path) -> None:
    keys = [to_key(clip.id) for clip in make_clips(range(5))]
    writer = writer_on(tmp_path / "made")
    write_and_fail(writer, make_clips(range(5)))
    with writer:  # the same object, used again
        # Clips 0, 1 and 3 filled the first shard of `train`; 2 and 4 were thrown away.
        assert [writer.is_written(key) for key in keys] == [True, True, False, True, False]
        writer.write_clip(make_clip(2))
        assert writer.is_written(keys[2])


@pytest.mark.parametrize("fail_at", range(1, 16))
def test_publication_that_fails_and_a_repeated_run_give_the_same_tree(
    dataset: Path, tmp_path: Path, fail_at: int
) -> None:
    """The dataset is 15 publications: four shards of three files, two indexes, the manifest."""
    folder = tmp_path / "made"
    writer = writer_on(FailingStore(folder, fail_at=fail_at))
    with pytest.raises(StorageError, match="No space left"):
        write_all(writer, make_clips())
    assert writer.manifest is None
    left = tree(folder) if folder.exists() else {}
    assert left.items() <= tree(dataset).items()
    assert "dataset.json" not in left
    write_dataset(folder)
    assert tree(folder) == tree(dataset)


def test_writer_that_failed_refuses_to_go_on(tmp_path: Path) -> None:
    """Else the samples of the shard that was lost would be missing without a word."""
    folder = tmp_path / "made"
    writer = ShardWriter(FailingStore(folder, fail_at=1), SETTINGS, max_samples_per_shard=1)
    with contextlib.ExitStack() as stack:
        stack.enter_context(pytest.raises(StorageError, match="failed before"))
        stack.enter_context(writer)
        with pytest.raises(StorageError, match="No space left"):
            writer.write_clip(make_clip(0))
        with pytest.raises(StorageError, match=r"failed before.*open a new writer"):
            writer.write_clip(make_clip(1))
    assert not folder.exists() or visible(folder) == {}


def test_full_disk_is_a_storage_error_and_leaves_nothing(tmp_path: Path) -> None:
    pcm_T = noise(40_000)
    writer = writer_on(tmp_path / "made")
    with (
        pytest.raises(StorageError, match="File too large"),
        full_disk(max_file_bytes=20_000),
    ):
        write_all(writer, [replace(make_clip(0), pcm_T=pcm_T)])
    assert not (tmp_path / "made").exists()


def test_writer_that_is_killed_at_random_and_repeated_gives_the_same_tree(
    tmp_path: Path,
) -> None:
    num_clips, rng = 40, random.Random(5)
    folder = tmp_path / "made"
    command = [sys.executable, "-m", "tests.shardwriter.killed_writer", "steps", folder, "40"]
    for kill in range(5):
        with subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            # It may write so many clips, and is killed while it works on the last of them.
            num_allowed = rng.randrange(4 + 6 * kill, 10 + 6 * kill)
            process.stdin.write(bytes(num_allowed))
            process.stdin.flush()
            for _ in range(num_allowed - rng.randrange(1, 4)):
                assert process.stdout.readline()
            process.kill()
        assert process.returncode == -signal.SIGKILL
        with pytest.raises(ConfigError):
            load_manifest(LocalStore(folder))
    write_dataset(folder, make_clips(range(num_clips)))
    write_dataset(tmp_path / "reference", make_clips(range(num_clips)))
    assert tree(folder) == tree(tmp_path / "reference")


def kill_points(folder: Path, *, step: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.shardwriter.killed_writer", "points", folder, str(step)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_writer_that_is_killed_at_a_file_operation_leaves_whole_shards_only(
    tmp_path: Path,
) -> None:
    found = kill_points(tmp_path, step=9)
    assert found["problems"] == {}
    assert found["num_points"] >= 10


@pytest.mark.slow
def test_writer_that_is_killed_at_any_file_operation_leaves_whole_shards_only(
    tmp_path: Path,
) -> None:
    found = kill_points(tmp_path, step=1)
    assert found["problems"] == {}
    assert found["num_points"] >= 90


def test_shard_of_a_killed_run_with_other_content_is_named_not_replaced(
    own_dataset: Path,
) -> None:
    """The tar is published before its part; a run in another order finds it in the way."""
    (own_dataset / "dataset.json").unlink()
    (own_dataset / "parts" / "test" / "made-000000.json").unlink()
    before = (own_dataset / "test" / "made-000000.tar").read_bytes()
    with pytest.raises(StorageError, match=r"test/made-000000\.tar is there already with other"):
        write_dataset(own_dataset, make_clips()[::-1])
    assert (own_dataset / "test" / "made-000000.tar").read_bytes() == before


# Topping up


def test_top_up_adds_shards_and_changes_none(own_dataset: Path) -> None:
    before, keys = tree(own_dataset), shard_keys(own_dataset)
    manifest = write_dataset(own_dataset, make_clips(range(NUM_CLIPS + 6)))
    after = tree(own_dataset)
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {
        "availability/groups.jsonl",
        "dataset.json",
        "index/test.parquet",
        "index/train.parquet",
    }
    assert {name for name in set(after) - set(before) if name.endswith(".tar")} == {
        "test/made-000001.tar",
        "train/made-000003.tar",
        "train/made-000004.tar",
    }
    assert shard_keys(own_dataset).items() >= keys.items()
    assert sum(totals.num_samples for totals in manifest.splits.values()) == NUM_CLIPS + 6


def test_top_up_may_add_a_split(own_dataset: Path) -> None:
    clips = [replace(make_clip(number), split="eval") for number in range(20, 22)]
    manifest = write_dataset(own_dataset, clips)
    assert list(manifest.splits) == ["eval", "test", "train"]
    assert len(list(read_split(own_dataset, "eval"))) == 2


def test_top_up_with_nothing_new_changes_nothing(own_dataset: Path) -> None:
    before = tree(own_dataset)
    write_dataset(own_dataset)
    assert tree(own_dataset) == before


def test_top_up_may_have_other_limits(own_dataset: Path) -> None:
    before = tree(own_dataset)
    write_dataset(own_dataset, make_clips(range(30)), max_samples_per_shard=100)
    tars = {name for name in before if name.endswith(".tar")}
    assert {name: tree(own_dataset)[name] for name in tars} == {n: before[n] for n in tars}


def test_interrupted_top_up_leaves_the_dataset_as_it_was(own_dataset: Path) -> None:
    before, manifest = tree(own_dataset), load_manifest(LocalStore(own_dataset))
    write_and_fail(writer_on(own_dataset), make_clips(range(20, 29)))
    after = tree(own_dataset)
    assert before.items() <= after.items()
    assert load_manifest(LocalStore(own_dataset)) == manifest


TOPPED_UP = make_clips([*range(NUM_CLIPS), 11, 12, 13])


@pytest.fixture(scope="module")
def topped_up(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The tree after a top-up that nothing disturbed."""
    folder = shutil.copytree(dataset, tmp_path_factory.mktemp("topped_up") / "made")
    write_dataset(folder, TOPPED_UP)
    return tree(folder)


@pytest.mark.parametrize("fail_at", range(1, 10))
def test_top_up_that_fails_leaves_every_published_shard_and_its_manifest(
    own_dataset: Path, topped_up: dict[str, str], fail_at: int
) -> None:
    """Two new shards of three files, two indexes and the manifest are nine publications."""
    before, manifest = tree(own_dataset), load_manifest(LocalStore(own_dataset))
    writer = writer_on(FailingStore(own_dataset, fail_at=fail_at))
    with pytest.raises(StorageError, match="No space left"):
        write_all(writer, TOPPED_UP[NUM_CLIPS:])
    after = tree(own_dataset)
    assert load_manifest(LocalStore(own_dataset)) == manifest
    # A split's index may be the next one already; it lists the manifest's shards and more.
    assert {name for name in before if after.get(name) != before[name]} <= {
        "index/test.parquet",
        "index/train.parquet",
    }
    write_dataset(own_dataset, TOPPED_UP)
    assert tree(own_dataset) == topped_up


# What is refused


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


def test_default_limit_keeps_many_clips_in_one_shard(tmp_path: Path) -> None:
    clips = [
        CleanClip(id=f"made/{number}", split="train", pcm_T=np.zeros(16, np.int16), labels=())
        for number in range(1001)
    ]
    with ShardWriter(str(tmp_path / "made"), SETTINGS) as writer:
        for clip in clips:
            writer.write_clip(clip)
    with tarfile.open(tmp_path / "made" / "train" / "made-000000.tar") as tar:
        assert len(tar.getnames()) == 2000

"""Several writers at once on one target, each in a lane of its own; one merge makes the dataset."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from loader.dataset import open_dataset
from shardwriter import CleanClip, ShardWriter
from shardwriter.check import check_indexes, check_shards
from shardwriter.errors import ConfigError, GroupStraddlesError, OtherContentError, StorageError
from shardwriter.index import index_rows
from shardwriter.manifest import load_manifest
from shardwriter.publish import load_held, load_idx, merge_lanes
from shardwriter.rebuild import rebuild_shard
from shardwriter.repair import load_known, repair_indexes, tars_to_read
from shardwriter.shard_names import TarName, tar_name
from shardwriter.storage import LocalStore
from tests.shardwriter.dataset_builders import clip, settings, tree, write_dataset

LANES = ("p001of003", "p002of003", "p003of003")


def write_lane(folder: Path, lane: str, clips: Iterable[CleanClip], **options: object) -> None:
    write_dataset(folder, clips, lane=lane, **options)


def merge(folder: Path) -> None:
    merge_lanes(LocalStore(folder), settings(), provenance={})


def sounds(folder: Path) -> dict[str, bytes]:
    """Hash of each clip's samples by its key."""
    store = LocalStore(folder)
    found = {}
    for shard in load_manifest(store).shards:
        for row in index_rows(load_idx(store, shard.tar)):
            assert row.key not in found
            found[row.key] = row.pcm_hash
    return found


def check(folder: Path) -> None:
    store = LocalStore(folder)
    manifest = load_manifest(store)
    assert [
        p for report in check_shards(store, manifest, manifest.shards) for p in report.problems
    ] == []
    assert check_indexes(store, manifest) == []


def test_three_lanes_hold_the_samples_of_one_writer(tmp_path: Path) -> None:
    clips = [clip(number) for number in range(20)]
    write_dataset(tmp_path / "one", clips)
    for lane, start in zip(LANES, (0, 7, 14), strict=True):
        write_lane(tmp_path / "three", lane, clips[start : start + 7])
        assert not (tmp_path / "three" / "dataset.json").exists()
    merge(tmp_path / "three")
    assert sounds(tmp_path / "three") == sounds(tmp_path / "one")
    assert len(open_dataset(LocalStore(tmp_path / "three"), split="train", folds=None)) == 20
    check(tmp_path / "three")


def test_lanes_write_at_the_same_time(tmp_path: Path) -> None:
    with ShardWriter(str(tmp_path), settings(), lane=LANES[0]) as first:
        first.write_clip(clip(0))
        with ShardWriter(str(tmp_path), settings(), lane=LANES[1]) as second:
            second.write_clip(clip(1))
        first.write_clip(clip(2))
    merge(tmp_path)
    assert len(sounds(tmp_path)) == 3


def test_many_lanes_that_begin_and_end_at_once_lose_nothing(tmp_path: Path) -> None:
    def work(number: int) -> None:
        write_lane(tmp_path, f"s{number:06d}", [clip(number)])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(24)))
    merge(tmp_path)
    assert len(sounds(tmp_path)) == 24
    assert not [name for name in tree(tmp_path) if ".tmp-" in name]


def test_same_lane_twice_and_the_whole_target_are_refused_while_a_lane_works(
    tmp_path: Path,
) -> None:
    with ShardWriter(str(tmp_path), settings(), lane=LANES[0]) as writer:
        writer.write_clip(clip(0))
        for lane in (LANES[0], ""):
            with (
                pytest.raises(StorageError, match="another process is writing"),
                ShardWriter(str(tmp_path), settings(), lane=lane),
            ):
                pass


def test_lane_is_refused_while_the_whole_target_is_written(tmp_path: Path) -> None:
    with ShardWriter(str(tmp_path), settings()) as writer:
        writer.write_clip(clip(0))
        with (
            pytest.raises(StorageError, match="another process is writing"),
            ShardWriter(str(tmp_path), settings(), lane=LANES[0]),
        ):
            pass


def test_lane_goes_on_behind_its_own_shards(tmp_path: Path) -> None:
    write_lane(tmp_path, LANES[0], [clip(number) for number in range(4)])
    before = tree(tmp_path)
    write_lane(tmp_path, LANES[0], [clip(number) for number in range(6)])
    merge(tmp_path)
    assert before.items() <= tree(tmp_path).items()
    assert len(sounds(tmp_path)) == 6


def test_writer_of_the_whole_target_goes_on_behind_lanes_and_changes_none(tmp_path: Path) -> None:
    write_lane(tmp_path, LANES[0], [clip(0), clip(1)])
    before = tree(tmp_path / "train")
    write_dataset(tmp_path, [clip(number) for number in range(4)])
    assert before.items() <= tree(tmp_path / "train").items()
    assert list(sounds(tmp_path)) == ["made+002", "made+003", "made+000", "made+001"]
    check(tmp_path)


def test_merging_again_changes_nothing(tmp_path: Path) -> None:
    for number, lane in enumerate(LANES):
        write_lane(tmp_path, lane, [clip(number)])
    merge(tmp_path)
    before = tree(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(merge, [tmp_path] * 4))
    assert tree(tmp_path) == before


def test_shards_that_come_during_a_merge_are_in_the_manifest_that_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lane(tmp_path, LANES[0], [clip(0)])
    late = iter([True])
    put = LocalStore.put

    def put_slowly(self: LocalStore, name: str, data: bytes, *, replace: bool = False) -> None:
        put(self, name, data, replace=replace)
        if name.startswith("index/") and next(late, False):
            write_lane(tmp_path, LANES[1], [clip(1)])
            merge(tmp_path)

    monkeypatch.setattr(LocalStore, "put", put_slowly)
    merge(tmp_path)
    assert set(sounds(tmp_path)) == {"made+000", "made+001"}
    check(tmp_path)


def test_clip_that_two_lanes_wrote_counts_once_and_the_published_shard_stays(
    tmp_path: Path,
) -> None:
    write_lane(tmp_path, LANES[1], [clip(0), clip(1)])
    merge(tmp_path)
    write_lane(tmp_path, LANES[0], [clip(1), clip(2)])  # earlier by name, later published
    merge(tmp_path)
    assert set(sounds(tmp_path)) == {"made+000", "made+001"}
    held = load_held(LocalStore(tmp_path), settings())
    assert held.keys == {"made+000", "made+001"}  # so that clip 2 is written again
    check(tmp_path)


def test_leftover_tar_of_other_content_is_passed_when_asked(tmp_path: Path) -> None:
    leftover = tmp_path / tar_name("train", "made", 0)
    leftover.parent.mkdir()
    leftover.write_bytes(b"left by a killed writer")
    with pytest.raises(OtherContentError, match="other content"):
        write_dataset(tmp_path, [clip(0)])
    write_dataset(tmp_path, [clip(0)], passes_leftovers=True)
    assert [shard.tar for shard in load_manifest(LocalStore(tmp_path)).shards] == [
        tar_name("train", "made", 1)
    ]
    check(tmp_path)


def test_merge_refuses_a_group_in_two_splits_by_name(tmp_path: Path) -> None:
    write_lane(tmp_path, LANES[0], [clip(0, group="anna")])
    write_lane(tmp_path, LANES[1], [clip(1, split="eval", group="anna")])
    with pytest.raises(GroupStraddlesError, match=r"clip 'made\+000' .*'anna'"):
        merge_lanes(LocalStore(tmp_path), settings(), provenance={}, group_rule="refuse")
    assert not (tmp_path / "dataset.json").exists()


def test_merge_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no sample was written"):
        merge(tmp_path)


def test_keys_are_told_as_soon_as_their_shard_is_done(tmp_path: Path) -> None:
    told: list[list[str]] = []
    write_dataset(
        tmp_path,
        [clip(number) for number in range(4)],
        on_published=lambda keys: told.append(list(keys)),
    )
    assert told == [["made+000", "made+001", "made+002"], ["made+003"]]


def test_unfinished_shards_can_be_discarded_and_the_full_ones_published(tmp_path: Path) -> None:
    with ShardWriter(str(tmp_path), settings(), max_samples_per_shard=3) as writer:
        for number in range(5):
            writer.write_clip(clip(number))
        assert writer.num_shards == 1
        writer.discard_unfinished()
        assert not writer.is_written("made+003")
    assert set(sounds(tmp_path)) == {"made+000", "made+001", "made+002"}


def test_manifest_of_lanes_is_rebuilt_from_the_tars(tmp_path: Path) -> None:
    for number, lane in enumerate(LANES):
        write_lane(tmp_path, lane, [clip(number)])
    merge(tmp_path)
    before = tree(tmp_path / "train")
    (tmp_path / "dataset.json").unlink()
    store = LocalStore(tmp_path)
    with store.lock_for_writing():
        known = load_known(store)
        repair_indexes(
            store, known, [rebuild_shard(store, tar) for tar in tars_to_read(store, known)]
        )
    assert load_manifest(store).settings.name == "made"
    assert tree(tmp_path / "train") == before


@pytest.mark.parametrize("lane", ["", "p003of064", "s000012"])
def test_name_of_a_tar_tells_its_lane_and_number(lane: str) -> None:
    parsed = TarName.parse(tar_name("train", "audio-set", 7, lane=lane))
    assert parsed == TarName(split="train", name="audio-set", lane=lane, number=7)


@pytest.mark.parametrize("lane", ["p3", "x000001", "../p003of064", "s1"])
def test_lane_of_another_form_is_refused(tmp_path: Path, lane: str) -> None:
    with pytest.raises(ValueError, match="a lane is"):
        ShardWriter(str(tmp_path), settings(), lane=lane)

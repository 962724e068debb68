"""Lost and damaged samples: an error at once, or within a budget another clip in their place."""

import json
import re
from pathlib import Path

import pytest
import torch

from loader import GroupBatches, LoaderConfig, ShardLoader, World
from shardwriter.errors import ConfigError, ErrorBudgetError, ShardFormatError, StorageError
from tests.loader.builders import (
    NUM_CLIPS,
    alive_threads_after_waiting,
    interleave,
    make_dataset,
    make_loader,
    make_loaders,
    real_keys,
    rows_by_content,
    windows_by_key,
)
from tests.loader.remote_folder import RemoteFolder, remote_loader


def damage(loader: ShardLoader, *rows: int) -> set[str]:
    """Change a byte amid the audio of some rows; return their keys."""
    index = loader.index
    for row in rows:
        path = Path(index.stores[0].url, index.tars[index.shard_N[row]])
        data = bytearray(path.read_bytes())
        data[index.audio_offset_N[row] + index.audio_num_bytes_N[row] // 2] ^= 0xFF
        path.write_bytes(data)
    return set(index.keys.take(list(rows)).to_pylist())


def test_without_a_budget_the_first_lost_sample_is_an_error(own_dataset_url: str) -> None:
    loader = make_loader(own_dataset_url)
    (key,) = damage(loader, 5)
    with pytest.raises(
        ShardFormatError, match=rf"sample {re.escape(key)}, audio at byte \d+: expected .* got"
    ):
        list(loader)
    assert loader.quarantine() == ()


def test_a_stand_in_comes_under_inference_mode_too(own_dataset_url: str) -> None:
    loader = make_loader(own_dataset_url, error_budget=1)
    damage(loader, 5)
    with torch.inference_mode():
        assert sum(int(batch.is_padding_B.sum()) for batch in loader) == 1


@pytest.mark.parametrize("tail", ["drop", "pad", "cycle"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_steps_hold_and_stand_ins_are_real_clips_marked_as_padding(
    own_dataset_url: str, size: int, tail: str
) -> None:
    settings = {"tail": tail, "num_threads": 3}
    whole = interleave([list(each) for each in make_loaders(own_dataset_url, size, **settings)])
    content = {row[0]: row[2:] for row in rows_by_content(whole)}
    bad = damage(make_loader(own_dataset_url), 3, 11, 12)
    loaders = make_loaders(own_dataset_url, size, error_budget=3, **settings)
    mended = interleave([list(loader) for loader in loaders])
    assert len(mended) == len(whole)
    pairs = list(zip(rows_by_content(whole), rows_by_content(mended), strict=True))
    for expected, got in pairs:
        if expected[0] not in bad:
            assert got == expected
        else:
            assert got[0] not in bad
            assert got[1] is True
            assert got[2:] == content[got[0]]
    num_lost = sum(expected[0] in bad for expected, _ in pairs)
    assert sum(loader.stats().num_replaced for loader in loaders) == num_lost > 0
    assert alive_threads_after_waiting() == []


def test_who_stands_in_does_not_depend_on_threads_or_on_when_it_was_found(
    own_dataset_url: str,
) -> None:
    damage(make_loader(own_dataset_url), 0, 7, 8, 20)
    first = make_loader(own_dataset_url, tail="pad", error_budget=4, num_threads=1)
    once = rows_by_content(first)
    first.set_epoch(0)
    first.rewind()
    for again in (first, make_loader(own_dataset_url, tail="pad", error_budget=4, num_threads=4)):
        assert rows_by_content(again) == once


def test_a_whole_lost_shard_is_replaced_even_when_it_makes_whole_batches(
    own_dataset_url: str,
) -> None:
    loader = make_loader(own_dataset_url, tail="pad", shuffle=False, error_budget=0.2)
    Path(own_dataset_url, loader.index.tars[2]).unlink()
    batches = list(loader)
    assert len(batches) == 8
    assert batches[2].is_padding_B.tolist() == [True] * 3
    # The next batch's first clip stands in for all three.
    assert batches[2].keys == (batches[3].keys[0],) * 3
    assert real_keys(batches) == [key for key in loader.index.keys.to_pylist() if key not in {
        sample.key for sample in loader.quarantine()}]  # fmt: skip
    assert [sample.reason for sample in loader.quarantine()] == ["missing"] * 3
    assert all(sample.shard.endswith("train/made-000002.tar") for sample in loader.quarantine())
    assert len({sample.offset for sample in loader.quarantine()}) == 3


def test_more_than_the_budget_is_an_error_that_names_the_worst_shards(
    own_dataset_url: str,
) -> None:
    # One thread: with several, the fourth that is found may be one of the first batch's.
    loader = make_loader(own_dataset_url, tail="pad", error_budget=3, shuffle=False, num_threads=1)
    damage(loader, 0, 1, 2, 10)
    with pytest.raises(
        ErrorBudgetError,
        match=r"^4 samples of epoch 0 can't be read on this rank, error_budget=3 allows 3; worst "
        r"of 2 shards: \S+/train/made-000000\.tar \(3\), \S+/train/made-000003\.tar \(1\)\. One of "
        r"the errors: .*CRC-32C.*melstream verify",
    ):
        list(loader)
    assert loader.state_dict()["cursor"] == 9
    assert alive_threads_after_waiting() == []


def test_nothing_left_to_read_is_an_error_and_no_endless_search(own_dataset_url: str) -> None:
    loader = make_loader(own_dataset_url, error_budget=1000)
    for tar in loader.index.tars:
        Path(own_dataset_url, tar).unlink()
    with pytest.raises(ErrorBudgetError, match="nor can any other clip that this rank has left"):
        list(loader)
    assert alive_threads_after_waiting() == []


def test_each_epoch_has_the_budget_anew_and_lost_samples_are_not_read_again(
    own_dataset_url: str,
) -> None:
    store = RemoteFolder(own_dataset_url)
    loader = remote_loader(store, error_budget=2)
    bad = damage(loader, 4, 9)
    index = loader.index
    places = {(index.tars[index.shard_N[row]], int(index.audio_offset_N[row])) for row in (4, 9)}
    for epoch in range(3):
        store.ranges.clear()
        batches = list(loader)
        assert len(batches) == 8
        assert set(real_keys(batches)) == set(loader.index.keys.to_pylist()) - bad
        asked = sum((name, start) in places for name, start, _ in store.ranges)
        assert (asked > 0) == (epoch == 0)
    assert loader.stats().num_quarantined == 2
    assert loader.stats().reader.num_bytes_held == 0


def test_a_failure_that_passes_is_read_again_and_quarantines_nothing(dataset_url: str) -> None:
    store = RemoteFolder(dataset_url)
    store.problems = [StorageError("lost for a moment")] * 2
    loader = remote_loader(store, error_budget=1)
    expected = rows_by_content(make_loader(dataset_url, tail="pad"))
    assert rows_by_content(loader) == expected
    assert (loader.quarantine(), loader.stats().num_replaced) == ((), 0)


def test_stand_ins_of_group_batches_are_of_the_same_speaker(tmp_path: Path) -> None:
    url = make_dataset(tmp_path / "set", numbers=range(1, 61, 3))  # of one label each
    config = LoaderConfig(
        url=url, split="train", batch_size=4, crop_seconds=0.02, error_budget=1,
        group_batches=GroupBatches(by="label", clips_per_group=2, rest="cycle"),
    )  # fmt: skip
    loader = ShardLoader(config, world=World())
    whole = list(loader)
    damage(loader, int(loader.index.keys.to_pylist().index(whole[0].keys[1])))
    mended = next(iter(ShardLoader(config, world=World())))
    assert mended.keys == (whole[0].keys[0], whole[0].keys[0], *whole[0].keys[2:])
    assert mended.is_padding_B.tolist() == [False, True, False, False]


def test_copies_of_a_lost_clip_count_once_and_are_all_replaced(own_dataset_url: str) -> None:
    loader = make_loader(own_dataset_url, epoch_size=92, tail="pad", error_budget=1)
    (bad,) = damage(loader, 6)
    keys = real_keys(loader)
    assert bad not in keys
    assert loader.stats().num_replaced == 92 - len(keys) == 4
    assert len(loader.quarantine()) == 1


def test_the_list_is_kept_in_a_file_for_the_next_run(own_dataset_url: str, tmp_path: Path) -> None:
    file = tmp_path / "quarantine.jsonl"
    settings = {"tail": "pad", "error_budget": 1, "quarantine_file": str(file)}
    loader = make_loader(own_dataset_url, **settings)
    (bad,) = damage(loader, 6)
    first = rows_by_content(loader)
    (line,) = file.read_text().splitlines()
    row = json.loads(line)
    assert row.pop("dataset_digest") == loader.index.digest
    assert row == loader.quarantine()[0].to_json()
    assert (row["key"], row["reason"], row["epoch"]) == (bad, "damaged", 0)
    assert "expected" in row["message"]
    again = make_loader(own_dataset_url, **settings)
    assert again.quarantine() == loader.quarantine()
    assert rows_by_content(again) == first
    assert len(file.read_text().splitlines()) == 1


def test_a_list_is_read_again_whatever_the_folder_is_called(tmp_path: Path) -> None:
    url = make_dataset(tmp_path / "line\u2028end \x85 \udcff")
    file = tmp_path / "quarantine.jsonl"
    settings = {"tail": "pad", "error_budget": 1, "quarantine_file": str(file)}
    loader = make_loader(url, **settings)
    (bad,) = damage(loader, 6)
    assert bad not in real_keys(loader)
    assert make_loader(url, **settings).quarantine() == loader.quarantine()
    assert len(loader.quarantine()) == 1


def test_a_list_of_another_dataset_has_no_effect(tmp_path: Path) -> None:
    file = tmp_path / "quarantine.jsonl"
    sample = {"key": "k", "shard": "s", "offset": 1, "reason": "damaged", "message": "", "epoch": 0}
    file.write_text(json.dumps({"dataset_digest": "other", **sample}) + "\n")
    url = make_dataset(tmp_path / "set")
    loader = make_loader(url, tail="pad", error_budget=1, quarantine_file=str(file))
    assert loader.quarantine() == ()
    assert len(real_keys(loader)) == NUM_CLIPS


@pytest.mark.parametrize("text", ["nonsense\n", "[]\n", '{"dataset_digest": "x"}\n', "\xff\xfe"])
def test_a_file_that_is_no_list_is_refused(dataset_url: str, tmp_path: Path, text: str) -> None:
    file = tmp_path / "quarantine.jsonl"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"quarantine_file \S+"):
        make_loader(dataset_url, error_budget=1, quarantine_file=str(file))


@pytest.mark.parametrize("budget", [-1, 1.5, True, "3", float("nan")])
def test_a_budget_that_is_none_is_refused(budget: object) -> None:
    with pytest.raises(ValueError, match="error_budget must be a whole number of samples"):
        LoaderConfig(url="x", split="train", batch_size=1, crop_seconds=1, error_budget=budget)  # type: ignore[arg-type]


def test_stand_ins_are_bit_for_bit_the_clips_that_they_name(own_dataset_url: str) -> None:
    whole = windows_by_key(make_loader(own_dataset_url, tail="pad"))
    damage(make_loader(own_dataset_url), 2, 3)
    mended = windows_by_key(make_loader(own_dataset_url, tail="pad", error_budget=0.1))
    assert mended == {key: whole[key] for key in mended}
    assert len(mended) == NUM_CLIPS - 2


@pytest.mark.parametrize("has_cache", [False, True])
def test_of_a_damaged_remote_shard_only_the_damaged_samples_are_lost(
    own_dataset_url: str, tmp_path: Path, has_cache: bool
) -> None:
    cache = {"cache_dir": str(tmp_path / "cache")} if has_cache else {}
    loader = remote_loader(RemoteFolder(own_dataset_url), error_budget=2, **cache)
    bad = damage(loader, 4, 9)
    for _ in range(2):
        assert set(real_keys(loader)) == set(loader.index.keys.to_pylist()) - bad
    assert {sample.reason for sample in loader.quarantine()} == {"damaged"}
    assert loader.stats().reader.num_bytes_held == 0
    assert alive_threads_after_waiting() == []

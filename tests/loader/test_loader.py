"""One epoch, and one after the other: who gets what, when, and the same each time."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from loader import LoaderConfig, ShardLoader, World
from loader.crop import choose_windows
from shardwriter.errors import ConfigError, ShardFormatError
from tests.loader.builders import (
    LABELS,
    NUM_CLIPS,
    RATE_HZ,
    WINDOW,
    clip_fold,
    clip_key,
    clip_labels,
    clip_pcm,
    interleave,
    make_dataset,
    make_loader,
    make_loaders,
    real_keys,
    rewrite_index,
    run_world,
    set_column,
    windows_by_key,
)

ALL_KEYS = sorted(clip_key(number) for number in range(NUM_CLIPS))
NUMBER_BY_KEY = {clip_key(number): number for number in range(NUM_CLIPS)}
WORLD_SIZES = (1, 2, 3, 5)


@pytest.fixture(scope="module", params=[1, 4, 23], ids=lambda n: f"{n}-clips-per-shard")
def any_dataset_url(request: pytest.FixtureRequest, tmp_path_factory: Any) -> str:
    """23 clips in 23 shards, in 6, and in one."""
    folder = tmp_path_factory.mktemp("dataset")
    return make_dataset(folder, clips_per_shard=request.param)


@pytest.mark.parametrize("size", WORLD_SIZES)
def test_pad_delivers_every_sample_exactly_once_without_padding(
    any_dataset_url: str, size: int
) -> None:
    batches = run_world(any_dataset_url, size, tail="pad")
    assert sorted(real_keys(batches)) == ALL_KEYS
    per_step = 3 * size
    assert len(batches) == math.ceil(NUM_CLIPS / per_step) * size
    num_padding = sum(int(batch.is_padding_B.sum()) for batch in batches)
    assert num_padding == len(batches) * 3 - NUM_CLIPS


@pytest.mark.parametrize("size", WORLD_SIZES)
def test_drop_delivers_no_sample_twice_and_loses_less_than_a_step(
    any_dataset_url: str, size: int
) -> None:
    batches = run_world(any_dataset_url, size, tail="drop")
    keys = real_keys(batches)
    assert len(keys) == len(set(keys)) == sum(len(batch) for batch in batches)
    assert NUM_CLIPS - len(keys) < 3 * size


@pytest.mark.parametrize("size", WORLD_SIZES)
def test_cycle_delivers_every_sample_at_least_once_in_full_batches(
    any_dataset_url: str, size: int
) -> None:
    batches = run_world(any_dataset_url, size, tail="cycle")
    keys = real_keys(batches)
    assert set(keys) == set(ALL_KEYS)
    assert len(keys) == math.ceil(NUM_CLIPS / (3 * size)) * 3 * size
    assert sorted(keys[:NUM_CLIPS]) == ALL_KEYS
    # The top-up begins again at the start of the same order.
    assert keys[NUM_CLIPS:] == keys[: len(keys) - NUM_CLIPS]


@pytest.mark.parametrize("tail", ["drop", "pad", "cycle"])
@pytest.mark.parametrize("size", WORLD_SIZES)
def test_all_ranks_make_the_number_of_steps_that_len_says(
    dataset_url: str, size: int, tail: str
) -> None:
    loaders = make_loaders(dataset_url, size, tail=tail)
    promised = [len(loader) for loader in loaders]
    made = [len(list(loader)) for loader in loaders]
    assert made == promised
    assert len(set(made)) == 1
    assert made[0] > 0


def test_more_ranks_than_samples_still_make_equal_steps(tmp_path: Path) -> None:
    url = make_dataset(tmp_path, num_clips=2)
    padded = run_world(url, 5, tail="pad", batch_size=1)
    assert len(padded) == 5
    assert sorted(real_keys(padded)) == [clip_key(0), clip_key(1)]
    cycled = real_keys(run_world(url, 3, tail="cycle", batch_size=2, shuffle=False))
    assert cycled == [clip_key(0), clip_key(1)] * 3


def test_order_is_the_same_for_every_world_thread_count_and_prefetch(dataset_url: str) -> None:
    expected = real_keys(run_world(dataset_url, 1, tail="pad"))
    variants: list[dict[str, Any]] = [
        {"batch_size": 1},
        {"batch_size": 7},
        {"num_threads": 1, "prefetch_batches": 1},
        {"num_threads": 5, "prefetch_batches": 9},
    ]
    for size in WORLD_SIZES:
        for variant in variants:
            batches = run_world(dataset_url, size, tail="pad", **variant)
            assert real_keys(batches) == expected


def test_same_seed_gives_the_same_bytes_and_another_seed_others(dataset_url: str) -> None:
    def run(seed: int) -> list[tuple[tuple[str, ...], bytes]]:
        loader = make_loader(dataset_url, seed=seed)
        return [(batch.keys, batch.wave_BT.numpy().tobytes()) for batch in loader]

    first = run(5)
    assert run(5) == first
    assert run(6) != first


def test_epochs_follow_each_other_with_other_orders_and_crops(dataset_url: str) -> None:
    loader = make_loader(dataset_url, tail="pad")
    epochs = []
    for epoch in range(3):
        assert loader.epoch == epoch
        epochs.append(list(loader))
    orders = [tuple(real_keys(batches)) for batches in epochs]
    assert len(set(orders)) == 3
    assert all(sorted(order) == ALL_KEYS for order in orders)
    crops = [windows_by_key(batches) for batches in epochs]
    assert crops[0] != crops[1] != crops[2]


def test_set_epoch_goes_to_the_beginning_of_any_epoch(dataset_url: str) -> None:
    loader = make_loader(dataset_url)
    epochs = [real_keys(loader) for _ in range(4)]
    loader.set_epoch(2)
    assert real_keys(loader) == epochs[2]
    assert real_keys(loader) == epochs[3]
    loader.set_epoch(0)
    assert real_keys(loader) == epochs[0]
    with pytest.raises(ValueError, match="at least 0, got -1"):
        loader.set_epoch(-1)


def test_unshuffled_order_is_that_of_the_index_in_every_epoch(dataset_url: str) -> None:
    loader = make_loader(dataset_url, shuffle=False, tail="pad")
    expected = [clip_key(number) for number in range(NUM_CLIPS)]
    assert real_keys(loader) == expected
    assert real_keys(loader) == expected


@pytest.mark.parametrize("crop", ["random", "start", "center"])
def test_rows_are_the_clips_windows_bit_for_bit_with_zeros_behind(
    dataset_url: str, crop: Any
) -> None:
    num_rows = 0
    for batch in make_loader(dataset_url, crop=crop, seed=11, tail="pad"):
        assert batch.wave_BT.dtype == torch.int16
        for key, wave_T, num_samples in zip(
            batch.keys, batch.wave_BT.numpy(), batch.num_samples_B.tolist(), strict=True
        ):
            pcm_T = clip_pcm(NUMBER_BY_KEY[key])
            windows = choose_windows(
                (key,),
                torch.tensor([len(pcm_T)]).numpy(),
                window_num_samples=WINDOW,
                crop=crop,
                seed=11,
                epoch=0,
            )
            start = int(windows.start_B[0])
            assert num_samples == min(len(pcm_T), WINDOW)
            assert wave_T[:num_samples].tolist() == pcm_T[start : start + WINDOW].tolist()
            assert not wave_T[num_samples:].any()
            num_rows += 1
    assert num_rows == 24


def test_crops_are_the_same_on_every_world_and_thread_count(dataset_url: str) -> None:
    expected = windows_by_key(run_world(dataset_url, 1, tail="pad"))
    assert len(expected) == NUM_CLIPS
    for size in WORLD_SIZES:
        batches = run_world(dataset_url, size, tail="pad", batch_size=2, num_threads=3)
        assert windows_by_key(batches) == expected


def test_crops_do_not_depend_on_how_shards_are_cut(dataset_url: str, any_dataset_url: str) -> None:
    expected = windows_by_key(make_loader(dataset_url, tail="pad"))
    assert windows_by_key(make_loader(any_dataset_url, tail="pad")) == expected


def test_without_crop_every_clip_is_whole_and_padded_to_the_longest(dataset_url: str) -> None:
    keys = set()
    for batch in make_loader(dataset_url, crop_seconds=None, tail="pad"):
        assert batch.wave_BT.shape == (3, len(clip_pcm(10)))
        for place, key in enumerate(batch.keys):
            pcm_T = clip_pcm(NUMBER_BY_KEY[key])
            assert batch.num_samples_B[place] == len(pcm_T)
            assert batch.wave_BT[place, : len(pcm_T)].tolist() == pcm_T.tolist()
            keys.add(key)
    assert sorted(keys) == ALL_KEYS


def test_targets_are_each_clips_labels_multi_hot(dataset_url: str) -> None:
    loader = make_loader(dataset_url, tail="pad")
    assert loader.labels == LABELS
    num_hot = 0.0
    for batch in loader:
        assert batch.target_BK.dtype == torch.float32
        assert batch.target_BK.shape == (3, len(LABELS))
        for key, target_K in zip(batch.keys, batch.target_BK, strict=True):
            labels = clip_labels(NUMBER_BY_KEY[key])
            assert target_K.tolist() == [float(label in labels) for label in LABELS]
            num_hot += float(target_K.sum())
    assert num_hot > NUM_CLIPS / 2


def test_padding_repeats_real_clips_and_is_marked(dataset_url: str) -> None:
    *whole, last = make_loader(dataset_url, tail="pad", batch_size=5)
    assert not any(batch.is_padding_B.any() for batch in whole)
    assert last.is_padding_B.tolist() == [False, False, False, True, True]
    assert last.is_padding_B.dtype == torch.bool
    assert last.keys[3:] == whole[0].keys[:2]
    assert torch.equal(last.wave_BT[3:], whole[0].wave_BT[:2])


def test_folds_are_the_only_ones_delivered(dataset_url: str) -> None:
    loader = make_loader(dataset_url, folds=(2, 5), tail="pad")
    kept = sorted(key for key, number in NUMBER_BY_KEY.items() if clip_fold(number) in (2, 5))
    assert sorted(real_keys(loader)) == kept
    assert len(loader.index) == len(kept)


def test_drop_that_leaves_no_step_is_refused_with_the_numbers_and_the_way_out(
    dataset_url: str,
) -> None:
    with pytest.raises(
        ConfigError, match=r"^23 samples give no step: 5 ranks .* 25 .*pad"
    ) as error:
        make_loader(dataset_url, size=5, batch_size=5)
    assert "smaller batch_size" in str(error.value)
    assert len(make_loader(dataset_url, size=5, batch_size=5, tail="cycle")) == 1


def test_crop_shorter_than_a_sample_is_refused(dataset_url: str) -> None:
    with pytest.raises(ConfigError, match="less than one sample at 8000 Hz"):
        make_loader(dataset_url, crop_seconds=0.4 / RATE_HZ)


def test_world_is_that_of_the_environment_when_none_is_given(
    dataset_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    config = LoaderConfig(url=dataset_url, split="train", batch_size=3, crop_seconds=None)
    assert ShardLoader(config).world == World(rank=1, size=2, local_rank=1)


def test_stats_count_what_was_delivered(dataset_url: str) -> None:
    loader = make_loader(dataset_url, tail="pad", batch_size=5)
    assert loader.stats().num_batches == 0
    list(loader)
    stats = loader.stats()
    assert (stats.num_batches, stats.num_clips, stats.num_threads) == (5, NUM_CLIPS, 2)
    # 25 rows: the two that pad are read, too.
    assert stats.num_encoded_bytes > loader.index.audio_num_bytes_N.sum()
    assert stats.time_to_first_batch_seconds > 0
    assert stats.read_seconds > 0
    assert stats.decode_seconds > 0
    assert stats.bottleneck().endswith(".")


def test_planning_is_counted_with_the_waits_it_is_part_of(dataset_url: str) -> None:
    loader = make_loader(dataset_url, tail="pad", batch_size=1)
    batches = iter(loader)
    next(batches)
    assert loader.stats().plan_seconds == 0.0 < loader.stats().time_to_first_batch_seconds
    list(batches)
    assert 0 < loader.stats().plan_seconds <= loader.stats().wait_seconds


def test_clip_of_another_length_than_in_the_index_is_refused(own_dataset_url: str) -> None:
    rewrite_index(
        own_dataset_url,
        lambda table: set_column(table, "num_samples", [500] * NUM_CLIPS),
    )
    with pytest.raises(ShardFormatError, match="expected 500 samples at 8000 Hz"):
        list(make_loader(own_dataset_url))


def test_batches_of_ranks_interleave_to_the_single_ranks_batches(dataset_url: str) -> None:
    one = [batch.keys for batch in make_loader(dataset_url, batch_size=3)]
    three = [batch.keys for batch in interleave([list(r) for r in make_loaders(dataset_url, 3)])]
    assert three == one[: len(three)]
    assert len(three) == 6


@pytest.mark.gpu
def test_batches_are_pinned_where_cuda_is(dataset_url: str) -> None:
    for batch in make_loader(dataset_url):
        assert batch.wave_BT.is_pinned()
        assert batch.target_BK.is_pinned()
        on_device = batch.to("cuda", non_blocking=True)
        assert torch.equal(on_device.wave_BT.cpu(), batch.wave_BT)
    for batch in make_loader(dataset_url, pin_memory=False):
        assert not batch.wave_BT.is_pinned()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_pinning_without_cuda_is_refused(dataset_url: str) -> None:
    with pytest.raises(ConfigError, match="pin_memory=True needs CUDA"):
        make_loader(dataset_url, pin_memory=True)

"""The simulated fleet against the loader itself: the same deal, requests and bytes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.fleet import Clips, Fleet, Traffic, dealt
from jobs.fleet_pace import Speeds
from jobs.simulate import SimulateOptions, simulate
from loader import LoaderConfig, ShardLoader, World
from loader.mixture import open_datasets
from loader.plan import OrderPolicy, epoch_order
from loader.stripe import Stripe
from shardwriter.errors import ConfigError
from shardwriter.storage import open_store
from tests.loader.builders import make_dataset
from tests.loader.remote_folder import RemoteFolder


def fleet(**choices: object) -> Fleet:
    defaults: dict[str, object] = {
        "num_gpus": 4,
        "gpus_per_node": 2,
        "batch_size": 3,
        "clips_per_gpu": 100.0,
        "cache_num_bytes": None,
    }
    return Fleet(**(defaults | choices))  # type: ignore[arg-type]


@given(
    num_gpus=st.integers(1, 6),
    batch_size=st.integers(1, 5),
    num_clips=st.integers(60, 200),
    num_streams=st.integers(1, 4),
)
@settings(max_examples=60, deadline=None)
def test_clips_are_dealt_as_the_loader_deals_them(
    num_gpus: int, batch_size: int, num_clips: int, num_streams: int
) -> None:
    policy = OrderPolicy(shuffle=True, open_shards=2, num_streams=num_streams)
    order = epoch_order(
        (np.arange(num_clips) // 6).astype(np.int32), policy=policy, seed=1, epoch=2
    )
    rows_SRB = dealt(order, fleet(num_gpus=num_gpus, batch_size=batch_size))
    for rank in range(num_gpus):
        stripe = Stripe(rank=rank, num_ranks=num_gpus, batch_size=batch_size, tail="drop")
        expected_SB = order.rows_M[stripe.deal(order, cursor=0)]
        np.testing.assert_array_equal(rows_SRB[:, rank], expected_SB)


@pytest.mark.parametrize("num_streams", [1, 2])
@pytest.mark.parametrize("has_cache", [False, True])
def test_requests_and_bytes_are_those_that_two_nodes_of_loaders_make(
    tmp_path: Path, has_cache: bool, num_streams: int
) -> None:
    url = make_dataset(tmp_path / "made", num_clips=96, clips_per_shard=6)
    stores = [RemoteFolder(url) for _ in range(2)]
    num_downloaded = 0
    for node, store in enumerate(stores):
        cache = {"cache_dir": str(tmp_path / f"cache{node}")} if has_cache else {}
        config = LoaderConfig(
            url=url, split="train", batch_size=4, crop_seconds=0.02, open_shards=4,
            num_streams=num_streams, fetch_memory_bytes=1 << 16, **cache,
        )  # fmt: skip
        loader = ShardLoader(config, world=World(rank=node, size=2, local_size=1), store=store)
        assert sum(1 for _ in loader) == 12
        num_downloaded += loader.stats().reader.num_shards_downloaded
    index = open_datasets([open_store(url)], LoaderConfig(
        url=url, split="train", batch_size=1, crop_seconds=1.0).selections)  # fmt: skip
    clips = Clips(
        shard_N=index.shard_N,
        offset_N=index.audio_offset_N,
        num_bytes_N=index.audio_num_bytes_N,
        shard_num_bytes=np.array(index.tar_num_bytes, dtype=np.int64),
    )
    policy = OrderPolicy(shuffle=True, open_shards=4, num_streams=num_streams)
    order = epoch_order(
        index.shard_N, policy=policy, seed=0, epoch=0, dataset_of_shard=index.dataset_of_shard
    )
    predicted = Traffic(
        clips,
        fleet(
            num_gpus=2,
            gpus_per_node=1,
            batch_size=4,
            cache_num_bytes=1 << 40 if has_cache else None,
        ),
    ).epoch(order)
    num_bytes = [store.num_bytes for store in stores]
    num_requests = sum(len(store.ranges) for store in stores)
    if not has_cache:
        assert predicted.num_requests == num_requests
        assert predicted.num_bytes_fetched == sum(num_bytes)
        assert predicted.max_node_num_bytes == max(num_bytes)
    else:
        # A small share may be streamed while the shards are on their way.
        most = predicted.num_bytes_fetched + predicted.max_extra_num_bytes
        assert predicted.num_bytes_fetched <= sum(num_bytes) <= most
        most = predicted.num_requests + predicted.max_extra_num_requests
        assert predicted.num_requests <= num_requests <= most
        assert predicted.num_shards_downloaded == num_downloaded


def test_neighbours_in_a_batch_are_one_request_up_to_8_mib() -> None:
    clips = Clips.made_up(num_clips=48, clip_num_bytes=1 << 20, clips_per_shard=48)
    whole = epoch_order(
        clips.shard_N, policy=OrderPolicy(shuffle=False, open_shards=1), seed=0, epoch=0
    )
    epoch = Traffic(clips, fleet(num_gpus=1, batch_size=24)).epoch(whole)
    assert epoch.num_requests == 2 * 4  # of 7 clips each, and of the 3 that are left
    assert epoch.num_bytes_fetched == 48 * (1 << 20) + (48 - 8) * 2048


def test_what_is_fetched_does_not_depend_on_how_far_the_store_is() -> None:
    options = SimulateOptions(fleet=fleet(cache_num_bytes=1 << 40), num_clips=5000)
    far = replace(options, speeds=Speeds(latency_seconds=2.0))
    assert simulate(far).epochs == simulate(options).epochs


def test_a_cache_that_holds_all_asks_for_nothing_in_the_second_epoch() -> None:
    clips = Clips.made_up(num_clips=400, clip_num_bytes=1000, clips_per_shard=20)
    policy = OrderPolicy(shuffle=True, open_shards=4)
    traffic = Traffic(clips, fleet(num_gpus=1, cache_num_bytes=1 << 40))
    orders = [epoch_order(clips.shard_N, policy=policy, seed=0, epoch=e) for e in range(2)]
    first, second = (traffic.epoch(order) for order in orders)
    assert first.num_requests == 20
    assert first.num_cache_hits == 0
    assert (second.num_requests, second.num_bytes_fetched) == (0, 0)
    assert second.num_cache_hits == second.num_cache_visits == 20


def test_nodes_that_keep_to_their_streams_fetch_little_twice() -> None:
    clips = Clips.made_up(num_clips=4096, clip_num_bytes=1000, clips_per_shard=16)
    crowd = fleet(num_gpus=16, gpus_per_node=4, batch_size=4, cache_num_bytes=1 << 40)
    amplification = []
    for num_streams in (1, 4):
        policy = OrderPolicy(shuffle=True, open_shards=8, num_streams=num_streams)
        order = epoch_order(clips.shard_N, policy=policy, seed=0, epoch=0)
        amplification.append(Traffic(clips, crowd).epoch(order).amplification)
    assert amplification[0] > 3.5 * 3
    assert amplification[1] < 1.1 * 3.1  # of 3 kB of shard, 1 kB is audio in this small example


def test_a_fleet_that_the_dataset_can_not_fill_is_refused() -> None:
    options = SimulateOptions(fleet=fleet(num_gpus=64, batch_size=64), num_clips=1000)
    with pytest.raises(ConfigError, match="1,000 clips don't fill one step of 64 GPUs with 64"):
        simulate(options)

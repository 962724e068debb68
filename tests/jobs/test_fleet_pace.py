"""The model of time: what bounds a fleet's speed comes out where that bound is the only one."""

from dataclasses import replace

import numpy as np
import pytest

from jobs.fleet import Clips, Fleet, Origin, Traffic, dealt
from jobs.fleet_pace import Pace, Speeds, pace
from loader.plan import OrderPolicy, epoch_order

CLIP_NUM_BYTES = 100_000
STEADY = Speeds(latency_seconds=0.03, latency_spread=0.0, decode_seconds=1e-6)
FLEET = Fleet(
    num_gpus=8, gpus_per_node=4, batch_size=32, clips_per_gpu=1000.0, cache_num_bytes=None
)


def played(fleet: Fleet, speeds: Speeds, *, epoch: int = 0) -> Pace:
    """The pace of an epoch, behind others that filled the caches."""
    clips = Clips.made_up(num_clips=25_600, clip_num_bytes=CLIP_NUM_BYTES, clips_per_shard=100)
    policy = OrderPolicy(shuffle=True, open_shards=8)
    traffic = Traffic(clips, fleet)
    for number in range(epoch + 1):
        order = epoch_order(clips.shard_N, policy=policy, seed=0, epoch=number)
        counted = traffic.epoch(order)
    return pace(dealt(order, fleet), counted, clips, fleet, speeds, num_open_shards=8)


def test_ample_connections_keep_up() -> None:
    ample = played(replace(FLEET, num_connections=256), STEADY)
    assert ample.waiting_share < 0.02
    assert ample.clips_per_gpu == pytest.approx(1000, rel=0.02)
    assert ample.connections_needed == pytest.approx(1000 * (0.03 + CLIP_NUM_BYTES / 85e6))


def test_few_connections_set_the_pace() -> None:
    spread = replace(STEADY, latency_spread=0.6)
    mean_seconds = 0.03 * np.exp(0.6**2 / 2) + CLIP_NUM_BYTES / 85e6
    slow = played(replace(FLEET, num_connections=2), spread)
    assert slow.clips_per_gpu == pytest.approx(2 / mean_seconds, rel=0.15)
    assert slow.slowest_wait_seconds > slow.mean_wait_seconds > 0


def test_threads_that_decode_set_the_pace_where_they_are_slowest() -> None:
    slow = replace(STEADY, decode_seconds=0.008)
    decoding = played(replace(FLEET, num_connections=256, num_threads=4), slow)
    assert decoding.clips_per_gpu == pytest.approx(4 / 0.008, rel=0.05)
    assert decoding.threads_needed == pytest.approx(8)


def test_the_network_of_a_node_sets_the_pace_where_it_is_narrowest() -> None:
    narrow = replace(STEADY, node_bytes_per_second=200 * 4 * CLIP_NUM_BYTES)
    crowded = played(replace(FLEET, num_connections=256), narrow)
    assert crowded.clips_per_gpu == pytest.approx(200, rel=0.05)


def test_the_first_batch_takes_a_round_trip_for_each_turn_of_the_connections() -> None:
    turn_seconds = 0.03 + CLIP_NUM_BYTES / 85e6
    for num_connections, turns in ((64, 1), (16, 2), (8, 4)):
        first = played(replace(FLEET, num_connections=num_connections), STEADY)
        assert first.first_batch_seconds == pytest.approx(turns * turn_seconds, rel=0.01)


def test_an_epoch_out_of_full_caches_waits_for_nothing() -> None:
    cached = replace(FLEET, cache_num_bytes=1 << 40, num_connections=2)
    cold, warm = (played(cached, STEADY, epoch=epoch) for epoch in (0, 1))
    assert cold.first_batch_seconds > 0.03
    assert warm.first_batch_seconds < 0.001
    assert (warm.slowest_wait_seconds, warm.waiting_share) == (0.0, 0.0)


def test_downloads_set_the_pace_while_a_cache_fills() -> None:
    """Each node downloads all shards: with 4 ranks, 16 at a time, 85 MB/s each."""
    hungry = replace(FLEET, cache_num_bytes=1 << 40, clips_per_gpu=20_000.0)
    cold = played(hungry, STEADY)
    clips = Clips.made_up(num_clips=25_600, clip_num_bytes=CLIP_NUM_BYTES, clips_per_shard=100)
    seconds = float(clips.shard_num_bytes[0]) / 85e6 + 2 * 0.03
    downloaded_per_second = 16 * 100 / seconds
    # Clips of a node's shards go to both nodes, four ranks each.
    assert cold.clips_per_gpu == pytest.approx(downloaded_per_second / 8, rel=0.25)
    assert cold.downloads_clips_per_gpu == pytest.approx(downloaded_per_second / 4, rel=0.25)


def test_clips_of_shards_that_are_not_worth_a_download_are_streamed_in_the_model_too() -> None:
    clips = Clips.made_up(num_clips=25_600, clip_num_bytes=CLIP_NUM_BYTES, clips_per_shard=6400)
    fleet = replace(FLEET, num_gpus=32, gpus_per_node=1, batch_size=2, cache_num_bytes=1 << 40)
    order = epoch_order(
        clips.shard_N, policy=OrderPolicy(shuffle=True, open_shards=4), seed=0, epoch=0
    )
    counted = Traffic(clips, fleet).epoch(order)
    assert set(np.unique(counted.origin_DK)) == {Origin.STREAMED}
    paced = pace(dealt(order, fleet), counted, clips, fleet, STEADY, num_open_shards=4)
    assert paced.first_batch_seconds == pytest.approx(0.03 + CLIP_NUM_BYTES / 85e6, rel=0.01)

"""The global order: what it holds, and how it visits shards."""

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.plan import EpochOrder, OrderPolicy, epoch_order
from tests.shardwriter.properties import bounded

counts_lists = st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any)
seeds = st.integers(0, 2**64 - 1)


def order_of(
    counts: list[int],
    *,
    seed: int = 0,
    epoch: int = 0,
    expected: Any = None,
    datasets: list[int] | None = None,
    **policy: Any,
) -> EpochOrder:
    defaults = {"shuffle": True, "open_shards": 4}
    return epoch_order(
        np.repeat(np.arange(len(counts), dtype=np.int32), counts),
        policy=OrderPolicy(**{**defaults, **policy}),
        seed=seed,
        epoch=epoch,
        expected_N=None if expected is None else np.asarray(expected, dtype=np.float64),
        dataset_of_shard=None if datasets is None else np.array(datasets, dtype=np.int32),
    )


def rows_of(counts: list[int], **settings: Any) -> list[int]:
    return order_of(counts, **settings).rows_M.tolist()


@bounded()
@given(counts_lists, st.booleans(), st.integers(1, 6), st.integers(1, 4), seeds, st.integers(0, 9))
def test_order_holds_every_sample_once(
    counts: list[int], shuffle: bool, open_shards: int, num_streams: int, seed: int, epoch: int
) -> None:
    order = order_of(
        counts,
        shuffle=shuffle,
        open_shards=open_shards,
        num_streams=num_streams,
        seed=seed,
        epoch=epoch,
    )
    assert sorted(order.rows_M.tolist()) == list(range(sum(counts)))
    assert not order.copies_M.any()
    assert not order.has_repeats


@bounded()
@given(counts_lists, st.integers(1, 6), st.integers(0, 99))
def test_order_visits_shards_in_groups_of_at_most_open_shards(
    counts: list[int], open_shards: int, seed: int
) -> None:
    shard_N = np.repeat(np.arange(len(counts)), counts)
    visits = shard_N[rows_of(counts, open_shards=open_shards, seed=seed)].tolist()
    assert max_open(visits) <= open_shards


def max_open(visits: list[int]) -> int:
    """Most shards that are begun and not finished at any place."""
    last_visit = {shard: place for place, shard in enumerate(visits)}
    first_visit = {shard: visits.index(shard) for shard in visits}
    return max(
        sum(first_visit[shard] <= place <= last_visit[shard] for shard in last_visit)
        for place in range(len(visits))
    )


@bounded()
@given(
    st.lists(st.integers(1, 9), min_size=4, max_size=16),
    st.integers(1, 3),
    st.integers(2, 4),
    st.integers(0, 99),
)
def test_each_stream_opens_at_most_open_shards_at_a_time(
    counts: list[int], open_shards: int, num_streams: int, seed: int
) -> None:
    order = order_of(counts, open_shards=open_shards, num_streams=num_streams, seed=seed)
    shard_M = np.repeat(np.arange(len(counts)), counts)[order.rows_M]
    for stream in range(order.num_streams):
        assert max_open(shard_M[order.streams_M == stream].tolist()) <= open_shards


@bounded()
@given(st.integers(1, 200), st.integers(1, 8), st.integers(0, 99))
def test_streams_take_strict_turns_and_differ_by_at_most_one_sample(
    num: int, num_streams: int, seed: int
) -> None:
    order = order_of([1] * num, num_streams=num_streams, seed=seed)
    sizes = np.unique_counts(order.streams_M).counts
    assert sizes.max() - sizes.min() <= 1
    rounds = [order.streams_M[at : at + len(sizes)] for at in range(0, num, len(sizes))]
    assert all(len(set(turn.tolist())) == len(turn) for turn in rounds)


def test_only_neighbouring_streams_share_a_shard() -> None:
    counts = [7, 20, 3, 15, 9, 30, 11, 4, 18, 6, 25, 2]
    order = order_of(counts, num_streams=4, open_shards=2)
    shard_M = np.repeat(np.arange(len(counts)), counts)[order.rows_M]
    streams = [set(order.streams_M[shard_M == shard].tolist()) for shard in range(len(counts))]
    assert sum(len(of_shard) - 1 for of_shard in streams) <= 3
    assert all(max(of_shard) - min(of_shard) <= 1 for of_shard in streams)


def test_order_without_shuffling_is_that_of_the_index() -> None:
    assert rows_of([3, 2, 4], shuffle=False, seed=1, epoch=2) == list(range(9))


def test_order_changes_with_seed_and_epoch_and_with_nothing_else() -> None:
    counts = [20] * 10
    first = rows_of(counts, seed=1, epoch=1)
    assert rows_of(counts, seed=1, epoch=1) == first
    assert rows_of(counts, seed=2, epoch=1) != first
    assert rows_of(counts, seed=1, epoch=2) != first


def test_order_never_changes() -> None:
    # A saved cursor counts in this order: another one would break every resumed run.
    assert rows_of([3, 2, 4], open_shards=2, seed=7, epoch=3) == [6, 8, 0, 2, 5, 1, 7, 4, 3]
    balanced = order_of(
        [3, 2, 4],
        open_shards=1,
        num_streams=2,
        min_spread=3,
        seed=7,
        epoch=3,
        expected=[0.5, 2.25, 1, 1, 1, 0, 3.25, 1, 2],
        datasets=[0, 0, 1],
    )
    assert balanced.rows_M.tolist() == [1, 8, 6, 4, 2, 6, 8, 1, 3, 6, 7, 1]
    assert balanced.copies_M.tolist() == [1, 0, 2, 0, 0, 0, 1, 2, 0, 1, 0, 0]
    assert balanced.streams_M.tolist() == [0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1, 0]


def test_order_mixes_the_samples_of_open_shards() -> None:
    # 16 shards of one class each, 16 open: a batch of 64 sees nearly all of them.
    shard_N = np.repeat(np.arange(16), 100)
    order = rows_of([100] * 16, open_shards=16)
    distinct = [len(set(shard_N[order[at : at + 64]])) for at in range(0, 1600, 64)]
    assert np.mean(distinct) > 15


def test_groups_of_shards_are_of_equal_size_but_for_one_shard() -> None:
    # 17 shards with at most 16 open must not become 16 + 1: the single one would go unmixed.
    shard_N = np.repeat(np.arange(17), 10)
    visits = shard_N[rows_of([10] * 17, open_shards=16)]
    assert len(set(visits[:90].tolist())) == 9
    assert len(set(visits[90:].tolist())) == 8


@bounded()
@given(
    st.lists(st.integers(1, 8), min_size=2, max_size=9),
    st.lists(st.floats(0, 5), min_size=80, max_size=80),
    st.integers(1, 3),
    seeds,
)
def test_order_holds_the_copies_that_are_drawn_each_with_its_number(
    counts: list[int], expected: list[float], num_streams: int, seed: int
) -> None:
    wanted = np.array(expected[: sum(counts)]) + 0.01
    wanted *= round(wanted.sum()) / wanted.sum() if wanted.sum() >= 1 else 1 / wanted.sum()
    order = order_of(counts, expected=wanted, num_streams=num_streams, seed=seed, min_spread=5)
    copies = np.bincount(order.rows_M, minlength=sum(counts))
    assert len(order) == round(wanted.sum())
    assert (np.abs(copies - wanted) < 1 + 1e-6).all()
    pairs = set(zip(order.rows_M.tolist(), order.copies_M.tolist(), strict=True))
    assert pairs == {(row, copy) for row in range(len(copies)) for copy in range(copies[row])}
    assert order.has_repeats == (copies.max() > 1)


def test_mixed_datasets_advance_side_by_side() -> None:
    # 300 samples of one and 100 of another: each stretch holds three of the first for one.
    order = order_of([50] * 8, datasets=[0] * 6 + [1] * 2, open_shards=2)
    is_second_M = order.rows_M >= 300
    for end in range(1, 401):
        assert abs(is_second_M[:end].sum() - end / 4) <= 1


def test_weights_give_each_dataset_its_share_of_every_epoch_and_stretch() -> None:
    share = np.array([0.5, 0.3, 0.2])
    counts, datasets = [40] * 9, [0] * 5 + [1] * 3 + [2]
    dataset_N = np.repeat(datasets, counts)
    expected = 501 * share[dataset_N] / np.bincount(dataset_N)[dataset_N]
    for epoch in range(5):
        order = order_of(counts, datasets=datasets, expected=expected, epoch=epoch, min_spread=9)
        dataset_M = dataset_N[order.rows_M]
        assert (np.abs(np.bincount(dataset_M) - 501 * share) < 1).all()
        for end in range(1, 502):
            off = np.bincount(dataset_M[:end], minlength=3) - end * share
            assert np.abs(off).max() <= 2


def test_two_million_samples_are_planned_in_under_two_seconds() -> None:
    shard_N = np.repeat(np.arange(2000, dtype=np.int32), 1000)
    expected = np.tile([0.25, 0.5, 0.25, 3.0], 500_000)
    for settings in ({"num_streams": 1}, {"num_streams": 8, "min_spread": 1024}):
        # CPU time of this thread: the machine may be busy with other things.
        begin = time.thread_time()
        order = epoch_order(
            shard_N,
            policy=OrderPolicy(shuffle=True, open_shards=16, **settings),
            seed=0,
            epoch=0,
            expected_N=expected if "min_spread" in settings else None,
        )
        assert time.thread_time() - begin < 2
        assert len(order) == 2_000_000


@pytest.mark.parametrize("num_streams", [1, 3])
def test_copies_of_a_clip_are_laid_evenly_around_the_epoch(num_streams: int) -> None:
    expected = np.ones(1000)
    expected[::100] = 10
    order = order_of(
        [100] * 10, expected=expected, open_shards=2, num_streams=num_streams, min_spread=40
    )
    for row in range(0, 1000, 100):
        places = np.flatnonzero(order.rows_M == row)
        assert len(places) == 10
        # The even distance is 109.
        assert np.diff(places).min() >= 80
        assert np.diff(places).max() <= 140

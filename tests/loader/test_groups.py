"""Batches of P groups with U clips each."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.groups import GroupBatches, Rest, group_order, groups_of, num_group_draws
from loader.plan import EpochOrder, OrderPolicy
from loader.ranges import NetworkCost, is_whole_shard_cheaper
from loader.stripe import Stripe
from shardwriter.errors import ConfigError
from tests.loader.index_builders import make_index
from tests.shardwriter.properties import bounded

group_sizes = st.lists(st.integers(0, 9), min_size=1, max_size=15).filter(any)
RESTS: tuple[Rest, ...] = ("cycle", "drop")


def order_of(
    sizes: list[int],
    batches: GroupBatches,
    *,
    clips_per_shard: int = 7,
    seed: int = 0,
    epoch: int = 0,
    **policy: Any,
) -> EpochOrder:
    return group_order(
        group_of_rows(sizes),
        shard_of_rows(sizes, clips_per_shard),
        batches,
        policy=OrderPolicy(**{"shuffle": True, "open_shards": 2, **policy}),
        seed=seed,
        epoch=epoch,
    )


def shard_of_rows(sizes: list[int], clips_per_shard: int) -> np.ndarray:
    return (np.arange(sum(sizes)) // clips_per_shard).astype(np.int32)


def group_of_rows(sizes: list[int]) -> np.ndarray:
    group_N = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.default_rng(0).permutation(group_N)


@bounded()
@given(group_sizes, st.integers(1, 4), st.integers(1, 20), st.booleans(), st.integers(0, 99))
def test_cycle_takes_every_clip_and_repeats_only_to_fill_visits(
    sizes: list[int], unit: int, clips_per_shard: int, shuffle: bool, seed: int
) -> None:
    batches = GroupBatches(clips_per_group=unit)
    order = order_of(sizes, batches, clips_per_shard=clips_per_shard, shuffle=shuffle, seed=seed)
    group_N = group_of_rows(sizes)
    assert (
        len(order) == num_group_draws(group_N, batches) == sum(-(-n // unit) for n in sizes) * unit
    )
    copies = np.bincount(order.rows_M, minlength=len(group_N))
    for group, size in enumerate(sizes):
        of_group = copies[group_N == group]
        assert of_group.sum() == -(-size // unit) * unit
        assert size == 0 or of_group.max() - of_group.min() <= 1
    pairs = set(zip(order.rows_M.tolist(), order.copies_M.tolist(), strict=True))
    assert pairs == {(row, copy) for row in range(len(copies)) for copy in range(copies[row])}


@bounded()
@given(group_sizes, st.integers(1, 4), st.integers(0, 99))
def test_drop_takes_no_clip_twice_and_leaves_out_less_than_a_visit(
    sizes: list[int], unit: int, seed: int
) -> None:
    if max(sizes) < unit:
        return
    order = order_of(sizes, GroupBatches(clips_per_group=unit, rest="drop"), seed=seed)
    assert len(set(order.rows_M.tolist())) == len(order)
    taken = Counter(group_of_rows(sizes)[order.rows_M].tolist())
    assert all(taken[group] == size // unit * unit for group, size in enumerate(sizes))


@bounded()
@given(
    st.lists(st.integers(1, 9), min_size=2, max_size=20),
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from(RESTS),
)
def test_batches_hold_whole_visits_and_no_group_twice_where_ranks_allow(
    sizes: list[int], unit: int, groups_per_batch: int, num_ranks: int, streams: int, rest: Rest
) -> None:
    if rest == "drop" and max(sizes) < unit:
        return
    batches = GroupBatches(clips_per_group=unit, rest=rest)
    order = order_of(sizes, batches, min_spread=64, num_streams=streams)
    group_N = group_of_rows(sizes)
    ranks = [
        Stripe(rank=rank, num_ranks=num_ranks, batch_size=groups_per_batch * unit, tail="drop")
        for rank in range(num_ranks)
    ]
    places = [stripe.deal(order, cursor=0) for stripe in ranks]
    for step in range(len(places[0])):
        group_RPU = np.stack(
            [group_N[order.rows_M[of_rank[step]]].reshape(-1, unit) for of_rank in places]
        )
        assert (group_RPU == group_RPU[:, :, :1]).all()
        groups_RP = group_RPU[:, :, 0]
        most = np.bincount(groups_RP.ravel()).max()
        for of_rank in groups_RP:
            assert np.bincount(of_rank).max() <= -(-most // num_ranks)


def test_visits_of_a_group_are_spread_over_the_epoch() -> None:
    sizes = [12] + [4] * 60
    order = order_of(sizes, GroupBatches(clips_per_group=4), min_spread=40)
    group_V = group_of_rows(sizes)[order.rows_M[::4]]
    places = np.flatnonzero(group_V == 0)
    assert len(places) == 3
    assert np.diff(places).min() >= 63 // 3 / 2  # half of the even distance


def test_groups_meet_other_groups_each_time() -> None:
    order = order_of([40] * 100, GroupBatches(clips_per_group=4), clips_per_shard=100)
    group_SP = group_of_rows([40] * 100)[order.rows_M[::4]].reshape(-1, 8)
    partners = [set(group_SP[(group_SP == group).any(axis=1)].ravel()) for group in range(100)]
    # In 10 visits each meets 7 others; taken at random, these would be some 51 of them.
    assert np.mean([len(met) - 1 for met in partners]) > 40


@pytest.mark.parametrize("sizes", [[40] * 100, [160] * 25, list(range(1, 80))])
def test_batches_go_through_the_shards_window_after_window(sizes: list[int]) -> None:
    order = order_of(sizes, GroupBatches(clips_per_group=4), clips_per_shard=50, open_shards=5)
    shard_M = shard_of_rows(sizes, 50)[order.rows_M]
    for start in range(0, len(shard_M) - 250, 250):  # as many clips as there are in a window
        # Of its own window and those that were begun before; without windows some 30 %.
        counts = np.bincount(shard_M[start : start + 250])
        assert np.sort(counts)[::-1][:15].sum() > 0.85 * 250


def test_with_a_stream_for_each_node_nodes_need_different_shards() -> None:
    sizes = [40] * 100
    order = order_of(
        sizes, GroupBatches(clips_per_group=4), clips_per_shard=50, open_shards=5, num_streams=2
    )
    assert order.num_streams == 2
    shard_M = shard_of_rows(sizes, 50)[order.rows_M]
    counts_RS = []
    for rank in range(2):
        stripe = Stripe(rank=rank, num_ranks=2, batch_size=32, tail="drop")
        counts_RS.append(np.bincount(shard_M[stripe.deal(order, cursor=0).ravel()], minlength=80))
    # What a node needs of a shard that the other one reads comes on top of its own bytes.
    assert np.minimum(*counts_RS).sum() <= 0.1 * np.maximum(*counts_RS).sum()


@pytest.mark.parametrize(
    ("sizes", "unit", "num_nodes"),
    [
        ([40] * 50, 4, 2),  # as many groups as there are in three batches
        ([10] * 200, 2, 2),
        ([60, 100, 140, 240] * 75, 2, 4),  # as unequal as the speakers of VoxCeleb
        ([60] * 100 + [400] * 4, 2, 2),  # the large groups are twice in most batches
    ],
)
def test_nodes_with_streams_of_their_own_fetch_hardly_more_than_they_need(
    sizes: list[int], unit: int, num_nodes: int
) -> None:
    order = order_of(
        sizes,
        GroupBatches(clips_per_group=unit),
        clips_per_shard=200,
        open_shards=5,
        num_streams=num_nodes,
        min_spread=1024,
    )
    assert order.num_streams == num_nodes
    shard_N = shard_of_rows(sizes, 200)
    for rank in range(num_nodes):
        stripe = Stripe(rank=rank, num_ranks=num_nodes, batch_size=64, tail="drop")
        needed_N = np.unique(order.rows_M[stripe.deal(order, cursor=0)])
        fetched = [num_fetched(num) for num in np.bincount(shard_N[needed_N]).tolist()]
        assert sum(fetched) <= 1.1 * len(needed_N)


def num_fetched(num_needed: int) -> int:
    """Clips of 300 kB that come out of a shard of 200: all, or only those that are needed."""
    is_whole = is_whole_shard_cheaper(
        shard_num_bytes=200 * 300_000,
        needed_num_bytes=num_needed * 300_000,
        num_needed=num_needed,
        cost=NetworkCost(),
    )
    return 200 if is_whole else num_needed


def test_a_visit_is_filled_up_from_the_visit_before() -> None:
    order = order_of([11], GroupBatches(clips_per_group=4))
    first, second, third = order.rows_M.reshape(-1, 4).tolist()
    assert len({*first, *second, *third}) == 11
    assert third[3] == second[3]
    assert order.copies_M.tolist() == [0] * 11 + [1]


def test_no_clip_comes_twice_in_a_visit_of_a_group_that_has_enough() -> None:
    order = order_of([7, 9, 4], GroupBatches(clips_per_group=4))
    for rows_U in order.rows_M.reshape(-1, 4):
        assert len(set(rows_U.tolist())) == 4


def test_order_changes_with_the_epoch_and_with_nothing_else() -> None:
    batches = GroupBatches(clips_per_group=2)
    first = order_of([5] * 9, batches).rows_M.tolist()
    assert order_of([5] * 9, batches).rows_M.tolist() == first
    assert order_of([5] * 9, batches, epoch=1).rows_M.tolist() != first
    assert order_of([5] * 9, batches, seed=1).rows_M.tolist() != first


def test_clips_without_a_group_are_refused_with_the_first() -> None:
    index = make_index([[0]] * 4, num_labels=1, groups=[0, 1, -1, -1])
    with pytest.raises(
        ConfigError, match=r"batches by group: 2 of 4 samples have no group.*clip-2"
    ):
        groups_of(index, "group")
    index = make_index([[0], [], [1, 0]], num_labels=2)
    with pytest.raises(ConfigError, match=r"by label: 2 of 3 samples have not exactly one.*clip-1"):
        groups_of(index, "label")
    assert groups_of(make_index([[1], [0]], num_labels=2), "label").tolist() == [1, 0]


def test_wrong_group_batches_are_refused() -> None:
    with pytest.raises(ValueError, match=r"clips_per_group must be .* at least 1, got 0"):
        GroupBatches(clips_per_group=0)
    with pytest.raises(ValueError, match="rest must be one of cycle, drop, got 'keep'"):
        GroupBatches(clips_per_group=2, rest="keep")  # type: ignore[arg-type]

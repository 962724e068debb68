"""How the order is dealt to ranks: equal steps, exact rest, no twins, one's own shards."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.config import Tail
from loader.plan import EpochOrder
from loader.stripe import Stripe
from tests.loader.test_plan import order_of
from tests.shardwriter.properties import bounded

TAILS: tuple[Tail, ...] = ("drop", "pad", "cycle")
worlds = st.tuples(st.integers(1, 6), st.integers(1, 7))


def stripes(num_ranks: int, batch_size: int, tail: Tail) -> list[Stripe]:
    return [
        Stripe(rank=rank, num_ranks=num_ranks, batch_size=batch_size, tail=tail)
        for rank in range(num_ranks)
    ]


def deal(
    order: EpochOrder, ranks: list[Stripe], *, cursor: int = 0, max_steps: int | None = None
) -> tuple[list[tuple[int, int]], list[bool], int]:
    """Rows and copies of all ranks, step by step in the order's sequence, their padding marks, and
    the cursor behind them."""
    places_by_rank = [stripe.deal(order, cursor=cursor)[:max_steps] for stripe in ranks]
    assert len({len(places) for places in places_by_rank}) == 1
    num_steps = len(places_by_rank[0])
    dealt = []
    for place_BW in zip(*places_by_rank, strict=True):
        for stripe, place_B in zip(ranks, place_BW, strict=True):
            step = stripe.step(order, place_B)
            columns = (place_B, step.rows_B, step.copies_B, step.is_padding_B)
            dealt += list(zip(*(column.tolist() for column in columns), strict=True))
    dealt.sort()
    rows = [(row, copy) for _, row, copy, _ in dealt]
    marks = [mark for *_, mark in dealt]
    return rows, marks, ranks[0].cursor_after(cursor, num_steps, num_total=len(order))


def pairs_of(order: EpochOrder) -> list[tuple[int, int]]:
    return list(zip(order.rows_M.tolist(), order.copies_M.tolist(), strict=True))


@bounded()
@given(st.integers(1, 60), worlds, st.integers(1, 4), st.sampled_from(TAILS))
def test_ranks_together_get_the_global_order(
    num: int, world: tuple[int, int], num_streams: int, tail: Tail
) -> None:
    order = order_of([3] * num, seed=3, num_streams=num_streams)
    rows, marks, _ = deal(order, stripes(*world, tail))
    per_step = world[0] * world[1]
    pairs = pairs_of(order)
    if tail == "drop":
        assert rows == pairs[: 3 * num // per_step * per_step]
    else:
        assert len(rows) == -(-3 * num // per_step) * per_step
        assert rows == [pairs[place % len(pairs)] for place in range(len(rows))]
    is_repeat = [place >= 3 * num for place in range(len(rows))]
    assert marks == (is_repeat if tail == "pad" else [False] * len(rows))


@bounded()
@given(
    st.lists(st.floats(0, 4), min_size=5, max_size=40).filter(lambda e: sum(e) > 2),
    st.integers(1, 3),
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(0, 4)), max_size=5),
    worlds,
    st.sampled_from(TAILS),
)
def test_run_resumed_on_other_worlds_goes_on_with_exactly_the_rest(
    expected: list[float],
    num_streams: int,
    legs: list[tuple[int, int, int]],
    last: tuple[int, int],
    tail: Tail,
) -> None:
    expected_N = np.array(expected) * round(sum(expected)) / sum(expected)
    order = order_of(
        [1] * len(expected), seed=4, expected=expected_N, num_streams=num_streams, min_spread=4
    )
    num, pairs = len(order), pairs_of(order)
    received: list[tuple[int, int]] = []
    cursor = 0
    for num_ranks, batch_size, num_steps in legs:
        rows, _, after = deal(
            order, stripes(num_ranks, batch_size, tail), cursor=cursor, max_steps=num_steps
        )
        received += rows[: after - cursor]
        cursor = after
        assert received == pairs[:cursor]
    rows, _, after = deal(order, stripes(*last, tail), cursor=cursor)
    received += rows[: after - cursor]
    assert received == pairs[:after]
    if tail == "drop":
        assert num - after < last[0] * last[1]
    else:
        assert after == num
        assert len(set(received)) == num


def test_cycle_goes_round_as_often_as_it_takes() -> None:
    rows, marks, cursor = deal(order_of([2], shuffle=False), stripes(3, 2, "cycle"))
    assert [row for row, _ in rows] == [0, 1, 0, 1, 0, 1]
    assert not any(marks)
    assert cursor == 2


@pytest.mark.parametrize("tail", TAILS)
def test_nothing_left_gives_no_step(tail: Tail) -> None:
    order = order_of([4])
    assert stripes(2, 3, tail)[0].num_steps(0) == 0
    assert stripes(2, 3, tail)[0].deal(order, cursor=4).shape == (0, 3)


def test_places_of_a_batch_ascend_and_ranks_share_none() -> None:
    order = order_of([5] * 8, open_shards=2, num_streams=3)
    places = [stripe.deal(order, cursor=0) for stripe in stripes(4, 5, "drop")]
    assert all((np.diff(place_SB, axis=1) > 0).all() for place_SB in places)
    for step in range(2):
        together = np.concatenate([place_SB[step] for place_SB in places])
        assert sorted(together.tolist()) == list(range(20 * step, 20 * step + 20))


@bounded()
@given(
    st.lists(st.integers(1, 12), min_size=3, max_size=30),
    st.integers(1, 3),
    worlds,
    st.integers(0, 99),
)
def test_no_batch_holds_a_clip_twice_where_its_copies_fit_on_as_many_ranks(
    copies: list[int], num_streams: int, world: tuple[int, int], seed: int
) -> None:
    order = order_of([1] * len(copies), expected=copies, num_streams=num_streams, seed=seed)
    num_ranks, batch_size = world
    ranks = stripes(num_ranks, batch_size, "drop")
    dealt = [order.rows_M[stripe.deal(order, cursor=0)] for stripe in ranks]
    for step in range(len(dealt[0])):
        together = np.concatenate([rows_SB[step] for rows_SB in dealt])
        most = np.bincount(together).max()
        for rows_SB in dealt:
            assert np.bincount(rows_SB[step]).max() <= -(-most // num_ranks)


@pytest.mark.parametrize("world", [(1, 8), (2, 8), (4, 16), (3, 5)])
def test_no_batch_holds_a_clip_twice_when_min_spread_is_the_batch_size(
    world: tuple[int, int],
) -> None:
    rng = np.random.default_rng(1)
    expected = np.minimum(rng.pareto(0.8, 600) + 0.1, 15)
    expected *= round(expected.sum()) / expected.sum()
    order = order_of([20] * 30, expected=expected, min_spread=world[1])
    for stripe in stripes(*world, "drop"):
        for rows_B in order.rows_M[stripe.deal(order, cursor=0)]:
            assert len(set(rows_B.tolist())) == len(rows_B)


@bounded()
@given(
    st.lists(st.integers(1, 6), min_size=3, max_size=30),
    st.integers(1, 3),
    worlds,
    st.data(),
)
def test_what_some_ranks_get_is_what_each_of_them_gets(
    copies: list[int], num_streams: int, world: tuple[int, int], data: st.DataObject
) -> None:
    order = order_of([1] * len(copies), expected=copies, num_streams=num_streams)
    ranks = stripes(*world, data.draw(st.sampled_from(TAILS)))
    cursor = data.draw(st.integers(0, len(order)))
    first = data.draw(st.integers(0, world[0] - 1))
    some = range(first, data.draw(st.integers(first + 1, world[0])))
    together_SB = ranks[0].deal(order, cursor=cursor, ranks=some)
    each = [ranks[rank].deal(order, cursor=cursor) for rank in some]
    assert together_SB.tolist() == np.sort(np.concatenate(each, axis=1), axis=1).tolist()


def test_nodes_fetch_hardly_more_shards_than_there_are() -> None:
    # 4 nodes of 2 ranks, 4 streams: a node keeps to its stream, and shares its ends with others.
    shard_N = np.repeat(np.arange(200), 32)
    for num_streams, most in ((1, 4.0), (4, 1.1)):
        order = order_of([32] * 200, open_shards=8, num_streams=num_streams)
        ranks = stripes(8, 16, "pad")
        fetched = 0
        for node in range(4):
            places = [ranks[rank].deal(order, cursor=0) for rank in (2 * node, 2 * node + 1)]
            rows = order.rows_M[np.concatenate(places) % len(order)]
            fetched += len(set(shard_N[rows].ravel().tolist()))
        assert fetched / 200 <= most
        assert num_streams == 4 or fetched / 200 > 3


def test_neighbouring_ranks_read_disjoint_rows() -> None:
    order = order_of([5] * 8)
    rows = [set(order.rows_M[stripe.deal(order, cursor=0)[0]]) for stripe in stripes(4, 5, "drop")]
    assert len(set.union(*rows)) == 20

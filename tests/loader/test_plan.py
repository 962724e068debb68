import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.config import Tail
from loader.plan import OrderPolicy, Stripe, epoch_order

TAILS: tuple[Tail, ...] = ("drop", "pad", "cycle")


def order_of(
    counts: list[int], *, shuffle: bool = True, open_shards: int = 4, seed: int = 0, epoch: int = 0
) -> np.ndarray:
    shard_N = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    policy = OrderPolicy(shuffle=shuffle, open_shards=open_shards)
    return epoch_order(shard_N, policy=policy, seed=seed, epoch=epoch)


def stripes(num_ranks: int, batch_size: int, tail: Tail) -> list[Stripe]:
    return [
        Stripe(rank=rank, num_ranks=num_ranks, batch_size=batch_size, tail=tail)
        for rank in range(num_ranks)
    ]


def deal(
    order: np.ndarray, ranks: list[Stripe], *, cursor: int = 0, max_steps: int | None = None
) -> tuple[list[int], list[bool], int]:
    """Rows and padding marks of all ranks in the global order, and the cursor behind them."""
    steps = {stripe.num_steps(len(order) - cursor) for stripe in ranks}
    assert len(steps) == 1
    num_steps = min(steps.pop(), len(order) if max_steps is None else max_steps)
    plans = [
        stripe.step(order, cursor=cursor, step=step)
        for step in range(num_steps)
        for stripe in ranks
    ]
    rows = [row for plan in plans for row in plan.rows_B.tolist()]
    marks = [mark for plan in plans for mark in plan.is_padding_B.tolist()]
    return rows, marks, ranks[0].cursor_after(cursor, num_steps, num_total=len(order))


counts_lists = st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any)
worlds = st.tuples(st.integers(1, 6), st.integers(1, 7))


@given(counts_lists, st.booleans(), st.integers(1, 6), st.integers(0, 2**64 - 1), st.integers(0, 9))
def test_order_holds_every_sample_once(
    counts: list[int], shuffle: bool, open_shards: int, seed: int, epoch: int
) -> None:
    order = order_of(counts, shuffle=shuffle, open_shards=open_shards, seed=seed, epoch=epoch)
    assert sorted(order.tolist()) == list(range(sum(counts)))


@given(counts_lists, st.integers(1, 6), st.integers(0, 99))
def test_order_visits_shards_in_groups_of_at_most_open_shards(
    counts: list[int], open_shards: int, seed: int
) -> None:
    shard_N = np.repeat(np.arange(len(counts)), counts)
    visits = shard_N[order_of(counts, open_shards=open_shards, seed=seed)].tolist()
    last_visit = {shard: place for place, shard in enumerate(visits)}
    first_visit = {shard: visits.index(shard) for shard in visits}
    for place in range(len(visits)):
        is_open = [s for s in last_visit if first_visit[s] <= place <= last_visit[s]]
        assert len(is_open) <= open_shards


def test_order_without_shuffling_is_that_of_the_index() -> None:
    assert order_of([3, 2, 4], shuffle=False, seed=1, epoch=2).tolist() == list(range(9))


def test_order_changes_with_seed_and_epoch_and_with_nothing_else() -> None:
    counts = [20] * 10
    first = order_of(counts, seed=1, epoch=1).tolist()
    assert order_of(counts, seed=1, epoch=1).tolist() == first
    assert order_of(counts, seed=2, epoch=1).tolist() != first
    assert order_of(counts, seed=1, epoch=2).tolist() != first


def test_order_never_changes() -> None:
    # A saved cursor counts in this order: another one would break every resumed run.
    assert order_of([3, 2, 4], open_shards=2, seed=7, epoch=3).tolist() == [
        6,
        8,
        0,
        2,
        5,
        1,
        7,
        4,
        3,
    ]


def test_order_mixes_the_samples_of_open_shards() -> None:
    # 16 shards of one class each, 16 open: a batch of 64 sees nearly all of them.
    shard_N = np.repeat(np.arange(16), 100)
    order = order_of([100] * 16, open_shards=16)
    distinct = [len(set(shard_N[order[at : at + 64]])) for at in range(0, 1600, 64)]
    assert np.mean(distinct) > 15


def test_groups_of_shards_are_of_equal_size_but_for_one_shard() -> None:
    # 17 shards with at most 16 open must not become 16 + 1: the single one would go unmixed.
    shard_N = np.repeat(np.arange(17), 10)
    visits = shard_N[order_of([10] * 17, open_shards=16)]
    assert len(set(visits[:90].tolist())) == 9
    assert len(set(visits[90:].tolist())) == 8


@given(st.integers(1, 60), worlds, st.sampled_from(TAILS))
def test_concatenated_ranks_are_the_global_order(
    num: int, world: tuple[int, int], tail: Tail
) -> None:
    order = order_of([num], seed=3)
    rows, marks, _ = deal(order, stripes(*world, tail))
    per_step = world[0] * world[1]
    if tail == "drop":
        assert rows == order[: num // per_step * per_step].tolist()
    else:
        assert len(rows) == -(-num // per_step) * per_step
        assert rows == np.resize(order, len(rows)).tolist()
    is_repeat = [place >= num for place in range(len(rows))]
    assert marks == (is_repeat if tail == "pad" else [False] * len(rows))


@given(
    st.integers(1, 80),
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(0, 4)), max_size=5),
    worlds,
    st.sampled_from(TAILS),
)
def test_run_resumed_on_other_worlds_goes_on_with_exactly_the_rest(
    num: int, legs: list[tuple[int, int, int]], last: tuple[int, int], tail: Tail
) -> None:
    order = order_of([num], seed=4)
    received: list[int] = []
    cursor = 0
    for num_ranks, batch_size, num_steps in legs:
        rows, _, after = deal(
            order, stripes(num_ranks, batch_size, tail), cursor=cursor, max_steps=num_steps
        )
        received += rows[: after - cursor]
        cursor = after
        assert received == order[:cursor].tolist()
    rows, _, after = deal(order, stripes(*last, tail), cursor=cursor)
    received += rows[: after - cursor]
    assert received == order[:after].tolist()
    if tail == "drop":
        assert num - after < last[0] * last[1]
    else:
        assert after == num


def test_cycle_goes_round_as_often_as_it_takes() -> None:
    rows, marks, cursor = deal(order_of([2], shuffle=False), stripes(3, 2, "cycle"))
    assert rows == [0, 1, 0, 1, 0, 1]
    assert not any(marks)
    assert cursor == 2


@pytest.mark.parametrize("tail", TAILS)
def test_nothing_left_gives_no_step(tail: Tail) -> None:
    assert stripes(2, 3, tail)[0].num_steps(0) == 0


def test_two_million_samples_are_planned_in_under_two_seconds() -> None:
    shard_N = np.repeat(np.arange(2000, dtype=np.int32), 1000)
    policy = OrderPolicy(shuffle=True, open_shards=16)
    # CPU time of this thread: the machine may be busy with other things.
    begin = time.thread_time()
    order = epoch_order(shard_N, policy=policy, seed=0, epoch=0)
    assert time.thread_time() - begin < 2
    assert len(order) == 2_000_000


def test_neighbouring_ranks_read_disjoint_rows() -> None:
    order = order_of([5] * 8)
    ranks = [stripe.step(order, cursor=0, step=0).rows_B for stripe in stripes(4, 5, "drop")]
    for left, right in pairwise(ranks):
        assert not set(left.tolist()) & set(right.tolist())

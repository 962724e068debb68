from hypothesis import given
from hypothesis import strategies as st

from loader.ranges import (
    MAX_OVERHEAD,
    MAX_REQUEST_BYTES,
    ByteRange,
    NetworkCost,
    is_whole_shard_cheaper,
    merge_ranges,
)

COST = NetworkCost()
CLIP_BYTES = 300_000


def clips(count: int, *, gap: int = 2_560, num_bytes: int = CLIP_BYTES) -> list[ByteRange]:
    """Clips as a shard has them: each followed by its label and a header."""
    step = num_bytes + gap
    return [ByteRange(512 + n * step, 512 + n * step + num_bytes) for n in range(count)]


def test_neighbours_go_into_one_request_until_it_is_long_enough() -> None:
    groups = merge_ranges(clips(60), cost=COST)
    assert [len(group) for group in groups] == [27, 27, 6]
    assert 27 * (CLIP_BYTES + 2_560) < MAX_REQUEST_BYTES


def test_members_with_others_between_them_are_asked_for_alone() -> None:
    assert merge_ranges(clips(40)[::2], cost=COST) == [[n] for n in range(20)]


def test_a_gap_that_takes_longer_than_a_request_is_not_fetched() -> None:
    far = NetworkCost(request_seconds=0.001, bytes_per_second=1e6)
    assert merge_ranges(clips(3), cost=far) == [[0], [1], [2]]
    assert merge_ranges(clips(3, gap=500), cost=far) == [[0, 1, 2]]


def test_a_range_over_the_bound_is_a_request_of_its_own() -> None:
    assert merge_ranges(clips(3, gap=0), cost=COST, max_num_bytes=1000) == [[0], [1], [2]]
    assert merge_ranges([], cost=COST) == []


@given(
    st.lists(st.tuples(st.integers(0, 50_000), st.integers(1, 400_000)), max_size=40),
    st.integers(1, 2_000_000),
)
def test_every_range_is_in_one_group_and_little_is_fetched_in_vain(
    gaps_and_lengths: list[tuple[int, int]], max_num_bytes: int
) -> None:
    ranges, position = [], 0
    for gap, length in gaps_and_lengths:
        ranges.append(ByteRange(position + gap, position + gap + length))
        position += gap + length
    groups = merge_ranges(ranges, cost=COST, max_num_bytes=max_num_bytes)
    assert [place for group in groups for place in group] == list(range(len(ranges)))
    fetched = sum(ranges[group[-1]].stop - ranges[group[0]].start for group in groups)
    assert fetched <= (1 + MAX_OVERHEAD) * sum(map(len, ranges))
    for group in groups:
        assert len(group) == 1 or (ranges[group[-1]].stop - ranges[group[0]].start <= max_num_bytes)


def test_a_shard_is_taken_whole_unless_little_of_it_is_needed() -> None:
    def is_whole(num_needed: int) -> bool:
        return is_whole_shard_cheaper(
            shard_num_bytes=1000 * (CLIP_BYTES + 2_560),
            needed_num_bytes=num_needed * CLIP_BYTES,
            num_needed=num_needed,
            cost=COST,
        )

    assert is_whole(1000)
    assert is_whole(200)  # one fold of five
    assert not is_whole(50)
    assert not is_whole(0)

from loader.look_ahead import look_ahead


def run(sizes: list[int], *, max_bytes: int) -> tuple[list[int], list[int]]:
    """Items in the order they came, and how many were announced when each did."""
    announced: list[int] = []
    came, num_announced = [], []
    for item, told in look_ahead(
        range(len(sizes)),
        lambda item: announced.append(item) or -item,
        num_bytes_of=lambda item: sizes[item],
        max_bytes=max_bytes,
    ):
        assert told == -item
        came.append(item)
        num_announced.append(len(announced))
    return came, num_announced


def test_all_come_in_order_and_further_ahead_with_each() -> None:
    came, num_announced = run([1] * 100, max_bytes=1000)
    assert came == list(range(100))
    assert num_announced[:4] == [2, 5, 8, 11]
    assert max(n - item for n, item in zip(num_announced, came, strict=True)) == 33


def test_memory_bounds_how_far_ahead() -> None:
    came, num_announced = run([10] * 30, max_bytes=45)
    assert came == list(range(30))
    assert max(n - item for n, item in zip(num_announced, came, strict=True)) == 5


def test_an_item_over_the_bound_still_comes() -> None:
    assert run([100, 1, 100], max_bytes=10)[0] == [0, 1, 2]
    assert run([100], max_bytes=10)[0] == [0]
    assert run([], max_bytes=10)[0] == []

"""Announces what comes next before it is asked for, as far ahead as memory allows."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

MAX_ITEMS_AHEAD = 32
"""Bound where items are so small, or already so near, that memory is none."""

Item = TypeVar("Item")
Announced = TypeVar("Announced")


def look_ahead(
    items: Iterable[Item],
    announce: Callable[[Item], Announced],
    *,
    num_bytes_of: Callable[[Item], int],
    max_bytes: int,
) -> Generator[tuple[Item, Announced], None, None]:
    """Yield each item with what announcing it gave; later items are announced meanwhile.

    It begins one item ahead and goes two further with each that is yielded, so that the first is
    not late because many were planned before it.

    Args:
        items: In the order in which they are needed.
        announce: Is told of each, in that order.
        num_bytes_of: Returns an item's size.
        max_bytes: Bound on the sizes of the items announced and not yielded.
    """
    waiting: deque[tuple[Item, Announced, int]] = deque()
    num_bytes_ahead = 0
    num_items_ahead = 1
    for item in items:
        num_bytes = num_bytes_of(item)
        waiting.append((item, announce(item), num_bytes))
        num_bytes_ahead += num_bytes
        while len(waiting) > num_items_ahead or (num_bytes_ahead > max_bytes and len(waiting) > 1):
            first, announced, num_bytes = waiting.popleft()
            num_bytes_ahead -= num_bytes
            num_items_ahead = min(num_items_ahead + 2, MAX_ITEMS_AHEAD)
            yield first, announced
    while waiting:
        first, announced, _ = waiting.popleft()
        yield first, announced

"""Copies of one thing laid far apart. Pure.

Each of D things stands at its place of a base order, its further copies at equal distances from it,
around the epoch and over its end. What still comes too close is put off until it may come again.

Axes: D things, M copies of them all.
"""

import heapq
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_TURN_BITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """An order of copies."""

    things_M: NDArray[np.int64]
    """Places in the base order."""
    copies_M: NDArray[np.int32]
    """Which copy it is, from 0; 0 stands at the thing's own place."""


def spread_copies(
    count_D: NDArray[np.int64], turn_D: NDArray[np.int64], *, min_spread: int
) -> Spread:
    """Return an order with thing d at `count_D[d]` places.

    Args:
        count_D: Copies, at least 1.
        turn_D: Where in the epoch each thing's first copy belongs, in units of 2**-32 epochs.
        min_spread: Places from a copy to the next of the same thing that are made sure of as far
            as the numbers allow: the most frequent thing's copies on half of the even distance.
    """
    if count_D.max(initial=0) <= 1:
        everything = np.argsort(turn_D, kind="stable")
        return Spread(things_M=everything, copies_M=np.zeros(len(count_D), dtype=np.int32))
    things_M = np.repeat(np.arange(len(count_D), dtype=np.int64), count_D)
    first_M = np.repeat(np.cumsum(count_D) - count_D, count_D)
    copies_M = np.arange(len(things_M), dtype=np.int64) - first_M
    steps_M = (copies_M << _TURN_BITS) // count_D[things_M]
    turns_M = (turn_D[things_M] + steps_M) & ((1 << _TURN_BITS) - 1)
    order_M = np.argsort(turns_M, kind="stable")
    distance = min(min_spread, max(1, len(things_M) // (2 * int(count_D.max()))))
    order_M = order_M[put_apart(things_M[order_M], distance)]
    return Spread(things_M=things_M[order_M], copies_M=copies_M[order_M].astype(np.int32))


def put_apart(things_M: NDArray[np.int64], distance: int) -> NDArray[np.int64]:
    """Return a permutation after which equal things stand at least `distance` apart.

    Where that can't be reached (the last copies have nothing left to stand between them), it
    comes as near as one pass from each end does. Things that are apart already stay in place.
    """
    forth = _put_off(things_M, distance)
    if not len(too_close(things_M[forth], distance)):
        return forth
    turned = forth[::-1]
    back = turned[_put_off(things_M[turned], distance)][::-1]
    same = np.arange(len(things_M), dtype=np.int64)
    return min((forth, back, same), key=lambda order: len(too_close(things_M[order], distance)))


def too_close(things_M: NDArray[np.int64], distance: int) -> NDArray[np.int64]:
    """Return the places, ascending, whose thing has stood less than `distance` places before."""
    order_M = np.argsort(things_M, kind="stable")
    is_near_M = np.diff(order_M) < distance
    is_same_M = np.diff(things_M[order_M]) == 0
    return np.sort(order_M[1:][is_near_M & is_same_M])


def _put_off(things_M: NDArray[np.int64], distance: int) -> NDArray[np.int64]:
    """One pass: what comes too soon waits, and goes first once it may."""
    permutation_M = np.arange(len(things_M), dtype=np.int64)
    done = 0
    for place in too_close(things_M, distance).tolist():
        if place >= done:
            done = _repair(things_M, permutation_M, place, distance)
    return permutation_M


def _repair(
    things_M: NDArray[np.int64], permutation_M: NDArray[np.int64], start: int, distance: int
) -> int:
    """Reorder from `start` until nothing waits any more; return the place behind that."""
    begin = max(0, start - distance)
    last_place = {int(thing): begin + i for i, thing in enumerate(things_M[begin:start])}
    waiting: dict[int, deque[int]] = {}
    may_come: list[tuple[int, int]] = []
    source = place = start
    while source < len(things_M) or may_come:
        if may_come and (may_come[0][0] <= place or source == len(things_M)):
            thing = heapq.heappop(may_come)[1]
            taken = waiting[thing].popleft()
            if waiting[thing]:
                heapq.heappush(may_come, (place + distance, thing))
            else:
                del waiting[thing]
        else:
            taken, source = source, source + 1
            thing = int(things_M[taken])
            allowed = last_place.get(thing, -distance) + distance
            if thing in waiting or allowed > place:
                if thing not in waiting:
                    waiting[thing] = deque()
                    heapq.heappush(may_come, (allowed, thing))
                waiting[thing].append(taken)
                continue
        permutation_M[place] = taken
        last_place[thing] = place
        place += 1
        if not may_come and not _comes_soon(things_M, source, last_place, place, distance):
            return place
    return place


def _comes_soon(
    things_M: NDArray[np.int64],
    source: int,
    last_place: dict[int, int],
    place: int,
    distance: int,
) -> bool:
    """Whether something ahead is too near to what was just moved."""
    return any(
        last_place.get(int(thing), -distance) + distance > place + i
        for i, thing in enumerate(things_M[source : source + distance].tolist())
    )

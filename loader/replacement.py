"""Which clip stands in for one that can't be read. Pure arithmetic over the order.

Axes: S steps, B rows of a batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A clip as an epoch holds it."""

    row: int
    """Of the dataset index."""
    copy: int
    """Which of the epoch's copies of the clip, from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """A place of a batch in which another clip stands in."""

    place: int
    key: str
    """Of the clip that stands in."""


def stand_in_places(
    place_SB: NDArray[np.int64], *, step: int, place: int, unit: int = 1
) -> Iterator[int]:
    """Yield where in the order to look for a stand-in, best first.

    The next clips of the same unit (a speaker's clips in group batches), then those of the same
    batch, both going round from the lost one on; then the batches of this rank that follow, and at
    last those before. So who stands in depends on the order and on what is lost, on nothing else.

    Args:
        place_SB: Places of the order that this rank gets in each step of the iteration.
        step: The step.
        place: Place in its batch of the clip that is lost.
        unit: Clips in a row that belong together.
    """
    batch_size = place_SB.shape[1]
    first = place - place % unit
    of_unit = [first + (place - first + turn) % unit for turn in range(1, unit)]
    of_batch = [(place + turn) % batch_size for turn in range(1, batch_size)]
    yield from place_SB[step, of_unit].tolist()
    yield from place_SB[step, [other for other in of_batch if other not in of_unit]].tolist()
    for other_step in (*range(step + 1, len(place_SB)), *range(step)):
        yield from place_SB[other_step].tolist()

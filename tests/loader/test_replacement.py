import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.replacement import stand_in_places

PLACES_SB = np.arange(100, 118).reshape(3, 6)


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        (1, [111, 106, 107, 108, 109]),
        (2, [111, 106, 107, 108, 109]),
        (3, [111, 109, 106, 107, 108]),
    ],
)
def test_the_same_unit_comes_first_then_the_batch_then_later_and_earlier_steps(
    unit: int, expected: list[int]
) -> None:
    places = list(stand_in_places(PLACES_SB, step=1, place=4, unit=unit))
    assert places == [*expected, *range(112, 118), *range(100, 106)]


@given(
    num_steps=st.integers(1, 5),
    num_units=st.integers(1, 4),
    unit=st.integers(1, 4),
    data=st.data(),
)
def test_every_other_clip_is_tried_once_and_the_lost_one_never(
    num_steps: int, num_units: int, unit: int, data: st.DataObject
) -> None:
    place_SB = np.arange(num_steps * num_units * unit).reshape(num_steps, -1)
    step = data.draw(st.integers(0, num_steps - 1))
    place = data.draw(st.integers(0, num_units * unit - 1))
    places = list(stand_in_places(place_SB, step=step, place=place, unit=unit))
    assert sorted([*places, int(place_SB[step, place])]) == place_SB.ravel().tolist()
    assert len(places) == place_SB.size - 1

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.running_stats import RunningStats


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 40), min_size=1, max_size=6))
@settings(max_examples=50, deadline=None)
def test_parts_however_cut_give_mean_and_deviation_of_the_whole(
    seed: int, lengths: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    values_NM = 1e6 + rng.normal(size=(sum(lengths), 3)) * (1e-2, 1, 100)
    total = RunningStats.empty(3)
    for part in np.split(values_NM, np.cumsum(lengths)[:-1]):
        total = total.plus(RunningStats.of(part))
    assert total.count == len(values_NM)
    if len(values_NM) > 1:
        assert total.mean_M == pytest.approx(values_NM.mean(axis=0), rel=1e-14)
        assert total.std_M() == pytest.approx(values_NM.std(axis=0), rel=1e-6)


def test_deviation_where_nothing_varies_is_one() -> None:
    assert RunningStats.empty(2).std_M().tolist() == [1.0, 1.0]
    assert RunningStats.of(np.full((5, 2), 3.0)).std_M().tolist() == [1.0, 1.0]

"""Expected copies, and how many of them an epoch draws."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.balance import InverseFrequency, RepeatFactor
from loader.draws import draw_copies, expected_copies
from tests.loader.index_builders import make_index
from tests.shardwriter.properties import bounded

ONE_LABEL = [[0]] * 90 + [[1]] * 10
weights_lists = st.lists(st.floats(0, 20), min_size=1, max_size=60).filter(lambda w: sum(w) > 0.1)


def scaled(weights: list[float], num_draws: int) -> np.ndarray:
    return np.array(weights) * (num_draws / sum(weights))


@bounded()
@given(weights_lists, st.integers(1, 300), st.integers(0, 2**64 - 1), st.integers(0, 99))
def test_copies_differ_from_the_expected_by_less_than_one_and_sum_exactly(
    weights: list[float], num_draws: int, seed: int, epoch: int
) -> None:
    expected = scaled(weights, num_draws)
    sequence = np.random.default_rng(epoch).permutation(len(weights))
    copies = draw_copies(expected, sequence, seed=seed, epoch=epoch)
    assert copies.sum() == num_draws
    assert (np.abs(copies - expected) < 1 + 1e-6).all()
    # Any consecutive rows together, too.
    ends = np.cumsum((copies - expected)[sequence])
    assert np.abs(ends[:, None] - ends[None, :]).max() < 1 + 1e-6


def test_copies_are_those_of_a_comb_of_teeth() -> None:
    # The same by counting teeth one by one.
    expected = scaled([0.3, 2.0, 0.05, 1.2, 0.7, 0.0, 4.0], 9)
    sequence = np.array([3, 1, 6, 0, 5, 2, 4])
    copies = draw_copies(expected, sequence, seed=5, epoch=2)
    bounds = np.concatenate(([0], np.cumsum(expected[sequence])))
    naive = set()
    for phase in np.linspace(0, 1, 4001)[:-1]:
        teeth = np.searchsorted(bounds, np.arange(9) + phase, side="right") - 1
        counted = Counter(sequence[teeth].tolist())
        naive.add(tuple(counted[row] for row in range(7)))
    assert tuple(copies.tolist()) in naive


def test_mean_over_epochs_is_the_expected_number() -> None:
    expected = scaled([0.1, 0.5, 3.3, 0.9, 1.7], 11)
    drawn = [draw_copies(expected, np.arange(5), seed=1, epoch=e) for e in range(4000)]
    np.testing.assert_allclose(np.mean(drawn, axis=0), expected, atol=0.03)


def test_clips_of_weight_zero_are_never_drawn() -> None:
    expected = scaled([0, 1, 0, 2, 0], 7)
    assert draw_copies(expected, np.arange(5), seed=0, epoch=0)[::2].tolist() == [0, 0, 0]


def test_nothing_set_means_each_clip_once() -> None:
    index = make_index(ONE_LABEL, num_labels=2)
    assert expected_copies(index, balance=None, weights=None, epoch_size=None) is None


def test_class_uniform_draws_give_every_class_half_of_the_epoch() -> None:
    index = make_index(ONE_LABEL, num_labels=2)
    expected = expected_copies(index, balance=InverseFrequency(), weights=None, epoch_size=None)
    assert expected is not None
    np.testing.assert_allclose([expected[:90].sum(), expected[90:].sum()], [50, 50])
    larger = expected_copies(index, balance=InverseFrequency(), weights=None, epoch_size=300)
    np.testing.assert_allclose(larger, expected * 3)


def test_repeat_factor_lengthens_the_epoch_by_its_repeats() -> None:
    index = make_index(ONE_LABEL, num_labels=2)
    expected = expected_copies(
        index, balance=RepeatFactor(threshold=0.9), weights=None, epoch_size=None
    )
    # sqrt(0.9 / 0.1) = 3 copies of each of the ten.
    np.testing.assert_allclose(expected, [1] * 90 + [3] * 10)


@pytest.mark.parametrize(
    ("epoch_size", "num_draws"), [(None, 100), (250, 250), ("shortest", 57), ("longest", 100)]
)
def test_weights_share_the_epoch_among_datasets(epoch_size: int | str, num_draws: int) -> None:
    # 60 clips of a dataset with 0.7 of the epoch, 40 of one with 0.3: used up after 85.7 and 133.3.
    index = make_index([[0]] * 100, num_labels=1, dataset_of_shard=[0] * 4 + [1] * 6)
    expected = expected_copies(index, balance=None, weights=(4, 6), epoch_size=epoch_size)
    assert expected is not None
    assert round(expected.sum()) == {"shortest": 100, "longest": 100}.get(
        str(epoch_size), num_draws
    )
    expected = expected_copies(index, balance=None, weights=(7, 3), epoch_size=epoch_size)
    assert expected is not None
    sizes = {"shortest": 57, "longest": 200}
    total = sizes.get(str(epoch_size), num_draws)
    assert round(expected.sum()) == total
    np.testing.assert_allclose(expected[:40], 0.7 * total / 40)
    np.testing.assert_allclose(expected[40:], 0.3 * total / 60)


def test_balance_within_weighted_datasets_counts_classes_in_each() -> None:
    clips = [[0]] * 30 + [[1]] * 10 + [[0]] * 10 + [[1]] * 50
    index = make_index(clips, num_labels=2, dataset_of_shard=[0] * 4 + [1] * 6)
    expected = expected_copies(index, balance=InverseFrequency(), weights=(1, 1), epoch_size=None)
    assert expected is not None
    parts = [expected[:30].sum(), expected[30:40].sum(), expected[40:50].sum(), expected[50:].sum()]
    np.testing.assert_allclose(parts, [25, 25, 25, 25])

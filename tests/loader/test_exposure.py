"""Exposure at the size of AudioSet's vocabulary, and its report."""

import numpy as np
import pytest

from loader.balance import Balance, EffectiveNumber, InverseFrequency, RepeatFactor
from loader.draws import expected_copies
from loader.exposure import exposure_of
from loader.plan import OrderPolicy, epoch_order
from tests.loader.index_builders import make_index

NUM_CLASSES = 527


def long_tailed(num_clips: int = 60_000) -> list[list[int]]:
    """Two labels a clip, frequencies from 10,000 to 1, as AudioSet's; each class at least once."""
    rng = np.random.default_rng(0)
    frequency = 10_000.0 ** (-np.arange(NUM_CLASSES) / (NUM_CLASSES - 1))
    ids = rng.choice(NUM_CLASSES, size=(num_clips, 2), p=frequency / frequency.sum())
    ids[:NUM_CLASSES, 0] = np.arange(NUM_CLASSES)
    return ids.tolist()


@pytest.fixture(scope="module")
def tailed_clips() -> list[list[int]]:
    return long_tailed()


@pytest.mark.parametrize(
    "balance",
    [
        InverseFrequency(),
        InverseFrequency(exponent=0.5),
        InverseFrequency(offset=100),
        RepeatFactor(threshold=0.001),
        EffectiveNumber(beta=0.999),
    ],
    ids=str,
)
def test_exposure_is_within_one_copy_a_clip_of_the_plan_for_527_classes(
    tailed_clips: list[list[int]], balance: Balance
) -> None:
    index = make_index(tailed_clips, num_labels=NUM_CLASSES, clips_per_shard=500)
    expected = expected_copies(index, balance=balance, weights=None, epoch_size=None)
    assert expected is not None
    order = epoch_order(
        index.shard_N,
        policy=OrderPolicy(shuffle=True, open_shards=16, min_spread=256),
        seed=1,
        epoch=2,
        expected_N=expected,
    )
    exposure = exposure_of(index, order, expected_N=expected, delivered=slice(0, len(order)))
    copies = np.bincount(order.rows_M, minlength=len(index))
    assert np.abs(copies - expected).max() < 1 + 1e-6
    naive_planned = np.zeros(NUM_CLASSES, dtype=np.int64)
    naive_target = np.zeros(NUM_CLASSES)
    for ids, count, mean in zip(tailed_clips, copies.tolist(), expected.tolist(), strict=True):
        for label in set(ids):
            naive_planned[label] += count
            naive_target[label] += mean
    assert exposure.planned_K.tolist() == naive_planned.tolist()
    assert exposure.delivered_K.tolist() == naive_planned.tolist()
    np.testing.assert_allclose(exposure.target_K, naive_target, rtol=1e-9)
    # Rounding errors of a class's clips don't add up: far below one copy for each of them.
    off = np.abs(exposure.planned_K - exposure.target_K)
    assert (off <= 4 * np.sqrt(exposure.num_clips_K) + 2).all()
    assert exposure.num_clips_K.max() / exposure.num_clips_K.min() > 500


def test_report_names_the_most_raised_and_the_most_lowered_classes() -> None:
    index = make_index([[0]] * 90 + [[1]] * 9 + [[2]], num_labels=4)
    expected = expected_copies(index, balance=InverseFrequency(), weights=None, epoch_size=None)
    order = epoch_order(
        index.shard_N,
        policy=OrderPolicy(shuffle=True, open_shards=16),
        seed=0,
        epoch=0,
        expected_N=expected,
    )
    exposure = exposure_of(index, order, expected_N=expected, delivered=slice(0, 40))
    lines = exposure.report(num_rows=1).splitlines()
    assert lines[0].endswith("40 delivered")
    assert lines[2].split() == ["label-2", "1", "33.3", *lines[2].split()[3:5], "x", "33.33"]
    assert lines[3] == "..."
    assert lines[4].split()[0] == "label-0"
    assert "x 0.37" in lines[4]
    assert len(lines) == 5
    assert exposure.max_copies in (33, 34)
    assert exposure.effective_num_clips < 20


def test_each_clip_once_has_as_many_effective_clips_as_there_are() -> None:
    index = make_index([[0]] * 50, num_labels=1)
    order = epoch_order(
        index.shard_N, policy=OrderPolicy(shuffle=True, open_shards=2), seed=0, epoch=0
    )
    exposure = exposure_of(index, order, expected_N=None, delivered=slice(0, 0), num_cycled=0)
    assert (exposure.effective_num_clips, exposure.num_distinct, exposure.max_copies) == (50, 50, 1)
    assert exposure.target_K.tolist() == [50.0]

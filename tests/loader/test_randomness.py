import numpy as np
import pytest

from loader.randomness import (
    Operation,
    OrderStream,
    order_bits,
    sample_bits,
    sample_ids,
    sample_uniform,
    sample_uniforms,
)

MASK = 2**64 - 1


def splitmix64(state: int) -> int:
    """The published finaliser, in Python's unbounded integers."""
    state = (state + 0x9E3779B97F4A7C15) & MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return state ^ (state >> 31)


def test_reference_finaliser_gives_the_published_first_value() -> None:
    # First output of splitmix64.c with state 0, as listed by several implementations' tests.
    assert splitmix64(0) == 0xE220A8397B1DCDAF


@pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (7, 3), (2**64 - 1, 2**40)])
def test_sample_bits_are_the_chained_splitmix64(seed: int, epoch: int) -> None:
    ids = sample_ids(["a", "b", "made+clip-001=2Ewav"])
    got = sample_bits(ids, seed=seed, epoch=epoch, operation=Operation.CROP)
    for sample_id, bits in zip(ids.tolist(), got.tolist(), strict=True):
        state = splitmix64(splitmix64(splitmix64(seed) ^ epoch) ^ Operation.CROP)
        assert bits == splitmix64(state ^ sample_id)


def test_numbers_of_one_sample_are_splitmix64s_stream_from_its_own_state() -> None:
    ids = sample_ids(["a", "b"])
    arguments = {"seed": 7, "epoch": 3, "operation": Operation.GAIN}
    got = sample_uniforms(ids, count=4, **arguments)  # type: ignore[arg-type]
    states = sample_bits(ids, **arguments)  # type: ignore[arg-type]
    for state, row in zip(states.tolist(), got, strict=True):
        expected = [splitmix64((state + n * 0x9E3779B97F4A7C15) & MASK) >> 11 for n in range(4)]
        assert (row * 2**53).tolist() == expected


def test_numbers_of_operations_never_change_their_meaning() -> None:
    assert (Operation.CROP, Operation.SHIFT) == (1, 2)
    assert {op.name: op.value for op in Operation if 100 <= op < 200} == {
        "SPEED": 100,
        "ROLL": 101,
        "POLARITY": 102,
        "GAIN": 103,
        "EQUALIZER": 104,
        "BAND_PASS": 105,
        "DEVICE": 106,
        "ROOM": 107,
        "NOISE": 108,
        "WHITE_NOISE": 109,
        "MIX": 110,
        "MIX_PARTNER": 111,
        "SPEC_AUGMENT": 112,
        "FILTER_AUGMENT": 113,
        "FREQ_MIX_STYLE": 114,
        "FREQ_MIX_STYLE_PARTNER": 115,
        "BANK_CLIP": 116,
        "BANK_SEGMENT": 117,
    }


def test_sample_ids_never_change() -> None:
    # What `printf esc50+1-100032-A-0 | b2sum -l 64` prints, read as little endian. A changed
    # value would move every crop of every run that is resumed.
    assert sample_ids(["esc50+1-100032-A-0"]).tolist() == [793178335894132726]


def test_sample_number_does_not_depend_on_its_company() -> None:
    ids = sample_ids([f"key{number}" for number in range(50)])
    together = sample_uniform(ids, seed=1, epoch=2, operation=Operation.CROP)
    alone = [
        sample_uniform(ids[i : i + 1], seed=1, epoch=2, operation=Operation.CROP)[0]
        for i in range(50)
    ]
    assert together.tolist() == alone


def test_sample_numbers_are_uniform_and_differ_between_seeds_and_epochs() -> None:
    ids = sample_ids([f"key{number}" for number in range(4000)])
    draws = [
        sample_uniform(ids, seed=seed, epoch=epoch, operation=Operation.CROP)
        for seed in (0, 1)
        for epoch in (0, 1)
    ]
    for draw in draws:
        assert draw.min() >= 0
        assert draw.max() < 1
        counts, _ = np.histogram(draw, bins=20, range=(0, 1))
        # Chi-square with 19 degrees of freedom: 50 is beyond the 99.98 % quantile.
        assert ((counts - 200) ** 2 / 200).sum() < 50
    correlations = np.abs(np.corrcoef(draws) - np.eye(4))
    assert correlations.max() < 0.06


def test_order_bits_are_philox_with_seed_and_epoch_as_key() -> None:
    bits = order_bits(5, seed=3, epoch=9, stream=OrderStream.SAMPLES)
    key = np.array([3, 9], dtype=np.uint64)
    expected = np.random.Philox(key=key, counter=np.array([0, 0, 0, 1], dtype=np.uint64))
    assert bits.tolist() == expected.random_raw(5).tolist()
    assert bits.dtype == np.uint64
    assert order_bits(5, seed=3, epoch=9, stream=OrderStream.SHARDS).tolist() != bits.tolist()

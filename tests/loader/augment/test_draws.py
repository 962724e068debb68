import numpy as np
import pytest
from scipy import stats

from loader.augment.draw_mel import draw_mel, draw_mix
from loader.augment.draw_wave import BankRows, draw_wave
from loader.augment.draws import Draws
from loader.augment.recipe import AugmentRecipe
from loader.augment.recipe_mel import FilterAugment
from loader.augment.recipe_wave import Gain, Noise, NoiseKind, Response
from loader.randomness import Operation, sample_ids
from tests.loader.augment.makers import EVERYTHING, KINDS, RATE_HZ

ROWS = BankRows(noise=KINDS, num_devices=5, num_rooms=7)
KEYS = tuple(f"made/{number}" for number in range(4000))


def draws_of(keys: tuple[str, ...] = KEYS, *, seed: int = 1, epoch: int = 2) -> Draws:
    return Draws(ids_B=sample_ids(keys), seed=seed, epoch=epoch)


def test_more_numbers_leave_the_first_ones_as_they_are() -> None:
    few, many = draws_of().uniforms(Operation.GAIN, 2), draws_of().uniforms(Operation.GAIN, 9)
    np.testing.assert_array_equal(few, many[:, :2])


def test_numbers_of_one_operation_are_uniform_and_not_correlated() -> None:
    uniform = draws_of().uniforms(Operation.NOISE, 4)
    assert all(stats.kstest(column, "uniform").pvalue > 1e-4 for column in uniform.T)
    correlation = np.corrcoef(uniform.T) - np.eye(4)
    assert np.abs(correlation).max() < 4 / np.sqrt(len(uniform))


@pytest.mark.parametrize("alpha", [0.2, 0.3, 1.0, 2.0, 10.0, 100.0])
def test_beta_numbers_have_the_beta_distribution(alpha: float) -> None:
    drawn = draws_of().symmetric_beta(Operation.MIX, alpha)
    assert stats.kstest(drawn, stats.beta(alpha, alpha).cdf).pvalue > 1e-4
    assert drawn.min() >= 0
    assert drawn.max() <= 1


def test_the_wave_parameters_of_a_sample_do_not_depend_on_its_batch() -> None:
    whole = draw_wave(draws_of(), EVERYTHING, ROWS, sample_rate_hz=RATE_HZ)
    some = draw_wave(draws_of(KEYS[70:75][::-1]), EVERYTHING, ROWS, sample_rate_hz=RATE_HZ)
    for name in type(whole).__slots__:
        np.testing.assert_array_equal(
            getattr(whole, name)[70:75].flip(0).numpy(), getattr(some, name).numpy(), name
        )


def test_the_mel_parameters_of_a_sample_do_not_depend_on_its_batch() -> None:
    whole = draw_mel(draws_of(), EVERYTHING, num_mels=64)
    some = draw_mel(draws_of(KEYS[9:12]), EVERYTHING, num_mels=64)
    for name in ("style_weight_B", "filter_db_BM", "has_masks_B", "mask_BJQ"):
        np.testing.assert_array_equal(getattr(whole, name)[9:12], getattr(some, name), name)


def test_another_epoch_or_seed_draws_other_parameters() -> None:
    drawn = [
        draw_wave(draws_of(**which), EVERYTHING, ROWS, sample_rate_hz=RATE_HZ).factor_B
        for which in ({}, {"epoch": 3}, {"seed": 2})
    ]
    assert (drawn[0] != drawn[1]).float().mean() > 0.5
    assert (drawn[0] != drawn[2]).float().mean() > 0.5


def test_partners_form_one_circle_that_the_set_of_keys_decides() -> None:
    keys = KEYS[:20]
    partner_B = draw_mix(draws_of(keys), EVERYTHING).partner_B.long().tolist()
    reached, row = [], 0
    for _ in keys:
        reached.append(row)
        row = partner_B[row]
    assert sorted(reached) == list(range(20))
    turned = keys[5:] + keys[:5]
    turned_partner_B = draw_mix(draws_of(turned), EVERYTHING).partner_B.long().tolist()
    pairs = {key: keys[partner] for key, partner in zip(keys, partner_B, strict=True)}
    assert pairs == {
        key: turned[partner] for key, partner in zip(turned, turned_partner_B, strict=True)
    }


def test_a_sample_alone_in_its_batch_is_not_mixed() -> None:
    weights = [float(draw_mix(draws_of((key,)), EVERYTHING).weight_B) for key in KEYS[:50]]
    assert weights == [1.0] * 50


def test_shares_and_ranges_are_those_of_the_recipe() -> None:
    parameters = draw_wave(draws_of(), EVERYTHING, ROWS, sample_rate_hz=RATE_HZ)
    share = 4 / np.sqrt(len(KEYS)) / 2
    assert abs(float(parameters.has_noise_BV[:, 0].mean()) - 0.6) < share
    assert abs(float(parameters.has_room_B.mean()) - 0.5) < share
    assert abs(float((parameters.factor_B < 0).float().mean()) - 0.5) < share
    for index in range(3):
        assert abs(float((parameters.speed_index_B == index).float().mean()) - 1 / 3) < share
    assert sorted(set(parameters.room_row_B.tolist())) == list(range(7))
    gain_db_B = 20 * parameters.factor_B.abs().log10()
    assert float(gain_db_B.abs().max()) <= 6.0001


def test_noise_comes_from_its_kind_with_its_snr_and_number_of_voices() -> None:
    parameters = draw_wave(draws_of(), EVERYTHING, ROWS, sample_rate_hz=RATE_HZ)
    has_BV = parameters.has_noise_BV.bool()
    voices_B = has_BV.sum(dim=1)
    row_B, snr_B = parameters.noise_row_BV[:, 0], parameters.snr_db_BV[:, 0]
    is_music_B, is_speech_B = row_B < 3, (row_B >= 3) & (row_B < 11)
    on_B = voices_B > 0
    assert set(voices_B[on_B & is_speech_B].tolist()) == {3, 4, 5, 6, 7}
    assert set(voices_B[on_B & ~is_speech_B].tolist()) == {1}
    for is_kind_B, low, high in (
        (is_music_B, 5, 15), (is_speech_B, 13, 20), (row_B >= 11, 0, 15),
    ):  # fmt: skip
        assert abs(float(is_kind_B[on_B].float().mean()) - 1 / 3) < 0.05
        uniform = (snr_B[is_kind_B].double() - low) / (high - low)
        assert stats.kstest(uniform.numpy(), "uniform").pvalue > 1e-4


def test_a_sample_gets_a_room_or_noise_and_never_both() -> None:
    kinds = (("noise", NoiseKind(min_snr_db=0, max_snr_db=5)),)
    recipe = AugmentRecipe(
        room=Response(p=0.2), noise=Noise(p=0.6, kinds=kinds), room_or_noise=True
    )
    parameters = draw_wave(draws_of(), recipe, ROWS, sample_rate_hz=RATE_HZ)
    room_B, noise_B = parameters.has_room_B, parameters.has_noise_BV[:, 0]
    assert float((room_B * noise_B).sum()) == 0
    assert abs(float(room_B.mean()) - 0.2) < 0.03
    assert abs(float(noise_B.mean()) - 0.6) < 0.03


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_a_share_of_0_or_1_is_none_or_all(p: float) -> None:
    recipe = AugmentRecipe(gain=Gain(p=p, min_db=1, max_db=2))
    factor_B = draw_wave(draws_of(), recipe, ROWS, sample_rate_hz=RATE_HZ).factor_B
    assert bool((factor_B > 1).all()) == (p == 1.0)
    assert bool((factor_B == 1).all()) == (p == 0.0)


@pytest.mark.parametrize("shape", ["step", "linear"])
def test_filters_have_the_bands_widths_and_gains_of_the_recipe(shape: str) -> None:
    setting = FilterAugment(shape=shape, min_bands=2, max_bands=4)  # type: ignore[arg-type]
    recipe = AugmentRecipe(filter_augment=setting)
    filter_db_BM = draw_mel(draws_of(), recipe, num_mels=40).filter_db_BM.double().numpy()
    assert -6 <= filter_db_BM.min() < -5.9
    assert 5.9 < filter_db_BM.max() <= 6
    change_BM = np.abs(np.diff(filter_db_BM, n=1 if shape == "step" else 2, axis=1)) > 1e-4
    if shape == "step":
        counts = change_BM.sum(axis=1) + 1
        assert set(counts.tolist()) == {2, 3, 4}
        for change_M in change_BM[:200]:
            edges = np.concatenate(([0], np.flatnonzero(change_M) + 1, [40]))
            assert np.diff(edges).min() >= 6
    else:
        # A line has no second difference but at its ends.
        assert change_BM.sum(axis=1).max() <= 3 * 2

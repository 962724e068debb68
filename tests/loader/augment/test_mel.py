from dataclasses import replace

import numpy as np
import pytest
import torch

from loader.augment.draw_mel import draw_mel
from loader.augment.draws import Draws
from loader.augment.mel import augment_mel, is_masked, mix_styles, units_per_db
from loader.augment.parameters import MelParameters
from loader.augment.recipe import AugmentRecipe
from loader.augment.recipe_mel import FilterAugment, FreqMixStyle, SpecAugment
from loader.randomness import sample_ids

CLIPS, MELS, FRAMES = 600, 40, 90


def drawn(recipe: AugmentRecipe, num_clips: int = CLIPS) -> MelParameters:
    ids_B = sample_ids([f"made/{number}" for number in range(num_clips)])
    return draw_mel(Draws(ids_B=ids_B, seed=0, epoch=0), recipe, num_mels=MELS)


def masks_BMF(setting: SpecAugment, num_frames_B: torch.Tensor) -> np.ndarray:
    mel_BMF = torch.zeros(len(num_frames_B), MELS, FRAMES)
    parameters = drawn(AugmentRecipe(spec_augment=setting), len(num_frames_B))
    return is_masked(mel_BMF, num_frames_B, parameters, setting).numpy()


def test_widths_of_time_masks_are_uniform_from_0_to_the_maximum() -> None:
    masked_BMF = masks_BMF(
        SpecAugment(num_time_masks=1, max_time_frames=9), torch.full((CLIPS,), FRAMES)
    )
    assert (masked_BMF == masked_BMF[:, :1]).all()
    widths_B = masked_BMF[:, 0].sum(axis=1)
    counts = np.bincount(widths_B, minlength=10)
    assert len(counts) == 10
    assert np.abs(counts - CLIPS / 10).max() < 4 * np.sqrt(CLIPS / 10)
    assert (np.abs(np.diff(masked_BMF[:, 0].astype(int), axis=1)).sum(axis=1) <= 2).all()
    # Places: as many in the first half as in the second.
    wide = masked_BMF[widths_B > 0, 0]
    assert abs((wide.argmax(axis=1) < (FRAMES - 5) / 2).mean() - 0.5) < 0.1


def test_masks_stay_within_the_clips_own_frames_and_adapt_to_them() -> None:
    num_frames_B = torch.arange(CLIPS) % FRAMES
    masked_BMF = masks_BMF(
        SpecAugment(num_time_masks=1, max_time_frames=50, max_time_share=0.25), num_frames_B
    )
    widths_B = masked_BMF[:, 0].sum(axis=1)
    assert (widths_B <= num_frames_B.numpy() // 4).all()
    assert (widths_B == num_frames_B.numpy() // 4).mean() > 0.05
    beyond_BF = np.arange(FRAMES) >= num_frames_B.numpy()[:, None]
    assert not (masked_BMF[:, 0] & beyond_BF).any()


def test_band_masks_cover_all_frames_and_cutouts_are_rectangles() -> None:
    num_frames_B = torch.full((CLIPS,), FRAMES)
    masked_BMF = masks_BMF(SpecAugment(num_band_masks=2, max_bands=8), num_frames_B)
    assert (masked_BMF == masked_BMF[:, :, :1]).all()
    assert 8 < masked_BMF[:, :, 0].sum(axis=1).max() <= 16
    cutout = SpecAugment(num_cutouts=1, max_cutout_frames=7, max_cutout_bands=5)
    for masked_MF in masks_BMF(cutout, num_frames_B):
        height, width = masked_MF.any(axis=1).sum(), masked_MF.any(axis=0).sum()
        assert masked_MF.sum() == height * width
        assert height <= 5
        assert width <= 7


def test_masks_have_the_value_of_the_front_end_and_the_share_of_the_recipe() -> None:
    setting = SpecAugment(p=0.3, num_band_masks=1, max_bands=MELS)
    recipe = AugmentRecipe(spec_augment=setting)
    mel_BMF = torch.ones(CLIPS, MELS, FRAMES)
    got_BMF = augment_mel(
        mel_BMF, torch.full((CLIPS,), FRAMES), drawn(recipe), recipe,
        units_per_db=1.0, mask_value=0.467,
    )  # fmt: skip
    assert sorted(got_BMF.unique().tolist()) == pytest.approx([0.467, 1.0])
    # One width in 41 is 0.
    share = float((got_BMF != 1).any(dim=2).any(dim=1).float().mean())
    assert abs(share - 0.3 * 40 / 41) < 0.08


def test_masks_of_a_front_end_without_a_value_have_each_clips_own_mean() -> None:
    setting = SpecAugment(num_time_masks=1, max_time_frames=20, num_band_masks=1, max_bands=10)
    recipe = AugmentRecipe(spec_augment=setting)
    num_frames_B = torch.arange(10, 10 + 20)
    mel_BMF = torch.randn(20, MELS, FRAMES) - torch.arange(20.0)[:, None, None]
    is_own_BF = torch.arange(FRAMES) < num_frames_B[:, None]
    mel_BMF = mel_BMF.where(is_own_BF[:, None], -1000.0)
    parameters = drawn(recipe, 20)
    got_BMF = augment_mel(
        mel_BMF, num_frames_B, parameters, recipe, units_per_db=1.0, mask_value=None
    )
    masked_BMF = is_masked(mel_BMF, num_frames_B, parameters, setting)
    for clip in range(20):
        own_MF = mel_BMF[clip, :, : num_frames_B[clip]]
        filled = got_BMF[clip][masked_BMF[clip]]
        torch.testing.assert_close(filled, own_MF.mean().expand_as(filled))
        untouched_MF = ~masked_BMF[clip]
        assert torch.equal(got_BMF[clip][untouched_MF], mel_BMF[clip][untouched_MF])
    assert masked_BMF.flatten(1).any(dim=1).sum() > 15


def test_a_recipe_for_more_bands_masks_the_same_share_of_fewer() -> None:
    masked_BMF = masks_BMF(
        SpecAugment(num_band_masks=1, max_bands=24, max_band_share=0.1875),
        torch.full((CLIPS,), FRAMES),
    )
    heights_B = masked_BMF[:, :, 0].sum(axis=1)
    assert heights_B.max() == 7  # of 40, where the recipe has 24 of 128
    assert len(np.unique(heights_B)) == 8


@pytest.mark.parametrize("bits", [0.0, 1.0])
def test_numbers_that_float32_rounds_up_to_1_stay_in_range(bits: float) -> None:
    setting = SpecAugment(num_time_masks=1, max_time_frames=10)
    parameters = replace(
        drawn(AugmentRecipe(spec_augment=setting), 1), mask_BJQ=torch.full((1, 1, 4), bits)
    )
    masked_BMF = is_masked(torch.zeros(1, MELS, FRAMES), torch.tensor([50]), parameters, setting)
    assert masked_BMF[0, 0].nonzero()[:, 0].tolist() == ([] if bits == 0 else list(range(40, 50)))


def test_filter_augment_adds_its_gains_in_units_of_the_front_end() -> None:
    recipe = AugmentRecipe(filter_augment=FilterAugment())
    parameters = drawn(recipe, 5)
    mel_BMF = torch.randn(5, MELS, FRAMES)
    # AST: natural logarithm of power, divided by twice the deviation.
    unit = units_per_db(log_factor=1.0, std=2 * 4.5689974)
    got_BMF = augment_mel(
        mel_BMF, torch.tensor([FRAMES, 30, 0, 90, 1]), parameters, recipe,
        units_per_db=unit, mask_value=0.0,
    )  # fmt: skip
    gain_BM = torch.log(10 ** (parameters.filter_db_BM / 10)) / (2 * 4.5689974)
    torch.testing.assert_close(got_BMF[0], mel_BMF[0] + gain_BM[0, :, None])
    torch.testing.assert_close(got_BMF[1, :, 30:], mel_BMF[1, :, 30:])
    torch.testing.assert_close(got_BMF[2], mel_BMF[2])


def test_one_db_is_one_in_db_and_half_of_it_for_magnitudes() -> None:
    assert units_per_db(log_factor=10 / np.log(10), std=1.0) == pytest.approx(1.0)
    assert units_per_db(log_factor=1.0, std=1.0, of_magnitude=True) == pytest.approx(
        np.log(10) / 20
    )


def test_mixed_styles_are_those_of_a_loop_over_bands() -> None:
    recipe = AugmentRecipe(freq_mix_style=FreqMixStyle(p=0.5, alpha=1.0))
    parameters = drawn(recipe, 8)
    lengths_B = torch.tensor([90, 40, 3, 90, 20, 60, 90, 2])
    rng = torch.Generator().manual_seed(0)
    mel_BMF = torch.randn(8, MELS, FRAMES, generator=rng) * 3
    mel_BMF += torch.randn(8, MELS, 1, generator=rng) * 5
    got_BMF = mix_styles(mel_BMF, lengths_B, parameters)
    is_mixed_B = parameters.style_weight_B < 1
    assert 0 < int(is_mixed_B.sum()) < 8
    for row in range(8):
        partner, weight = (
            int(parameters.style_partner_B[row]),
            float(parameters.style_weight_B[row]),
        )
        own, other = mel_BMF[row, :, : lengths_B[row]], mel_BMF[partner, :, : lengths_B[partner]]
        mean = weight * own.mean(dim=1) + (1 - weight) * other.mean(dim=1)
        std = weight * own.std(dim=1) + (1 - weight) * other.std(dim=1)
        normal = (own - own.mean(dim=1, keepdim=True)) / own.std(dim=1, keepdim=True)
        expected = normal * std[:, None] + mean[:, None]
        torch.testing.assert_close(
            got_BMF[row, :, : lengths_B[row]], expected, rtol=1e-3, atol=1e-3
        )
        beyond = slice(int(lengths_B[row]), None)
        torch.testing.assert_close(got_BMF[row, :, beyond], mel_BMF[row, :, beyond])
